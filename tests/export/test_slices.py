from __future__ import annotations

import pytest

from sightline.data.preprocess import Preprocess
from sightline.export.onnx import to_onnx
from sightline.export.slices import pictures_at_once
from sightline.models import create
from sightline.models.blank import blank
from sightline.runtime import Session


@pytest.mark.parametrize(
    ("name", "size", "at_once"),
    [
        # 96 channels of 112 x 112 become 96 of 56 x 56: 1.5 million float32, four times in 24 MiB
        ("mobilenet_v2", 224, 4),
        ("efficientnet_b7", 600, 1),  # one picture's activations are 82 MiB: never less than one
        ("resnet50", 224, None),  # 25 million weights outweigh 11 million activations
        ("vgg16", 224, None),
        ("resnet20", 32, None),
    ],
)
def test_slices_where_activations_outweigh_weights(name: str, size: int, at_once: int | None) -> None:
    with blank():
        network = create(name, num_classes=1000).eval()
    assert pictures_at_once(network, Preprocess(size)) == at_once


def test_the_graph_carries_it_to_the_runtime() -> None:
    network = create("mobilenet_v2:width=0.25", num_classes=3).eval()
    assert Session(to_onnx(network, Preprocess(96))).at_once == pictures_at_once(network, Preprocess(96)) is not None
    assert Session(to_onnx(create("resnet20", num_classes=3).eval(), Preprocess(32))).at_once is None
