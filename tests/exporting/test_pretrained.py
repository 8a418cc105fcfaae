"""Bundles straight from weights: real public ones score what they score, alone and combined, through their graphs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline import api
from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.data.pictures import open_picture
from sightline.data.preprocess import Preprocess
from sightline.evaluation.metrics import mcnemar
from sightline.exporting.combined import combine
from sightline.exporting.pretrained import golden_pictures
from tests.weights import write_weights

HASHES = {"resnet20": "12fca82f", "resnet56": "4bfd9763"}  # as the files' names have them


@pytest.fixture(scope="module")
def cifar(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Two public networks for CIFAR-10."""
    files = {name: f"data/cifar10_resnet/{name}-{tag}.th" for name, tag in HASHES.items()}
    place = tmp_path_factory.mktemp("cifar")
    return {name: api.export(shared(file), out=place / name) for name, file in files.items()}


@pytest.fixture(scope="module")
def records(shared: Callable[[str], Path]) -> tuple[np.ndarray, np.ndarray]:
    """The first 500 test pictures of CIFAR-10 and their labels."""
    with zipfile.ZipFile(shared("data/cifar10/cifar10_subset.zip")) as files:
        found = np.frombuffer(files.read("test_batch_first500.bin"), np.uint8).reshape(500, 3073)
    return np.ascontiguousarray(found[:, 1:].reshape(500, 3, 32, 32).transpose(0, 2, 3, 1)), found[:, 0]


@pytest.fixture(scope="module")
def index(shared: Callable[[str], Path]) -> Path:
    """The names of ImageNet's classes."""
    return shared("data/imagenet_sample/imagenet_class_index.json")


@pytest.fixture(scope="module")
def photos(shared: Callable[[str], Path], index: Path) -> tuple[list[Image.Image], np.ndarray]:
    """200 photos, and their class numbers by the synsets in their names."""
    numbers = {synset: int(number) for number, (synset, _) in json.loads(index.read_text()).items()}
    with zipfile.ZipFile(shared("data/imagenet_sample/imagenet_sample_200.zip")) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".JPEG"))
        found = [open_picture(files.read(name)) for name in names]
    return found, np.array([numbers[name.partition("/")[0]] for name in names])


