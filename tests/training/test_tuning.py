"""Tuning: what stays as it came stays so to the last bit, and what is kept answers as the whole network would."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sightline import api
from sightline.core import artifact
from sightline.core.errors import UserError
from sightline.core.progress import SILENT, Progress
from sightline.data.dataset import Dataset
from sightline.models import ARCHITECTURES, Network, create
from sightline.run import Run
from sightline.runtime import Session
from sightline.training import resume
from sightline.training.tuning import Rest, Thaw, begins_at, freeze, stages, training_mode
from tests.weights import write_weights

SAID = {"arch": "resnet20", "preprocess": {"resize": [16, 16], "interpolation": "bilinear"}}
STAGES = {
    "resnet18": ["conv1", "maxpool layer1", "layer2", "layer3", "layer4"],
    "resnet20": ["conv1 layer1", "layer2", "layer3"],
    "googlenet": ["conv1", "maxpool1 conv2 conv3", "maxpool2 inception3a inception3b",
                  "maxpool3 inception4a inception4b inception4c inception4d inception4e",
                  "maxpool4 inception5a inception5b"],
}  # fmt: skip


def learnt(name: str, **options: Any) -> Network:
    torch.manual_seed(3)
    return create(name, num_classes=10, **options).eval()


def names_of(network: Network, size: int) -> list[str]:
    """The stages by the names of their modules that hold parameters or shrink the picture."""
    names = {id(module): name for name, module in network.named_modules()}
    kept = [[m for m in stage if list(m.parameters()) or "pool" in names[id(m)]] for stage in stages(network, 3, size)]
    return [" ".join(names[id(m)] for m in stage if not names[id(m)].startswith("bn")) for stage in kept]


@pytest.mark.parametrize("arch", STAGES)
def test_a_stage_works_at_one_resolution(arch: str) -> None:
    assert names_of(learnt(arch), ARCHITECTURES[arch].size) == STAGES[arch]


@pytest.mark.parametrize(("arch", "count"), [("mobilenet_v2", 5), ("efficientnet_b0", 5), ("vgg11", 5), ("alexnet", 3)])
def test_every_family_has_stages_and_all_of_its_trunk_is_in_one(arch: str, count: int) -> None:
    network = learnt(arch, **({"stem": "small"} if arch in ("vgg11", "alexnet") else {}))
    found = stages(network, 3, 64)
    assert len(found) == count
    assert [m for stage in found for m in stage] == list(network.trunk)
    assert all(any(list(m.parameters()) for m in stage) for stage in found)


def test_the_rest_of_a_network_answers_as_the_whole() -> None:
    network, x = learnt("resnet20"), torch.rand(2, 3, 16, 16)
    for begin in range(len(network.trunk) + 1):
        maps = x
        for module in network.trunk[:begin]:
            maps = module(maps)
        assert torch.equal(Rest(network, begin)(maps), network(x))


@pytest.mark.parametrize("tuned", [True, False])
def test_batch_norms_of_a_tuned_network_keep_their_statistics(tuned: bool) -> None:
    network = learnt("mobilenet_v2", stem="small")
    training_mode(network, tuned=tuned)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(torch.rand(4, 3, 16, 16))
    moved = any(not torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert moved != tuned
    assert network.classifier[0].training  # dropout


def test_what_is_counted_as_trained_gets_a_gradient() -> None:
    network = learnt("googlenet_small")
    begin = begins_at(network, "last", 3, 32)
    freeze(network, begin)
    rest = Rest(network, begin).train()
    maps = torch.rand(2, 3, 32, 32)
    for module in network.trunk[:begin]:
        maps = module(maps)
    rest(maps.detach()).sum().backward()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in network.named_parameters() if p.grad is not None}
    assert "fc.weight" in trained


def test_gradual_tuning_lets_one_stage_in_after_the_other() -> None:
    network = learnt("resnet20")
    thaw = Thaw(stages(network, 3, 16))
    learning = []
    for done in (0, 0.3, 0.34, 0.6, 0.67, 0.99):
        thaw(done)
        learning.append({name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad})
    last, two = {"fc", "layer3"}, {"fc", "layer3", "layer2"}
    assert learning == [last, last, two, two, *[two | {"layer1", "conv1", "bn1"}] * 2]
    assert thaw.share(network.fc.weight) == 1
    assert thaw.share(network.conv1.weight) == pytest.approx(2.6**-3)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of 100 classes."""
    torch.manual_seed(7)
    return write_weights(tmp_path / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)


def tuned(digits: Dataset, out: Path, weights: Path, tune: str, **options: Any) -> Run:
    return api.train(
        digits,
        weights=weights,
        out=out,
        tune=tune,
        **{"epochs": 2, "precision": "32", "batch_size": 128, "lr": 1e-4, **options},
    )


def moved_parts(file: Path, weights: Path) -> set[str]:
    """The parts of the network in `file` that are not to the last bit as they came."""
    found = load_file(file)
    now = {key.removeprefix("model."): value for key, value in found.items() if not key.startswith("optimizer.")}
    came = torch.load(weights, weights_only=True)
    return {key.split(".")[0] for key, value in now.items() if not torch.equal(value, came[key])}


