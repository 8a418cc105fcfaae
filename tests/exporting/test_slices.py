from __future__ import annotations

import pytest

from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import to_onnx
from sightline.exporting.slices import bytes_a_picture
from sightline.models import ARCHITECTURES, create
from sightline.models.blank import blank
from sightline.runtime import CACHE, Session


@pytest.mark.slow
def test_slices_where_activations_outweigh_weights() -> None:
    found = {}
    for name, network in ARCHITECTURES.items():
        with blank():
            found[name] = bytes_a_picture(create(name, num_classes=1000).eval(), Preprocess(network.size))
    mobile = {name for name in ARCHITECTURES if name.startswith(("mobilenet", "efficientnet"))}
    assert {name for name, needed in found.items() if needed} == mobile | {"googlenet_small"}
    # float32 of 112 x 112: 32 channels become 64; 96 channels become 96 of 56 x 56
    assert found["mobilenet_v1"] == 4 * 112 * 112 * (32 + 64)
    assert found["mobilenet_v2"] == 4 * (112 * 112 * 96 + 56 * 56 * 96)


@pytest.mark.slow
def test_the_graph_carries_it_to_the_runtime() -> None:
    network = create("mobilenet_v1:width=0.25", num_classes=3).eval()
    needed = bytes_a_picture(network, Preprocess(96))
    assert needed is not None
    assert Session(to_onnx(network, Preprocess(96))).at_once == CACHE // needed
    assert Session(to_onnx(create("resnet20", num_classes=3).eval(), Preprocess(32))).at_once is None
