"""What stands beside a weights file, from the user's words to the fields of a Preprocess."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.models.description import Preprocessing, read_description

SOUND: dict[str, Any] = {
    "arch": "mobilenet_v2",
    "style": "paper",
    "classes": 1000,
    "preprocess": {
        "resize": [224, 224],
        "crop": None,
        "interpolation": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    },
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a description; text as it is."""

    def to_file(document: Any) -> Path:
        path = tmp_path / "weights.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return to_file


@pytest.mark.parametrize(
    ("name", "arch", "style", "classes"),
    [
        ("mobilenet_v2/mobilenet_v2_imagenet", "mobilenet_v2", "paper", 1000),
        ("cifar10_resnet/resnet20-12fca82f", "resnet20", "paper", 10),
        ("cifar10_resnet/resnet56-4bfd9763", "resnet56", "paper", 10),
    ],
)
def test_real_ones(name: str, arch: str, style: str, classes: int, shared: Callable[[str], Path]) -> None:
    found = read_description(shared(f"data/{name}.json"))
    assert (found.network, found.style, found.classes) == (arch, style, classes)
    assert found.preprocess is not None
    preprocess = Preprocess(**found.preprocess.fields())
    assert preprocess.resize == "squash"
    assert preprocess.size == (224 if classes == 1000 else 32)
    assert preprocess.mean == ((0.5,) * 3 if classes == 1000 else Preprocess(1).mean)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"resize": [32, 32]}, Preprocess(32, resize="squash")),
        ({"resize": 224}, Preprocess(224)),
        ({"resize": 256, "crop": 224}, Preprocess(224, crop_frac=0.875)),
        ({"resize": 256, "crop": [224, 224]}, Preprocess(224, crop_frac=0.875)),
        ({"resize": [256, 256], "crop": 192}, Preprocess(192, resize="squash", crop_frac=0.75)),
        (
            {"resize": 28, "interpolation": "bicubic", "mean": [0.1], "std": [0.2]},
            Preprocess(28, 1, interpolation="bicubic", mean=(0.1,), std=(0.2,)),
        ),
    ],
)
def test_resize_and_crop_as_a_preprocess(words: dict[str, Any], expected: Preprocess) -> None:
    assert Preprocess(**Preprocessing(**words).fields()) == expected


@pytest.mark.parametrize(
    ("arch", "shortcut", "network"),
    [
        ("resnet20", "A", "resnet20"),
        ("resnet20", "B", "resnet20:shortcut=B"),
        ("resnet50", "B", "resnet50"),
        ("resnet18:activation=leaky_relu", "C", "resnet18:activation=leaky_relu,shortcut=C"),
        ("googlenet", None, "googlenet"),
    ],
)
def test_the_shortcut_is_an_option_of_the_network(
    arch: str, shortcut: str | None, network: str, write: Callable[[Any], Path]
) -> None:
    assert read_description(write({"arch": arch, "shortcut": shortcut})).network == network


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arch": 3}, "arch"),
        ({"arch": "mobilnet_v2"}, 'did you mean "mobilenet_v2"'),
        ({"arch": "googlenet", "shortcut": "A"}, "has no choice of shortcuts"),
        ({"style": "tensorflow"}, "style: must be 'torchvision' or 'paper'"),
        ({"stem": "big"}, "stem: must be 'imagenet' or 'small'"),
        ({"styel": "paper"}, "styel: no such entry"),
        ({"classes": 0}, "classes: must be"),
        ({"preprocess": "as usual"}, "preprocess"),
        ({"preprocess": {"resize": [224, 192]}}, "square"),
        ({"preprocess": {"resize": [224]}}, "preprocess.resize"),
        ({"preprocess": {"resize": 0}}, "preprocess.resize"),
        ({"preprocess": {"crop": 224}}, "preprocess.resize"),
        ({"preprocess": {"resize": 224, "crop": 256}}, "larger"),
        ({"preprocess": {"resize": 224, "interpolation": "magic"}}, "preprocess.interpolation"),
        ({"preprocess": {"resize": 224, "mean": [0.5, 0.5], "std": [1, 1]}}, "mean and std"),
        ({"preprocess": {"resize": 224, "mean": [0.5] * 3}}, "go together"),
        ({"preprocess": {"resize": 224, "mean": [0.5] * 3, "std": [0.5, 0, 0.5]}}, "preprocess.std.1"),
        ({"preprocess": {"resize": 224, "mean": [float("nan")] * 3, "std": [0.5] * 3}}, "preprocess.mean.0"),
    ],
)
def test_a_wrong_entry_is_named_on_one_line(change: dict[str, Any], words: str, write: Callable[[Any], Path]) -> None:
    with pytest.raises(UserError) as caught:
        read_description(write({**SOUND, **change}))
    assert words in str(caught.value)
    assert "weights.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\0"])
def test_damaged_descriptions_are_told(content: str, write: Callable[[Any], Path]) -> None:
    with pytest.raises(UserError, match=r"damaged description of weights: .*weights\.json"):
        read_description(write(content))
