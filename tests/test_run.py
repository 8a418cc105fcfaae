"""The Run document: opening, creating, rewriting, history."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.run import Run

DOCUMENT: dict[str, Any] = {
    "status": "running",
    "arguments": {"arch": "resnet20", "recipe": {"epochs": 3}},
    "seed": 7,
    "data": {"name": "digits", "path": "/data", "fingerprint": "abc", "classes": ["0", "1"], "counts": {}},
    "machine": {},
    "versions": {},
}
NUMBERS = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False))
ROWS = st.lists(st.fixed_dictionaries({"epoch": st.integers(1), "lr": NUMBERS, "validation_top1": NUMBERS}), min_size=1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "first", DOCUMENT)


def rewrite(run: Run, **changes: Any) -> None:
    document = {key: value for key, value in (run.document | changes).items() if value is not None}
    (run.path / "run.json").write_text(json.dumps(document))


def test_what_is_created_opens_equal(run: Run) -> None:
    again = Run.open(run.path)
    assert again == run
    assert (again.arch, again.seed, again.status, again.fingerprint, again.name) == (
        "resnet20", 7, "running", "abc", "first",
    )  # fmt: skip
    assert [path.name for path in run.path.parent.iterdir()] == ["first"]  # no temporary left


def test_create_never_replaces(run: Run) -> None:
    with pytest.raises(UserError, match="exists already"):
        Run.create(run.path, DOCUMENT)


def test_a_bare_name_is_looked_up_under_runs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Run.open("first").path == Path("runs/first")
    (tmp_path / "first").mkdir()  # a stranger's folder of the same name does not hide the run
    assert Run.open("first").path == Path("runs/first")
    with pytest.raises(UserError, match=r'no run frist, did you mean "first"\?'):
        Run.open("frist")
    with pytest.raises(UserError, match="neither a run directory nor a name under runs/"):
        Run.open("zzz\nzzz")
    with pytest.raises(UserError) as caught:
        Run.open("zzz\nzzz")
    assert "\n" not in str(caught.value)


def test_a_folder_without_run_json(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.json is missing"):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, this Sightline reads 1"),
        ({"status": "asleep"}, "status in run.json"),
        ({"seed": None}, "seed in run.json"),
        ({"arguments": {}}, "arguments.arch in run.json"),
        ({"data": {"name": "x"}}, "data.fingerprint in run.json"),
        ({"data": []}, "data in run.json"),
    ],
)
def test_damaged_documents(run: Run, changes: dict[str, Any], message: str) -> None:
    rewrite(run, **changes)
    with pytest.raises(UserError, match=message):
        Run.open(run.path)


def test_a_truncated_document(run: Run) -> None:
    text = (run.path / "run.json").read_bytes()
    (run.path / "run.json").write_bytes(text[: len(text) // 2])
    with pytest.raises(UserError, match="damaged run"):
        Run.open(run.path)


def test_update_replaces_entries_on_disk(run: Run) -> None:
    changed = run.update(status="done", results={"epochs": 3})
    assert changed.status == "done"
    assert run.status == "running"
    assert Run.open(run.path) == changed


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("running", "is running: finish it with `sightline train --resume"),
        ("interrupted", "is interrupted: finish it with `sightline train --resume"),
        ("diverged", "is diverged: train again with a lower --lr"),
    ],
)
def test_an_unfinished_run_has_no_bundle(run: Run, status: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run.update(status=status).bundle()


def test_the_resume_command_quotes_the_path(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "my run", DOCUMENT)
    with pytest.raises(UserError, match=f"--resume '{run.path}'"):
        run.bundle()


def test_no_history_before_the_first_epoch(run: Run) -> None:
    assert run.history() == []


@given(rows=ROWS)
def test_history_round_trips_with_types(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    run = Run.create(tmp_path_factory.mktemp("run") / "r", DOCUMENT)
    run.write_history(rows)
    read = run.history()
    assert read == rows
    assert all(type(read[i][key]) is type(value) for i, row in enumerate(rows) for key, value in row.items())


def test_history_keeps_nan_and_late_columns(run: Run) -> None:
    run.write_history([{"epoch": 1}, {"epoch": 2, "train_loss": math.nan}])
    first, second = run.history()
    assert first == {"epoch": 1, "train_loss": None}
    assert math.isnan(second["train_loss"] or 0)


@pytest.mark.parametrize("text", ["epoch,lr\n1,much\n", "epoch,lr\n1,0.1,3\n", "epoch,lr\n1\n", 'epoch,lr\n1,"0.1\n'])
def test_a_damaged_history(run: Run, text: str) -> None:
    (run.path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=r"damaged .*metrics\.csv"):
        run.history()


def test_reading_a_run_loads_nothing_heavy(run: Run) -> None:
    code = (
        f"import sys; from sightline.run import Run; r = Run.open({str(run.path)!r}); r.history();"
        "print([m for m in ('torch', 'pyarrow', 'onnxruntime', 'numpy', 'scipy', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
