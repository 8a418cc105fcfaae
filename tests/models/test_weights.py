from __future__ import annotations

import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from sightline.core.errors import UserError
from sightline.models import ARCHITECTURES, Network, create
from sightline.models.weights import compare, load_weights, read_weights


@pytest.fixture
def model() -> Network:
    return create("resnet20", num_classes=10)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".th"])
def test_round_trip(model: Network, tmp_path: Path, suffix: str) -> None:
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


def test_data_parallel_checkpoint_with_a_linear_head(model: Network, tmp_path: Path) -> None:
    renamed = {f"module.{key.replace('fc.', 'linear.')}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": renamed, "best_prec1": 91.0}, tmp_path / "c.th")
    other = create("resnet20", num_classes=10)
    assert load_weights(other, tmp_path / "c.th").complete
    assert torch.equal(other.head.weight, model.get_parameter("fc.weight"))


def test_prefixes_in_rows_and_a_head_of_either_name(model: Network, tmp_path: Path) -> None:
    state = {f"module.module.{key}": value for key, value in model.state_dict().items()}
    torch.save(state, tmp_path / "twice.pth")
    assert read_weights(tmp_path / "twice.pth").keys() == model.state_dict().keys()
    torch.save({**model.state_dict(), "linear.weight": torch.zeros(1)}, tmp_path / "both.pth")
    found = read_weights(tmp_path / "both.pth")
    assert torch.equal(found["fc.weight"], model.head.weight)
    assert compare(model, found).unexpected == ("linear.weight",)


def test_files_from_before_batch_norm_counted_its_batches(model: Network, tmp_path: Path) -> None:
    state = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert load_weights(model, tmp_path / "old.pth").complete


def test_capitals_and_whole_networks(model: Network, tmp_path: Path) -> None:
    safetensors.torch.save_file(model.state_dict(), tmp_path / "W.SAFETENSORS")
    assert load_weights(model, tmp_path / "W.SAFETENSORS").complete
    torch.save(model, tmp_path / "whole.pth")
    with pytest.raises(UserError, match=r"whole\.pth is no readable weights file: .* save the network's state_dict"):
        load_weights(model, tmp_path / "whole.pth")
    (tmp_path / "W.SAFETENSORS").rename(tmp_path / "renamed.pth")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><title>404</title>")
    (tmp_path / "numpy.pth").write_bytes(pickle.dumps({"conv1.weight": [1.0]}))
    for name in ("renamed.pth", "page.pth", "numpy.pth"):
        with warnings.catch_warnings(), pytest.raises(UserError) as error:
            warnings.simplefilter("error")
            load_weights(model, tmp_path / name)
        assert "code" not in str(error.value)


def test_another_class_count_keeps_the_last_layer_and_says_so(model: Network, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "ten.pth")
    other = create("resnet20", num_classes=3)
    head = other.head.weight.clone()
    report = load_weights(other, tmp_path / "ten.pth")
    assert report.replaced == (("fc.weight", (10, 64), (3, 64)), ("fc.bias", (10,), (3,)))
    assert (report.fits, report.complete, report.reshaped, report.classes) == (True, False, (), 10)
    assert torch.equal(other.head.weight, head)
    assert torch.equal(other.get_parameter("conv1.weight"), model.get_parameter("conv1.weight"))


def test_auxiliary_heads_are_replaced_too(tmp_path: Path) -> None:
    torch.save(create("googlenet_small", num_classes=1000).state_dict(), tmp_path / "w.pth")
    report = load_weights(create("googlenet_small", num_classes=2), tmp_path / "w.pth")
    layers = {key.rpartition(".")[0] for key, _, _ in report.replaced}
    assert layers == {"fc", "aux1.fc2", "aux2.fc2"}


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "resnet1202"])
def test_of_every_network_another_class_count_replaces_last_layers_alone(name: str) -> None:
    with torch.device("meta"):
        here, there = (create(name, num_classes=count) for count in (7, 1000))
    report = compare(here, there.state_dict())
    assert report.fits
    assert report.classes == 1000
    assert {key for key, _, _ in report.replaced} >= head_keys(here)
    assert all(wanted[0] == 7 and found[0] == 1000 for _, found, wanted in report.replaced)
    assert len(report.loaded) + len(report.replaced) == len(here.state_dict())


