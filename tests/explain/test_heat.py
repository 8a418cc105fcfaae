"""Heat: what each place adds to a class's logit, drawn where the network looked."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle, allowed
from sightline.core.errors import UserError
from sightline.data.pictures import open_picture, upright_size
from sightline.data.preprocess import Preprocess
from sightline.explain.heat import Heat, over
from tests.explain.networks import COLOUR, pooled
from tests.tiny_network import write

CLASSES = ("a", "b", "c")


def check_sums(bundle: Bundle) -> None:
    """The mean over the places and the bias are the logit, of every class and picture."""
    heat = Heat.of(bundle)
    images = np.random.default_rng(1).integers(0, 256, (3, *bundle.session.input_shape), dtype=np.uint8)
    logits, _, feature_map = bundle.run(images)
    for row in range(len(images)):
        for label in range(logits.shape[1]):
            places = heat(feature_map[row], label)
            assert places.shape == feature_map.shape[2:]
            assert abs(places.mean() + heat.bias[label] - logits[row, label]) <= allowed(logits)
    assert np.ptp(heat(feature_map[0], 0)) > 0


@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_of_the_heat_and_the_bias_are_the_logit(tmp_path: Path, bias: bool) -> None:
    check_sums(pooled(tmp_path / "bundle", bias=bias))


def exported(name: str, path: Path) -> Bundle:
    import torch
    from torch import nn

    from sightline.exporting.onnx import export
    from sightline.models import create

    torch.manual_seed(0)
    size = 32 if name in ("resnet20", "googlenet_small") else 64
    network = create(name, num_classes=len(CLASSES), stem="small" if name == "alexnet" else None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    golden = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    return export(
        network.eval(), arch=name, stem="standard", style="torchvision", classes=CLASSES,
        preprocess=Preprocess(size=size), golden_images=golden, metrics={}, out=path,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "googlenet_small", "mobilenet_v2", "efficientnet_b0"])
def test_every_network_that_ends_in_pooling_and_one_layer_is_explained(name: str, tmp_path: Path) -> None:
    check_sums(exported(name, tmp_path / "bundle"))


@pytest.mark.slow
def test_a_network_with_more_layers_after_its_maps_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="alexnet cannot be explained so"):
        Heat.of(exported("alexnet", tmp_path / "bundle"))


def test_an_embedding_that_is_no_mean_is_not_explained(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", np.ones((64, 2)), np.zeros(2))
    with pytest.raises(UserError, match="does not end in average pooling and one linear layer"):
        Heat.of(bundle)


def saved(picture: Image.Image, kind: str, orientation: int) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    picture.save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_upright_size_is_that_of_the_upright_picture(kind: str, orientation: int) -> None:
    data = saved(Image.new("RGB", (40, 20), "red"), kind, orientation)
    assert upright_size(data) == open_picture(data).size


@pytest.mark.parametrize("resize", ["shorter", "squash"])
@pytest.mark.parametrize("crop_frac", [1.0, 0.875, 0.5])
def test_the_box_holds_what_the_network_sees_and_no_more(resize: str, crop_frac: float) -> None:
    preprocess = Preprocess(size=16, resize=resize, crop_frac=crop_frac, interpolation="nearest")  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (96, 160, 3), dtype=np.uint8))
    seen = preprocess(picture)
    left, top, right, bottom = (round(edge) for edge in preprocess.kept(*picture.size))
    outside = np.asarray(picture).copy()
    outside[:top], outside[bottom:], outside[:, :left], outside[:, right:] = 0, 0, 0, 0
    assert np.array_equal(preprocess(Image.fromarray(outside)), seen)
    inside = np.asarray(picture).copy()
    inside[top:bottom, left:right] = 0
    assert not preprocess(Image.fromarray(inside)).any()


def test_heat_is_drawn_within_its_box_alone_and_where_it_is() -> None:
    picture = Image.new("RGB", (100, 60), (10, 20, 30))
    heat = np.array([[4.0, -1.0], [0.0, 0.0]], np.float32)
    drawn = np.asarray(over(picture, heat, (20, 0, 80, 60), side=1000)).astype(int)
    changed = np.abs(drawn - (10, 20, 30)).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    assert drawn.shape == (60, 100, 3)
    assert columns.min() >= 20
    assert (rows.mean(), columns.mean()) < (30, 50)
    assert changed[5, 25]
    assert not changed[-5:].any()
    assert not changed[:, -25:].any()


@pytest.mark.parametrize("heat", [-np.ones((3, 3)), np.zeros((3, 3)), np.full((1, 1), -1e30)])
@pytest.mark.filterwarnings("error")
def test_where_nothing_adds_the_picture_stays(heat: np.ndarray) -> None:
    picture = Image.new("RGB", (30, 30), (10, 20, 30))
    drawn = over(picture, heat.astype(np.float32), (0, 0, 30, 30), side=30)
    assert np.array_equal(np.asarray(drawn), np.asarray(picture))


@pytest.mark.parametrize("size", [(1, 1), (4000, 1), (1, 3000), (1500, 700)])
def test_pictures_of_any_shape_are_drawn_on(size: tuple[int, int]) -> None:
    drawn = over(Image.new("L", size), np.ones((7, 7), np.float32), COLOUR.kept(*size), side=1024)
    assert max(drawn.size) == min(1024, max(size))
    assert drawn.mode == "RGB"
