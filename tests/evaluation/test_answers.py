"""A network's answers: right, kept, and never those of something else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.evaluation import answers as module
from sightline.evaluation.answers import answer
from sightline.run import Run
from tests.tiny_network import make_bundle, make_run, prototypes, write


@pytest.fixture
def run(tmp_path: Path, digits: Dataset) -> Run:
    return make_run(tmp_path / "run", digits)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The splits that were really computed, in order."""
    seen: list[str] = []
    plain = module._compute

    def counted(bundle: Any, dataset: Any, rows: Any, split: str, progress: Any) -> Any:
        seen.append(split)
        return plain(bundle, dataset, rows, split, progress)

    monkeypatch.setattr(module, "_compute", counted)
    return seen


def test_the_logits_are_the_networks_own(run: Run, digits: Dataset) -> None:
    answers = answer(run, digits)
    weight, bias = prototypes(digits)
    pixels = np.stack([np.asarray(digits.picture(row), np.float64).reshape(-1) / 255 for row in answers.rows])
    assert np.allclose(answers.logits, 10 * (pixels @ weight + bias), atol=1e-3)
    assert np.array_equal(answers.labels, digits.labels(digits.rows("test")))
    assert (answers.logits.argmax(1) == answers.labels).mean() > 0.8


def test_they_are_kept_and_reused(run: Run, digits: Dataset, computed: list[str]) -> None:
    first, again = answer(run, digits), answer(run, digits)
    assert computed == ["test"]
    assert np.array_equal(first.logits, again.logits)
    assert np.array_equal(first.rows, again.rows)
    assert np.array_equal(first.labels, again.labels)
    assert first.seconds == again.seconds
    answer(run, digits, "validation")
    assert computed == ["test", "validation"]


def test_of_another_network_or_other_data_they_are_computed_anew(
    run: Run, digits: Dataset, computed: list[str], tmp_path: Path
) -> None:
    answer(run, digits)
    other = make_bundle(tmp_path / "other", digits, noise=0.3)
    changed = answer(other, digits, keep=run.path)
    assert computed == ["test", "test"]
    assert np.array_equal(changed.logits, answer(other, digits).logits)
    answer(run, dataclasses.replace(digits, fingerprint="f" * 64))
    assert computed == ["test"] * 4


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_damaged_file_is_computed_anew(run: Run, digits: Dataset, computed: list[str], damage: bytes | None) -> None:
    first = answer(run, digits)
    path = run.path / "answers-test.npz"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert np.array_equal(answer(run, digits).logits, first.logits)
    assert computed == ["test", "test"]


def test_a_bundle_keeps_nothing(tmp_path: Path, digits: Dataset) -> None:
    bundle = make_bundle(tmp_path / "bundle", digits)
    answer(bundle, digits)
    assert not list(tmp_path.glob("**/answers*"))


def test_a_run_that_cannot_be_written_is_measured_all_the_same(
    run: Run, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_bytes", full)
    assert len(answer(run, digits).rows) == len(digits.rows("test"))


def test_an_empty_split(run: Run, digits: Dataset) -> None:
    table = dataclasses.replace(digits.table, split=np.full(len(digits.table), "train"))
    with pytest.raises(UserError, match="digits has no test pictures"):
        answer(run, dataclasses.replace(digits, table=table))


def test_an_unknown_split(run: Run, digits: Dataset) -> None:
    with pytest.raises(UserError, match='unknown split "tets", did you mean "test"'):
        answer(run, digits, "tets")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([str(i) for i in reversed(range(10))], "their order differs"),
        ([str(i) for i in range(9)] + ["nine"], "9 is in one only"),
    ],
)
def test_a_network_of_other_classes(tmp_path: Path, digits: Dataset, classes: list[str], message: str) -> None:
    bundle = make_bundle(tmp_path / "bundle", digits, classes=classes)
    with pytest.raises(UserError, match=message):
        answer(bundle, digits)


def test_a_logit_that_is_no_number_names_the_picture(tmp_path: Path, digits: Dataset) -> None:
    weight, bias = prototypes(digits)
    weight[8 * 3 + 4] = 3e38  # overflows where that pixel is white; the golden pictures are dark
    bundle = write(tmp_path / "bundle", weight, bias + 5e37)
    with pytest.raises(UserError, match=r"gives no number for .*images\.npy#\d+"):
        answer(bundle, digits)