def head_keys(model: Network) -> set[str]:
    """The keys of the last layer."""
    return {key for key, value in model.named_parameters() if value is model.head.weight or value is model.head.bias}


@pytest.mark.parametrize("there", ["yes", "no"])
def test_auxiliary_heads_on_one_side_alone_are_told_and_no_error(there: str, tmp_path: Path) -> None:
    here = {"yes": "no", "no": "yes"}[there]
    torch.save(create(f"googlenet_small:aux={there}", num_classes=3).state_dict(), tmp_path / "w.pth")
    report = load_weights(create(f"googlenet_small:aux={here}", num_classes=3), tmp_path / "w.pth")
    told, silent = (report.unexpected, report.missing) if there == "yes" else (report.missing, report.unexpected)
    assert {key.partition(".")[0] for key in told} == {"aux1", "aux2"}
    assert silent == ()


def test_a_strict_misfit_changes_nothing(model: Network, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "ten.pth")
    other = create("resnet20", num_classes=3, in_channels=1)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(UserError, match=r"conv1\.weight is \(16, 3, 3, 3\) there and \(16, 1, 3, 3\) here"):
        load_weights(other, tmp_path / "ten.pth")
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_not_strict_loads_what_fits(model: Network, tmp_path: Path) -> None:
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("layer3.2.")}
    state["conv1.weight"] = torch.zeros(16, 1, 3, 3)
    torch.save({**state, "extra\n": torch.zeros(1)}, tmp_path / "part.pth")
    other = create("resnet20", num_classes=10)
    report = load_weights(other, tmp_path / "part.pth", strict=False)
    assert report.reshaped == (("conv1.weight", (16, 1, 3, 3), (16, 3, 3, 3)),)
    assert report.unexpected == ("extra\n",)
    assert report.missing
    assert all(key.startswith("layer3.2.") for key in report.missing)
    assert torch.equal(other.head.weight, model.head.weight)


def test_missing_and_unexpected_keys_are_named_on_one_line(model: Network, tmp_path: Path) -> None:
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
def test_damaged_files_are_told(model: Network, tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(UserError, match="no readable weights file"):
        load_weights(model, tmp_path / f"w{suffix}")


def test_truncated_files_are_told(model: Network, tmp_path: Path) -> None:
    for name, save in (("w.safetensors", safetensors.torch.save_file), ("w.pth", torch.save)):
        save(model.state_dict(), tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match="no readable weights file"):
            load_weights(model, tmp_path / name)


def test_code_in_a_checkpoint_never_runs(model: Network, tmp_path: Path) -> None:
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


def test_missing_file_and_foreign_content(model: Network, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights file"):
        load_weights(model, tmp_path / "absent.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no table of weights"):
        load_weights(model, tmp_path / "list.pth")


def test_a_table_with_numbers_for_keys_is_refused(tmp_path: Path) -> None:
    torch.save({0: torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="holds no table of weights"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1.0, float("nan")]),
        torch.ones(2, dtype=torch.int8),
        torch.ones(2, device="meta"),
        torch.ones(2).to(torch.float8_e4m3fn),
    ],
)
def test_numbers_no_network_can_take_are_named(value: torch.Tensor, tmp_path: Path) -> None:
    torch.save({"bn1.weight": torch.ones(2), "bn1.bias": value}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"bn1\.bias in .*a\.pt holds numbers no network can have"):
        read_weights(tmp_path / "a.pt")


def test_a_negative_variance_is_named(tmp_path: Path) -> None:
    torch.save({"bn1.weight": -torch.ones(2), "bn1.running_var": torch.tensor([1.0, -1.0])}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"damaged weights: bn1\.running_var"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_whatever_bytes_are_damaged_the_answer_is_weights_or_one_line(form: str, tmp_path: Path) -> None:
    chance, path = random.Random(form), tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    tensors = {"conv1.weight": torch.ones(2, 3), "module.fc.bias": torch.ones(4)}
    if form == "safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors}, path, _use_new_zipfile_serialization=form == "zip")
    sound = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        assert_weights_or_one_line(path)


def assert_weights_or_one_line(path: Path) -> None:
    """Reading `path` gives tensors or a UserError of one line."""
    found: dict[str, Any] = {}
    said = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read_weights(path)
        except UserError as error:
            said = str(error)
    assert "\n" not in said
    assert all(isinstance(value, torch.Tensor) for value in found.values())
