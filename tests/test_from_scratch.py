"""Trainings in NumPy as Runs, their graphs as Bundles, and what is compared with PyTorch."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from sightline import api
from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.core.stopping import Interrupted
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.evaluation.temperature import Temperature
from sightline.exporting.scratch import export_scratch
from sightline.from_scratch import parity
from sightline.from_scratch.recipe import Recipe
from sightline.run import VALIDATION, Run
from sightline.scratch.architectures import make
from sightline.scratch.bundles import from_bundle
from tests.pictures import write_folder
from tests.weights import write_weights

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes of photographs, 64 pixels a side."""
    folder = tmp_path_factory.mktemp("photos")
    return api.prepare(write_folder(folder / "photos", 40), folder / "dataset")


@pytest.fixture(scope="module")
def run(photos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A lenet that was trained on them."""
    return api.train_scratch(photos, "lenet", out=tmp_path_factory.mktemp("runs") / "run", epochs=6, batch_size=8)


def test_a_run_like_any_other(run: Run, photos: Dataset) -> None:
    assert Run.open(run.path).status == "done"
    results, history = run.document["results"], run.history()
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["step"] == results["steps"] == 6 * -(-len(photos.rows("train")) // 8)
    assert results["validation"]["top1"] == max(row["validation_top1"] for row in history)
    state = from_bundle(run.path / "bundle").network.state()
    assert results["parameters"] == sum(value.size for value in state.values())
    evaluation = api.evaluate(run)
    assert evaluation["top1"] > 0.8
    comparison = api.compare(photos, [], runs=[run], out=run.path.parent / "comparison")
    assert comparison["networks"][0]["top1"]["mean"] == evaluation["top1"]
    bundle = run.bundle()
    (said,) = bundle.predict([photos.name_of(photos.rows("test")[0])])
    assert said.error is None
    assert set(dict(said.classes)) == {"china", "flower"}
    pictures = Pixels(photos, bundle.preprocess).read(photos.rows("validation"))
    shares = np.bincount(bundle.run(pictures).logits.argmax(1))
    assert history[results["best_epoch"] - 1]["validation_commonest"] == shares.max() / shares.sum()
    assert len(bundle.experience.confidence) == len(photos.rows("validation"))


def test_the_bundle_is_what_was_best_its_head_by_the_temperature(
    photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.9, 0.8, float("nan")))

    def validated(self: Any) -> dict[str, float]:
        score = next(scores)
        return dict(zip(VALIDATION, (score, min(score, 1.0), 0.5, 1.0), strict=True))

    monkeypatch.setattr("sightline.from_scratch.training.Training.validated", validated)
    fitted = Temperature(2.0, 2.0, 1.5, 2.5)
    monkeypatch.setattr("sightline.evaluation.calibration.fit_temperature", lambda logits, labels: fitted)
    trained = api.train_scratch(photos, "lenet", out=tmp_path / "it", epochs=3)
    assert trained.document["results"]["best_epoch"] == 1
    assert trained.document["results"]["collapsed"] == {"commonest": 1.0, "recall": 0.5, "classes": 2}
    best, last, bundle = (
        load_file(trained.path / file)
        for file in ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "bundle/model.safetensors")
    )
    for name, value in bundle.items():
        np.testing.assert_array_equal(value, best[name] / (2 if name.startswith("fc2") else 1), err_msg=name)
    assert not np.array_equal(best["conv1.weight"], last["network.conv1.weight"])
    pictures = RANDOM.integers(0, 256, (5, 28, 28, 3), np.uint8)
    found = from_bundle(trained.path / "bundle").logits(pictures)
    np.testing.assert_allclose(found, trained.bundle().run(pictures).logits, rtol=1e-4, atol=1e-5)


def test_what_a_run_lost_is_named(run: Run, tmp_path: Path) -> None:
    for file, says in (("checkpoints/best.safetensors", "no weights in"), ("metrics.csv", "metrics.csv lacks epochs")):
        copy = shutil.copytree(run.path, tmp_path / Path(file).name)
        (copy / file).unlink()
        with pytest.raises(UserError, match=f"damaged run: .*{says}"):
            api.resume_scratch(Run.open(copy).update(status="interrupted"))


def test_it_learns_the_same_from_the_same_seed(photos: Dataset, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> dict[str, np.ndarray]:
        made = api.train_scratch(photos, "lenet", out=tmp_path / name, epochs=1, seed=seed)
        return from_bundle(made.path / "bundle").network.state()

    one, same, other = weights("one", 1), weights("same", 1), weights("other", 2)
    np.testing.assert_array_equal(one["conv1.weight"], same["conv1.weight"])
    assert not np.array_equal(one["conv1.weight"], other["conv1.weight"])


def test_what_was_stopped_goes_on(run: Run, photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.scratch import network

    calls = iter(range(10_000))
    forward = network.Network.forward

    def stopping(self: Any, *inputs: Any, **options: Any) -> Any:
        if options.get("training") and next(calls) == 17:  # in the third epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *inputs, **options)

    with monkeypatch.context() as patch:
        patch.setattr(network.Network, "forward", stopping)
        with pytest.raises(Interrupted, match="sightline scratch train --resume"):
            api.train_scratch(photos, "lenet", out=tmp_path / "it", epochs=6, batch_size=8)
    stopped = Run.open(tmp_path / "it")
    assert stopped.status == "interrupted"
    with pytest.raises(UserError, match="begun in NumPy: `sightline scratch train --resume"):
        from sightline.training import resume

        resume(stopped)
    with pytest.raises(UserError, match="no bundle yet, it is interrupted: finish it with `sightline scratch train"):
        stopped.bundle()
    again = api.resume_scratch(stopped)
    whole, later = (from_bundle(one.path / "bundle").network.state() for one in (run, again))
    for name, value in whole.items():
        np.testing.assert_array_equal(later[name], value, err_msg=name)
    figures = ("epoch", "train_loss", "validation_loss", "lr")
    assert [[row[key] for key in figures] for row in again.history()] == [
        [row[key] for key in figures] for row in run.history()
    ]
    with pytest.raises(UserError, match="is finished: nothing to resume"):
        api.resume_scratch(again)


def test_what_cannot_be_trained_is_said_before_a_run_begins(photos: Dataset, tmp_path: Path) -> None:
    for arch, options, says in (
        ("lenett", {}, 'no network "lenett" in NumPy.*did you mean "lenet"'),
        ("lenet", {"size": 8}, "a window of 5 x 5 does not fit a picture of 2 x 2"),
        ("resnet20:shortcut=Z", {}, 'no shortcut "Z"'),
        ("googlenet_small:width=-1", {}, "width -1 is out of range: it must be above 0 and at most 16"),
        ("mobilenet_v1:width=nan", {}, "width nan is out of range"),
        ("lenet", {"optimizer": "lion"}, 'no optimizer "lion" in NumPy: there are sgd, adam'),
        ("lenet", {"lr": -1}, "--lr -1 must be above 0"),
        ("lenet", {"lr": float("nan")}, "--lr nan must be above 0"),
        ("lenet", {"momentum": 1.0}, "--momentum 1 must be at least 0 and below 1"),
        ("lenet", {"optimizer": "adam", "momentum": 0.5}, "--momentum is of sgd, adam has none"),
        ("lenet", {"weight_decay": -1}, "--weight-decay -1 must be"),
        ("lenet", {"schedule": "none"}, 'no schedule "none"'),
    ):
        with pytest.raises(UserError, match=says):
            api.train_scratch(photos, arch, out=tmp_path / "it", **options)
        assert not (tmp_path / "it").exists()


def test_a_training_that_diverged_says_so(photos: Dataset, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=r"diverged at epoch 1, step \d+, first in"):
            api.train_scratch(photos, "lenet", out=tmp_path / "it", lr=1e9, epochs=3, schedule="constant")
        assert Run.open(tmp_path / "it").status == "diverged"
        with pytest.raises(UserError, match="lenet gives answers that are not finite"):  # in the very last step
            api.train_scratch(photos, "lenet", out=tmp_path / "one", lr=1e30, epochs=1, batch_size=1000)
        assert Run.open(tmp_path / "one").status == "diverged"


def test_the_algorithm_is_not_chosen_by_the_clock(
    photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["sightline.scratch.functional.convolution"]
    monkeypatch.setattr(module, "_faster", lambda *_: pytest.fail("it measured"))
    api.train_scratch(photos, "inception_small", out=tmp_path / "it", epochs=1, size=16)


def test_schedules_of_a_recipe() -> None:
    step = Recipe(lr=1.0, schedule="paper_step").make_schedule(8)
    assert [round(step(n), 4) for n in range(8)] == [1.0] * 4 + [0.1] * 2 + [0.01] * 2
    assert Recipe(lr=0.3, schedule="constant").make_schedule(8)(7) == 0.3
    assert Recipe().fitted(54_000) == replace(Recipe(), lr=0.05, batch_size=128, momentum=0.9)
    assert Recipe(momentum=0.0).fitted(54_000).momentum == 0
    assert Recipe(optimizer="adam").fitted(20) == replace(Recipe(optimizer="adam"), lr=0.001, batch_size=2)


@pytest.mark.parametrize(
    ("arch", "size", "style", "channels"),
    [
        ("lenet", 20, "torchvision", 1),
        ("resnet20", 32, "torchvision", 3),
        ("inception_small", 32, "torchvision", 3),
        ("googlenet_small", 64, "paper", 3),
        ("mobilenet_v2:width=0.25", 32, "paper", 3),
        ("mobilenet_v1:width=0.25", 48, "torchvision", 1),
        ("alexnet", 32, "paper", 3),
    ],
)
def test_each_network_s_graph_answers_as_it_does(
    arch: str, size: int, style: str, channels: int, tmp_path: Path
) -> None:
    """Every kind of layer has its form in ONNX; export_scratch refuses a graph that answers otherwise."""
    network = make(arch, classes=3, channels=channels, size=size, small=size <= 32, paper=style == "paper")
    network.initialise(0)
    for node in network.nodes.values():  # as if it had seen pictures
        for value in node.layer.kept.values():
            value += RANDOM.uniform(0, 0.3, value.shape).astype(np.float32)
    preprocess = Preprocess(size=size, channels=channels, mean=(0.4,) * channels, std=(0.2,) * channels)
    images = RANDOM.integers(0, 256, (2, size, size, channels), np.uint8)
    bundle = export_scratch(
        network, arch=arch, stem="small" if size <= 32 else "imagenet", style=style, classes=("a", "b", "c"),
        preprocess=preprocess, golden_images=images, metrics={}, data={}, out=tmp_path / "bundle",
    )  # fmt: skip
    answers = bundle.run(images)
    assert answers.embedding.shape == (2, bundle.card["embedding_dim"])
    assert answers.feature_map.ndim == 4
    assert np.ptp(answers.logits) > 1e-3
    np.testing.assert_allclose(from_bundle(bundle.path).logits(images), answers.logits, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A resnet20 of PyTorch's."""
    folder = tmp_path_factory.mktemp("exported")
    card = {"arch": "resnet20", "preprocess": {"resize": 32}}
    return api.export(write_weights(folder / "w.pth", "resnet20", card, settled=32), out=folder / "bundle")


def test_pytorch_s_network_answers_the_same_layer_by_layer(exported: Bundle) -> None:
    document = parity.verify(exported, layers=True)
    assert document["passed"]
    assert document["first"] is None
    assert {"conv1", "layer1.0.bn2", "layer3.2.conv1", "fc"} <= {one["name"] for one in document["layers"]}
    assert all(one["difference"] < 1e-5 for one in document["layers"])
    assert "layers" not in parity.verify(exported)


def test_the_first_layer_that_differs_is_named(exported: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt = from_bundle(exported.path)
    rebuilt.network.parameters["layer2.1.conv1.weight"][0] *= 1.5
    monkeypatch.setattr(parity, "from_bundle", lambda path: rebuilt)
    document = parity.verify(exported)
    assert not document["passed"]
    assert document["first"] == "layer2.1.conv1"


def test_what_cannot_be_compared_is_said(run: Run, exported: Bundle) -> None:
    document = parity.verify(run.bundle())
    assert document["passed"]
    assert 0 < document["runtime_difference"] < 1e-5
    with pytest.raises(UserError, match="lenet is in NumPy alone: leave out --layers"):
        parity.verify(run.bundle(), layers=True)


def test_pytorch_stays_out_of_a_training(tmp_path: Path) -> None:
    code = (
        "import sys, sightline.api as api; from pathlib import Path; from tests.pictures import write_folder;"
        "data = api.prepare(write_folder(Path(sys.argv[1]) / 'photos', 10), Path(sys.argv[1]) / 'data');"
        "run = api.train_scratch(data, 'lenet', out=Path(sys.argv[1]) / 'run', epochs=1); api.evaluate(run);"
        "assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
