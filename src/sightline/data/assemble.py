"""From what a source says and the audit found to the manifest: verdicts, notes, groups and the split.

Exact copies of one class: the first stays, in the order test, validation, train, name; the others are quarantined, as
a leak where they lie in another split. One picture under two classes: no copy stays, for nobody knows the right
label. Near copies stay, with notes, and share a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.core.errors import UserError, named
from sightline.data import duplicates
from sightline.data.audit import Findings
from sightline.data.layout import safe
from sightline.data.manifest import FINE, NOTED, QUARANTINED, WORDS, Manifest
from sightline.data.split import split

PRECEDENCE = {"test": 0, "validation": 1, "train": 2, "": 2}
VALIDATION_FRAC, LARGE, LARGE_VALIDATION_FRAC = 0.15, 5000, 0.1


@dataclass(frozen=True)
class Labelled:
    """What a source says of its N files: names, classes, class numbers (-1: none), splits ("": none), and strays, why
    by file number. `whole` means its train part is as published, so that a large one gives a smaller share away.
    """

    paths: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    strays: dict[int, str]
    whole: bool = False


@dataclass(frozen=True)
class Plan:
    """How to split what comes without a split. `validation_frac=None`: 0.15, or 0.1 of a large published train part."""

    validation_frac: float | None
    test_frac: float
    seed: int

    def parts(self, source: Labelled) -> dict[str, float]:
        """The share of each part, in the order they are cut."""
        large = source.whole and np.count_nonzero(source.splits == "train") > LARGE
        usual = LARGE_VALIDATION_FRAC if large else VALIDATION_FRAC
        return {"test": self.test_frac, "validation": usual if self.validation_frac is None else self.validation_frac}


def assemble(source: Labelled, found: Findings, plan: Plan, name: str) -> Manifest:
    """The manifest of `source`, called `name` in the UserError raised when a class has no good picture."""
    splits = _given(source.splits.astype(WORDS["split"]))
    reason = [why or source.strays.get(row, "") for row, why in enumerate(found.reason)]
    _check_classes(source, splits, reason, name)
    _copies(source, splits, found.sha256, reason)
    _check_classes(source, splits, reason, name)
    good = _good(reason)
    group = np.arange(len(reason), dtype=np.int32)
    short = np.minimum(found.width, found.height)[good]
    group[good] = good[duplicates.near_groups(found.phash[good], found.thumb[good], short)]
    notes = _notes(source, splits, found, group)
    verdict = [QUARANTINED if why else NOTED if note else FINE for why, note in zip(reason, notes, strict=True)]
    return Manifest(
        path=source.paths,
        label=source.labels.astype(np.int32),
        split=_split(source, splits, found, group, good, plan),
        verdict=np.asarray(verdict, WORDS["verdict"]),
        reason=reason,
        notes=notes,
        width=found.width,
        height=found.height,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
        phash=found.phash,
        group=group,
    )


def _good(reason: list[str]) -> np.ndarray:
    return np.flatnonzero(np.asarray([not why for why in reason], bool))


def _given(splits: np.ndarray) -> np.ndarray:
    """The source's own splits: a single held-out one is the test, train alone is none."""
    names = set(splits.tolist()) - {""}
    if names == {"train"}:
        return np.full_like(splits, "")
    return np.where(splits == "validation", "test", splits) if names == {"train", "validation"} else splits


def _check_classes(source: Labelled, splits: np.ndarray, reason: list[str], name: str) -> None:
    if len(source.classes) < 2:
        raise UserError(f"{named(name)} has one class only: at least two are needed to tell them apart")
    good = _good(reason)
    if not len(good):
        first = next(row for row, label in enumerate(source.labels) if label >= 0)
        told = f"{named(source.paths[first])}: {reason[first]}"
        raise UserError(f"{named(name)} has no good picture among its {len(reason)} files ({told})")
    train = good[(splits[good] == "train") | (splits[good] == "")]
    for label in np.flatnonzero(np.bincount(source.labels[train], minlength=len(source.classes)) == 0):
        held_out = sorted({str(part) for part in splits[good][source.labels[good] == label]})
        instead = f", it is in {' and '.join(held_out)} only" if held_out else ""
        raise UserError(
            f'class "{named(source.classes[label])}" of {named(name)} has no good picture to train on{instead}: '
            "add some, or remove the class"
        )


def _copies(source: Labelled, splits: np.ndarray, sha256: np.ndarray, reason: list[str]) -> None:
    """Write the reasons of exact copies."""
    good = _good(reason)
    first = duplicates.exact_groups(sha256[good])
    copies = np.flatnonzero(np.bincount(first, minlength=len(good))[first] > 1)
    order = copies[np.argsort(first[copies], kind="stable")]
    for part in np.split(good[order], np.flatnonzero(np.diff(first[order])) + 1):
        labels = sorted(set(source.labels[part].tolist()))
        if len(labels) > 1:
            classes = " and ".join(source.classes[label] for label in labels)
            for row in part:
                reason[row] = f"same picture under two classes: {classes}"
        elif len(part):
            kept = min(part, key=lambda row: (PRECEDENCE[str(splits[row])], row))
            twin = safe(source.paths[kept])
            for row in part[part != kept]:
                leak = splits[row] != splits[kept]
                reason[row] = f"leak: same picture in {splits[kept]}: {twin}" if leak else f"exact duplicate of {twin}"


def _notes(source: Labelled, splits: np.ndarray, found: Findings, group: np.ndarray) -> list[str]:
    """The audit's notes, and those that near copies earn: which group they share decides."""
    notes = list(found.notes)
    near = np.flatnonzero(np.bincount(group, minlength=len(group))[group] > 1)
    order = near[np.argsort(group[near], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        conflict = ["near-conflict"] if len(set(source.labels[part].tolist())) > 1 else []
        leak = ["near-leak"] if len(set(splits[part].tolist())) > 1 else []
        for row in part:
            own = [note for note in notes[row].split(", ") if note]
            notes[row] = ", ".join(sorted([*own, "near-duplicate", *conflict, *leak]))
    return notes


def _split(
    source: Labelled, splits: np.ndarray, found: Findings, group: np.ndarray, good: np.ndarray, plan: Plan
) -> np.ndarray:
    """The split of every row, "" unless good: as given, and a part that is missing is cut from train."""
    result = np.full_like(splits, "")
    result[good] = splits[good]
    given = set(splits.tolist())
    missing = {part: frac for part, frac in plan.parts(source).items() if part not in given}
    if missing:
        rows = good[(splits[good] == "train") | (splits[good] == "")]
        result[rows] = split(source.labels[rows], group[rows], found.sha256[rows], missing, plan.seed)
    return result
