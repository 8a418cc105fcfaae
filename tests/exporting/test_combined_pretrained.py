"""Combinations of public networks on real pictures: what they bring there, through the graph that would be served."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline import api
from sightline.bundle import Bundle
from sightline.evaluation.metrics import mcnemar
from sightline.exporting.combined import combine
from tests.exporting.test_pretrained import described_mobilenet, read_photos

pytestmark = pytest.mark.slow


def right(bundle: Bundle, pictures: list[Image.Image], labels: Any) -> np.ndarray:
    """Where `bundle` is right, a picture at a time."""
    said = [bundle.run(bundle.preprocess(picture)[None]).logits.argmax() for picture in pictures]
    return np.equal(said, labels)


def test_two_cifar_networks_and_ten_views_are_better_than_one(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """On 500 pictures, in %: resnet20 91.0, ten views of it 93.2; resnet56 94.0; both mirrored 95.0."""
    files = {name: f"data/cifar10_resnet/{name}.th" for name in ("resnet20-12fca82f", "resnet56-4bfd9763")}
    small, large = (api.export(shared(file), out=tmp_path / name) for name, file in files.items())
    with zipfile.ZipFile(shared("data/cifar10/cifar10_subset.zip")) as archive:
        records = np.frombuffer(archive.read("test_batch_first500.bin"), np.uint8).reshape(500, 3073)
    images, labels = records[:, 1:].reshape(500, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]

    def top1(bundle: Bundle) -> float:
        return 100 * float((bundle.run(images).logits.argmax(1) == labels).mean())

    assert top1(combine([small], views="10").bundle) == pytest.approx(93.2, abs=0.4)
    assert top1(combine([small, large], views="2").bundle) == pytest.approx(95.0, abs=0.4)
    assert top1(combine([small, large]).bundle) > top1(small) + 2


def test_more_views_of_photos_are_not_worse(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """MobileNet v2 on 200 photos, in %: 87.5 with the centre, 88.5 with ten crops, 86.5 dense; here on 50 of them."""
    index = shared("data/imagenet_sample/imagenet_class_index.json")
    photos, labels = read_photos(shared("data/imagenet_sample/imagenet_sample_200.zip"), index)
    photos, labels = photos[::4], labels[::4]
    single = api.export(described_mobilenet(shared, tmp_path), out=tmp_path / "b", classes=index)
    alone = right(single, photos, labels)
    assert right(combine([single]).bundle, photos[:20], labels[:20]).tolist() == alone[:20].tolist()
    for views in ("10", "dense"):
        ours = right(combine([single], views=views).bundle, photos, labels)
        assert ours.mean() >= alone.mean() or mcnemar(int((ours & ~alone).sum()), int((alone & ~ours).sum())) > 0.2