@pytest.mark.parametrize(
    ("tune", "moved"),
    [
        ("head", {"fc"}),
        ("last", {"fc", "layer3"}),
        pytest.param("all", {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"}, marks=pytest.mark.slow),
    ],
)
def test_what_is_not_tuned_is_bit_identical(
    tune: str, moved: set[str], digits: Dataset, weights: Path, tmp_path: Path
) -> None:
    run = tuned(digits, tmp_path / "run", weights, tune)
    assert moved_parts(run.path / "bundle" / "model.safetensors", weights) == moved
    assert run.document["arguments"]["recipe"]["tune"] == tune
    sizes = {name: p.numel() for name, p in create("resnet20", num_classes=10).named_parameters()}
    results = run.document["results"]
    assert results["parameters"] == sum(sizes.values())
    assert results["trained_parameters"] == sum(n for name, n in sizes.items() if name.split(".")[0] in moved)


def test_gradual_ends_with_all_moved(digits: Dataset, weights: Path, tmp_path: Path) -> None:
    run = tuned(digits, tmp_path / "run", weights, "gradual", epochs=4)
    parts = {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"}
    assert moved_parts(run.path / "checkpoints" / "last.safetensors", weights) == parts


def test_the_head_needs_each_picture_once(
    digits: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, plain = [], Session.run

    def watched(self: Session, images: np.ndarray, **options: Any) -> Any:
        seen.append(len(images))
        return plain(self, images, **options)

    monkeypatch.setattr(Session, "run", watched)
    shutil.copytree(digits.path, tmp_path / "digits", ignore=shutil.ignore_patterns("frozen-*"))
    digits = Dataset.open(tmp_path / "digits")
    tuned(digits, tmp_path / "one", weights, "head")
    first, pictures = sum(seen), sum(len(digits.rows(split)) for split in ("train", "validation"))
    assert pictures <= first <= pictures + 40  # and a few to look at shapes, to compare and to verify
    seen.clear()
    tuned(digits, tmp_path / "two", weights, "head")
    assert sum(seen) <= 40


def test_further_views_are_kept_too(digits: Dataset, weights: Path, tmp_path: Path) -> None:
    def kept() -> list[np.ndarray]:
        return [np.load(path) for path in sorted((digits.path / "cache").glob("frozen-*.npy"))]

    shutil.copytree(digits.path, tmp_path / "digits", ignore=shutil.ignore_patterns("frozen-*"))
    digits = Dataset.open(tmp_path / "digits")
    tuned(digits, tmp_path / "one", weights, "head", views=2)
    first = kept()
    pictures = [len(digits.rows(split)) for split in ("train", "train", "validation")]
    assert sorted(map(len, first)) == sorted(pictures)
    plain, view = (array for array in first if len(array) == pictures[0])
    assert not np.allclose(plain, view, atol=1e-3)
    run = tuned(digits, tmp_path / "two", weights, "head", views=2, augment="strong")
    assert len(kept()) == 4  # the plain view and validation serve again
    listed = [name for entry in run.document["arguments"]["recipe"]["augment"] for name in entry]
    assert listed == ["random_resized_crop", "randaugment", "erasing"]  # nothing is mixed that is kept, nor mirrored


def test_the_rate_of_a_tuned_network_is_not_tested(digits: Dataset, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--lr auto tries rates on a network that has learnt nothing yet"):
        tuned(digits, tmp_path / "run", weights, "all", lr="auto")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tune", ["head", "last"])
def test_no_room_for_features_is_told_and_leaves_a_run_to_go_on_with(
    tune: str, digits: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(digits.path, tmp_path / "digits", ignore=shutil.ignore_patterns("frozen-*"))
    plain = artifact.file

    def full(path: Path) -> Any:
        if path.name.startswith("frozen-"):
            raise OSError(28, "No space left on device")
        return plain(path)

    monkeypatch.setattr(artifact, "file", full)
    with pytest.raises(UserError, match=r"cannot keep features \(.* GB\) in .*frozen-.*: No space left on device"):
        tuned(Dataset.open(tmp_path / "digits"), tmp_path / "run", weights, tune)
    monkeypatch.undo()
    assert not list((tmp_path / "digits" / "cache").glob("*frozen-*"))
    assert resume(Run.open(tmp_path / "run")).status == "done"


@pytest.mark.parametrize(
    ("tune", "options", "words"),
    [
        (None, {"views": 2}, "--keep-views is for layers that are not trained: give --weights"),
        ("all", {"views": 2}, "--keep-views is for layers that are not trained: leave it out with --tune all"),
        ("head", {"zero_init": True}, "--zero-init is how blank networks begin: leave it out with --weights"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    tune: str | None, options: dict[str, Any], words: str, digits: Dataset, weights: Path, tmp_path: Path
) -> None:
    begun = {"weights": weights, "tune": tune} if tune else {}
    with pytest.raises(UserError, match=words):
        api.train(digits, "resnet20", out=tmp_path / "run", **begun, **options)
    assert not (tmp_path / "run").exists()


def test_a_comparison_does_not_take_weights(digits: Dataset, weights: Path) -> None:
    with pytest.raises(UserError, match="train from weights first, and give those runs with --run"):
        api.compare(digits, ["resnet20"], weights=weights)


@pytest.mark.parametrize("options", [{"recipe": "fast"}, {"optimizer": "muon"}, {"growing": 0.5}])
def test_what_is_for_blank_networks_is_refused_with_weights(
    options: dict[str, Any], digits: Dataset, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--recipe fast and Muon are for a network that has learnt nothing yet"):
        api.train(digits, "resnet20", weights=weights, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("tune", "said"), [("head", ["--epochs, --batch, --lr change nothing"]), ("last", [])])
def test_what_a_head_has_no_use_for_is_named(tune: str, said: list[str], weights: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    ears = cast("Progress", SimpleNamespace(task=SILENT.task, note=heard.append))
    with pytest.raises(UserError, match="no such"):  # the note comes before the pictures are looked for
        api.train(tmp_path / "none", weights=weights, tune=tune, epochs=2, lr=0.1, batch_size=8, progress=ears)
    assert [text.split("steps: ")[1] for text in heard] == said


def test_tuning_needs_weights(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tune head needs a network that has learnt something: give --weights"):
        api.train(digits, "resnet20", tune="head", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