@pytest.fixture(scope="module")
def mobilenet(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNet v2's weights, described for the usual central crop."""
    weights = tmp_path_factory.mktemp("mobilenet") / "mobilenet_v2.safetensors"
    weights.symlink_to(shared("data/mobilenet_v2/mobilenet_v2_imagenet.safetensors"))
    described = json.loads(shared("data/mobilenet_v2/mobilenet_v2_imagenet.json").read_text())
    described["preprocess"] |= {"resize": 256, "crop": 224}
    weights.with_suffix(".json").write_text(json.dumps(described))
    return weights


@pytest.fixture(scope="module")
def paper(mobilenet: Path, index: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """MobileNet v2 as it was trained."""
    return api.export(mobilenet, out=tmp_path_factory.mktemp("exported") / "paper", classes=index)


@pytest.fixture(scope="module")
def alone(paper: Bundle, photos: tuple[list[Image.Image], np.ndarray]) -> np.ndarray:
    """Where it is right about the photos by itself."""
    return right(paper, *photos)


def right(
    bundle: Bundle, pictures: list[Image.Image], labels: np.ndarray, preprocess: Preprocess | None = None
) -> np.ndarray:
    """Where `bundle` is right, a picture at a time, as it makes them unless `preprocess` says otherwise."""
    preprocess = preprocess or bundle.preprocess
    return np.equal([bundle.run(preprocess(picture)[None]).logits.argmax() for picture in pictures], labels)


def top1(bundle: Bundle, images: np.ndarray, labels: np.ndarray) -> float:
    """In %, of pictures that are arrays."""
    return 100 * float((bundle.run(images).logits.argmax(1) == labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "expected"), [("resnet20", 91.0), ("resnet56", 94.0)])
def test_public_cifar_weights_score_what_they_score(
    arch: str, expected: float, cifar: dict[str, Bundle], records: tuple[np.ndarray, np.ndarray]
) -> None:
    bundle = cifar[arch]
    assert top1(bundle, *records) == pytest.approx(expected, abs=0.4)
    assert (bundle.arch, bundle.card["style"]) == (arch, "paper")
    assert bundle.preprocess == Preprocess(32, resize="squash")
    assert bundle.classes == tuple("0123456789")


@pytest.mark.slow
def test_two_cifar_networks_and_ten_views_are_better_than_one(
    cifar: dict[str, Bundle], records: tuple[np.ndarray, np.ndarray]
) -> None:
    """On 500 pictures, in %: resnet20 91.0, ten views of it 93.2; resnet56 94.0; both mirrored 95.0."""
    small, large = cifar["resnet20"], cifar["resnet56"]
    assert top1(combine([small], views="10").bundle, *records) == pytest.approx(93.2, abs=0.4)
    assert top1(combine([small, large], views="2").bundle, *records) == pytest.approx(95.0, abs=0.4)
    assert top1(combine([small, large]).bundle, *records) > top1(small, *records) + 2


@pytest.mark.slow
def test_mobilenet_v2_classifies_photos_and_padding_matters(
    mobilenet: Path, paper: Bundle, alone: np.ndarray, photos: tuple[list[Image.Image], np.ndarray], index: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """SAME padding is what the weights were trained with; symmetric padding costs them about 9 points.

    Of the 200 photos (paper style, torchvision style, in %): 87.5 and 77.5 with the usual central crop, 82.5 and 77.0
    squashed, as the file's own description has it: most photos are wider than high.
    """
    symmetric = api.export(mobilenet, out=tmp_path / "symmetric", classes=index, style="torchvision")
    assert (paper.card["style"], symmetric.card["style"]) == ("paper", "torchvision")
    assert paper.preprocess == Preprocess(224, crop_frac=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert alone.mean() > 0.85
    assert 0.07 < alone.mean() - right(symmetric, *photos).mean() < 0.12
    squashed = right(paper, *photos, Preprocess(224, resize="squash"))
    assert 100 * squashed.mean() == pytest.approx(82.5, abs=1)
    assert paper.classes[photos[1][0]] == "tench"


@pytest.mark.slow
def test_more_views_of_photos_are_not_worse(
    paper: Bundle, alone: np.ndarray, photos: tuple[list[Image.Image], np.ndarray]
) -> None:
    """MobileNet v2 on 200 photos, in %: 87.5 with the centre, 88.5 with ten crops, 86.5 dense; here on 50 of them."""
    pictures, labels, alone = photos[0][::4], photos[1][::4], alone[::4]
    assert right(combine([paper]).bundle, pictures[:20], labels[:20]).tolist() == alone[:20].tolist()
    for views in ("10", "dense"):
        ours = right(combine([paper], views=views).bundle, pictures, labels)
        assert ours.mean() >= alone.mean() or mcnemar(int((ours & ~alone).sum()), int((alone & ~ours).sum())) > 0.2


def test_the_bundle_says_where_its_weights_came_from(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "mine.pth", "resnet20", num_classes=3)
    bundle = api.export(path, "resnet20", out=tmp_path / "b", classes=["ant", "bee", "cat"])
    weights = bundle.card["weights"]
    assert weights["file"] == "mine.pth"
    assert len(weights["sha256"]) == 64
    assert weights["keys"] == {"loaded": 19 * 6 + 2, "missing": [], "unexpected": [], "reshaped": [], "replaced": []}
    assert "options" not in bundle.card
    picture = io.BytesIO()
    Image.new("L", (50, 40), 99).save(picture, "PNG")
    (answer,) = bundle.predict([picture.getvalue()], top=3)
    assert {name for name, _ in answer.classes} == {"ant", "bee", "cat"}


@pytest.mark.slow
def test_exporting_again_gives_the_same_graph(tmp_path: Path) -> None:
    """Also where the file lacks the auxiliary heads, which are then drawn from a seed."""
    path = write_weights(tmp_path / "mine.pth", "googlenet_small:aux=no")
    once, again = (api.export(path, "googlenet_small", out=tmp_path / name) for name in ("a", "b"))
    assert once.card["files"] == again.card["files"]
    assert {key.partition(".")[0] for key in once.card["weights"]["keys"]["missing"]} == {"aux1", "aux2"}


def test_grey_weights_are_described_by_one_mean(tmp_path: Path) -> None:
    said = {"arch": "resnet20", "preprocess": {"resize": 28, "mean": [0.13], "std": [0.31]}}
    bundle = api.export(write_weights(tmp_path / "mine.pth", "resnet20", said, in_channels=1), out=tmp_path / "b")
    assert bundle.preprocess == Preprocess(28, 1, mean=(0.13,), std=(0.31,))


def test_what_cannot_become_a_bundle_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "mine.pth", "resnet20")
    out = tmp_path / "b"
    with pytest.raises(UserError, match="2 class names for the 10 classes of"):
        api.export(path, "resnet20", out=out, classes=["a", "b"])
    with pytest.raises(UserError, match="do not fit this network"):
        api.export(path, "resnet32", out=out)
    with pytest.raises(UserError, match="exists already"):
        api.export(path, "resnet20", out=tmp_path)
    alexnet = write_weights(tmp_path / "small.pth", "alexnet", {"arch": "alexnet", "preprocess": {"resize": 32}})
    with pytest.raises(UserError, match="pictures of 32 pixels are too small for alexnet"):
        api.export(alexnet, out=out)
    assert not out.exists()


@pytest.mark.parametrize("preprocess", [Preprocess(32), Preprocess(7, 1, mean=(0.0,), std=(1.0,))])
def test_golden_pictures_are_eight_and_always_the_same(preprocess: Preprocess) -> None:
    pictures = golden_pictures(preprocess)
    assert pictures.shape == (8, preprocess.size, preprocess.size, preprocess.channels)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, golden_pictures(preprocess))
    assert len(np.unique(pictures.reshape(8, -1), axis=0)) == 8
