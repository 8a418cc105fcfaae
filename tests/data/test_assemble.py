from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.data import perceptual
from sightline.data.assemble import Labelled, Plan, assemble
from sightline.data.audit import Findings
from sightline.data.manifest import Manifest
from tests.data.made import picture

PLAN = Plan(None, 0.15, 0)
Row = tuple[str, int, str, int]  # name, class, split, picture (negative: another file of nearly the same picture)


def findings(pictures: Sequence[int]) -> Findings:
    found = Findings.empty(len(pictures))
    greys = np.stack([perceptual.small(picture(abs(number))) for number in pictures])
    found.phash[:], found.thumb[:] = perceptual.looks(greys)
    found.width[:] = found.height[:] = 64
    for row, number in enumerate(pictures):
        found.sha256[row] = np.random.default_rng(number % 2**32).integers(0, 256, 32)
    return found


def assembled(
    rows: list[Row], reasons: dict[int, str] | None = None, plan: Plan = PLAN, whole: bool = False
) -> Manifest:
    names, labels, splits, numbers = (list(column) for column in zip(*rows, strict=True))
    found = findings(numbers)
    for row, reason in (reasons or {}).items():
        found.reason[row] = reason
    strays = {row: "in no class folder" for row, label in enumerate(labels) if label < 0}
    source = Labelled(names, ("cat", "dog"), np.asarray(labels), np.asarray(splits), strays, whole)
    return assemble(source, found, plan, "photos")


def fillers(split: str, first: int = 100, count: int = 4) -> list[Row]:
    return [(f"{split}{label}-{n}", label, split, first + 50 * label + n) for label in (0, 1) for n in range(count)]


def test_the_first_copy_in_a_class_stays() -> None:
    table = assembled([("a", 0, "", 1), ("b", 0, "", 1), ("c", 0, "", 1), *fillers("")])
    assert table.reason[:3] == ["", "exact duplicate of a", "exact duplicate of a"]
    assert table.verdict.tolist()[:4] == ["fine", "quarantined", "quarantined", "fine"]
    assert table.split[1] == table.split[2] == ""


def test_the_same_picture_under_two_classes_goes_altogether() -> None:
    table = assembled([("a", 0, "", 1), ("b", 1, "", 1), ("c", 0, "", 1), *fillers("")])
    assert table.reason[:3] == ["same picture under two classes: cat and dog"] * 3
    assert set(table.split[:3]) == {""}


def test_of_copies_in_several_splits_the_test_one_stays() -> None:
    rows = [("a", 0, "train", 1), ("b", 0, "validation", 1), ("c", 0, "test", 1), ("d", 0, "test", 1)]
    others = [*fillers("train"), *fillers("validation", 300), *fillers("test", 500)]
    table = assembled([*rows, *others])
    leak = "leak: same picture in test: c"
    assert table.reason[:4] == [leak, leak, "", "exact duplicate of c"]
    table = assembled([*rows[:2], *others])
    assert table.reason[:2] == ["leak: same picture in validation: b", ""]


def test_near_copies_stay_with_notes_on_one_side() -> None:
    rows = [("a", 0, "", 1), ("b", 0, "", -1), ("c", 0, "", 2), ("d", 1, "", -2)]
    for seed in range(10):
        table = assembled([*rows, *fillers("")], plan=Plan(0.3, 0.3, seed))
        assert table.notes[:4] == ["near-duplicate"] * 2 + ["near-conflict, near-duplicate"] * 2
        assert set(table.verdict[:4]) == {"noted"}
        assert table.group[:4].tolist() == [0, 0, 2, 2]
        assert table.split[0] == table.split[1]
        assert table.split[2] == table.split[3]


def test_near_leaks_are_noted_and_splits_kept() -> None:
    table = assembled([("a", 0, "train", 1), ("b", 0, "test", -1), *fillers("train"), *fillers("test", 500)])
    assert table.notes[:2] == ["near-duplicate, near-leak"] * 2
    assert table.split[1] == "test"
    assert table.split[0] in ("train", "validation")


def test_bad_files_and_strays_are_quarantined_and_copies_of_them_are_not_judged() -> None:
    rows = [("a", 0, "", 1), ("b", 0, "", 1), ("stray", -1, "", 1), ("notes.txt", -1, "", 2), *fillers("")]
    table = assembled(rows, {0: "truncated or corrupt", 3: "not an image"})
    assert table.reason[:4] == ["truncated or corrupt", "", "in no class folder", "not an image"]
    assert table.verdict.tolist()[:4] == ["quarantined", "fine", "quarantined", "quarantined"]


def test_given_splits_are_kept() -> None:
    rows = [*fillers("train"), *fillers("validation", 300), *fillers("test", 500)]
    table = assembled(rows)
    assert table.split.tolist() == [split for _, _, split, _ in rows]


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_a_single_held_out_split_is_the_test(held_out: str) -> None:
    rows = [*fillers("train"), *fillers(held_out, 500)]
    table = assembled(rows)
    assert set(table.split[8:]) == {"test"}
    assert set(table.split[:8]) == {"train", "validation"}


def test_train_alone_is_split() -> None:
    assert set(assembled(fillers("train")).split) == {"train", "validation", "test"}


def test_a_large_published_train_part_gives_a_tenth() -> None:
    rows = [(str(n), n % 2, "train", n % 50) for n in range(5010)]
    source = Labelled([], (), np.zeros(0), np.asarray([row[2] for row in rows]), {}, whole=True)
    assert Plan(None, 0.15, 0).parts(source)["validation"] == 0.1
    assert Plan(0.2, 0.15, 0).parts(source)["validation"] == 0.2
    small = Labelled([], (), np.zeros(0), np.asarray(["train"] * 5000), {}, whole=True)
    folder = Labelled([], (), np.zeros(0), source.splits, {})
    assert Plan(None, 0.15, 0).parts(small)["validation"] == Plan(None, 0.15, 0).parts(folder)["validation"] == 0.15


def test_classes_without_a_good_picture_are_told() -> None:
    with pytest.raises(UserError, match='class "dog" of photos has no good picture'):
        assembled([("a", 0, "", 1), ("b", 1, "", 2)], {1: "empty file"})
    with pytest.raises(UserError, match='class "dog" of photos has no good picture'):
        assembled([*fillers("train")[:4], *fillers("test", 500)])
    with pytest.raises(UserError, match=r"no good picture among its 2 files \(a: empty file\)"):
        assembled([("a", 0, "", 1), ("b", 1, "", 2)], {0: "empty file", 1: "empty file"})
    with pytest.raises(UserError, match="no good picture"):  # all of a class's pictures are in the other one too
        assembled([("a", 0, "", 1), ("b", 1, "", 1), ("c", 0, "", 3)])
