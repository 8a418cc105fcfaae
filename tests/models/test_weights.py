from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from sightline.core.errors import UserError
from sightline.data.preprocess import IMAGENET_MEAN, IMAGENET_STD
from sightline.models import create
from sightline.models.weights import load_weights, read_weights


@pytest.fixture
def model() -> nn.Module:
    return create("resnet20", num_classes=10)


def cifar_test(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 500 test pictures as uint8 [N, 3, 32, 32] and their labels."""
    with zipfile.ZipFile(archive) as files:
        records = np.frombuffer(files.read("test_batch_first500.bin"), np.uint8).reshape(500, 3073)
    return records[:, 1:].reshape(500, 3, 32, 32), records[:, 0].astype(np.int64)


@pytest.mark.parametrize(
    ("file", "arch", "top1"), [("resnet20-12fca82f", "resnet20", 91.0), ("resnet56-4bfd9763", "resnet56", 94.0)]
)
def test_public_cifar_weights_score_what_they_score(
    file: str, arch: str, top1: float, shared: Callable[[str], Path]
) -> None:
    model = create(arch, num_classes=10).eval()
    assert load_weights(model, shared(f"data/cifar10_resnet/{file}.th")).complete
    pixels, labels = cifar_test(shared("data/cifar10/cifar10_subset.zip"))
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        logits = model(torch.from_numpy((pixels / np.float32(255) - mean) / std)).numpy()
    assert 100 * (logits.argmax(1) == labels).mean() == pytest.approx(top1, abs=0.4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".th"])
def test_round_trip(model: nn.Module, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    other = create("resnet20", num_classes=10)
    report = load_weights(other, path)
    assert report.complete
    assert report.loaded == tuple(model.state_dict())
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in other.state_dict().items())


def test_data_parallel_checkpoint_with_a_linear_head(model: nn.Module, tmp_path: Path) -> None:
    renamed = {f"module.{key.replace('fc.', 'linear.')}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": renamed, "best_prec1": 91.0}, tmp_path / "c.th")
    other = create("resnet20", num_classes=10)
    assert load_weights(other, tmp_path / "c.th").complete
    assert torch.equal(other.head.weight, model.get_parameter("fc.weight"))


def test_other_class_count_is_told_and_changes_nothing(model: nn.Module, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "ten.pth")
    other = create("resnet20", num_classes=3)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(UserError, match=r"fc\.weight is \(10, 64\) there and \(3, 64\) here"):
        load_weights(other, tmp_path / "ten.pth")
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_not_strict_loads_what_fits(model: nn.Module, tmp_path: Path) -> None:
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("layer3.2.")}
    torch.save({**state, "extra\n": torch.zeros(1)}, tmp_path / "part.pth")
    other = create("resnet20", num_classes=3)
    report = load_weights(other, tmp_path / "part.pth", strict=False)
    assert report.reshaped == (("fc.weight", (10, 64), (3, 64)), ("fc.bias", (10,), (3,)))
    assert report.unexpected == ("extra\n",)
    assert report.missing
    assert all(key.startswith("layer3.2.") for key in report.missing)
    assert torch.equal(other.get_parameter("conv1.weight"), model.get_parameter("conv1.weight"))


def test_missing_and_unexpected_keys_are_named_on_one_line(model: nn.Module, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    del state["bn1.weight"]
    torch.save({**state, "extra\n": torch.zeros(1)}, tmp_path / "odd.pth")
    with pytest.raises(UserError) as error:
        load_weights(model, tmp_path / "odd.pth")
    assert "missing bn1.weight" in str(error.value)
    assert "unexpected extra\\n" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"PK\x03\x04 not a zip", b"<html>404</html>"])
def test_damaged_files_are_told(model: nn.Module, tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(UserError, match="no readable weights file"):
        load_weights(model, tmp_path / f"w{suffix}")


def test_truncated_files_are_told(model: nn.Module, tmp_path: Path) -> None:
    for name, save in (("w.safetensors", safetensors.torch.save_file), ("w.pth", torch.save)):
        save(model.state_dict(), tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match="no readable weights file"):
            load_weights(model, tmp_path / name)


def test_code_in_a_checkpoint_never_runs(model: nn.Module, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    (tmp_path / "w.pth").write_bytes(pickle.dumps({"conv1.weight": Harmful()}, protocol=2))
    with pytest.raises(UserError, match="no readable weights file"):
        load_weights(model, tmp_path / "w.pth")
    torch.save({"state_dict": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="no readable weights file"):
        load_weights(model, tmp_path / "w.pth")
    assert not (tmp_path / "harm").exists()


def test_missing_file_and_foreign_content(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights file"):
        load_weights(model, tmp_path / "absent.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no table of weights"):
        load_weights(model, tmp_path / "list.pth")


def test_a_table_with_numbers_for_keys_is_refused(tmp_path: Path) -> None:
    torch.save({0: torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="holds no table of weights"):
        read_weights(tmp_path / "a.pt")
