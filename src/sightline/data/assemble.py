"""From findings to the manifest: verdicts for copies and leaks, notes for near copies, groups, and the split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.core.errors import UserError, named
from sightline.data import duplicates
from sightline.data.audit import Findings
from sightline.data.layout import safe
from sightline.data.manifest import FINE, NOTED, QUARANTINED, Manifest
from sightline.data.split import split

PRECEDENCE = {"test": 0, "validation": 1, "train": 2, "": 2}  # of copies in several splits the first stays


@dataclass(frozen=True)
class Labelled:
    """What a source says of its N files: names, classes, class numbers (-1: none), splits ("": none), and strays."""

    paths: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    strays: dict[int, str]


def assemble(
    source: Labelled, found: Findings, validation_frac: float, test_frac: float, seed: int, where: str
) -> Manifest:
    """The manifest of `source`; UserError when a class has no good picture."""
    reason = list(found.reason)
    for row, why in source.strays.items():
        reason[row] = reason[row] or why
    splits = _given(source.splits.astype("<U10"))
    _copies(source, splits, found, reason)
    good = np.flatnonzero(np.asarray([not why for why in reason], bool))
    _check_classes(source, splits, good, reason, where)
    group, extra = _near(source, splits, found, good)
    notes = [
        ", ".join(sorted({*filter(None, found.notes[row].split(", ")), *extra.get(row, ())}))
        for row in range(len(reason))
    ]
    verdict = np.asarray(
        [QUARANTINED if why else NOTED if note else FINE for why, note in zip(reason, notes, strict=True)]
    )
    final = np.full(len(reason), "", dtype="<U10")
    final[good] = _split(source, splits, found, good, group, validation_frac, test_frac, seed)
    return Manifest(
        path=source.paths,
        label=source.labels.astype(np.int32),
        split=final,
        verdict=verdict,
        reason=reason,
        notes=notes,
        width=found.width,
        height=found.height,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
        phash=found.phash,
        group=group,
    )


def _given(splits: np.ndarray) -> np.ndarray:
    """The source's own splits: a single held-out one is the test, train alone is none."""
    names = set(splits.tolist()) - {""}
    if names == {"train"}:
        return np.full_like(splits, "")
    return np.where(splits == "validation", "test", splits) if names == {"train", "validation"} else splits


def _copies(source: Labelled, splits: np.ndarray, found: Findings, reason: list[str]) -> None:
    """Write the reasons of exact copies: all of them where classes differ, else all but one."""
    rows = np.asarray([row for row, why in enumerate(reason) if not why], np.int64)
    first = duplicates.exact_groups(found.sha256, rows)
    order = np.argsort(first, kind="stable")
    bounds = np.flatnonzero(np.diff(first[order])) + 1
    for part in np.split(rows[order], bounds):
        if len(part) < 2:
            continue
        labels = sorted(set(source.labels[part].tolist()))
        if len(labels) > 1:
            classes = " and ".join(source.classes[label] for label in labels)
            for row in part:
                reason[row] = f"same picture under two classes: {classes}"
            continue
        kept = min(part, key=lambda row: (PRECEDENCE[str(splits[row])], row))
        for row in part:
            if row != kept:
                leak = splits[row] != splits[kept]
                name = safe(source.paths[kept])
                reason[row] = f"leak: same picture in {splits[kept]}: {name}" if leak else f"exact duplicate of {name}"


def _check_classes(source: Labelled, splits: np.ndarray, good: np.ndarray, reason: list[str], where: str) -> None:
    train = good[(splits[good] == "train") | (splits[good] == "")]
    if not len(good):
        raise UserError(f"{named(where)} has no good picture: all {len(reason)} files are bad, the first {reason[0]}")
    counts = np.bincount(source.labels[train], minlength=len(source.classes))
    for label in np.flatnonzero(counts == 0):
        raise UserError(
            f'class "{named(source.classes[label])}" in {named(where)} has no good picture to train on: '
            "add some or remove the class"
        )


def _near(
    source: Labelled, splits: np.ndarray, found: Findings, good: np.ndarray
) -> tuple[np.ndarray, dict[int, set[str]]]:
    """The group of every row (int32), and the notes near copies earn."""
    pairs = good[duplicates.near_pairs(found.phash[good], found.thumb[good])]
    notes: dict[int, set[str]] = {}
    for a, b in pairs.tolist():
        told = {"near-duplicate"}
        if source.labels[a] != source.labels[b]:
            told.add("near-conflict")
        if splits[a] != splits[b]:
            told.add("near-leak")
        notes.setdefault(a, set()).update(told)
        notes.setdefault(b, set()).update(told)
    return duplicates.join(len(splits), pairs), notes


def _split(
    source: Labelled,
    splits: np.ndarray,
    found: Findings,
    good: np.ndarray,
    group: np.ndarray,
    validation_frac: float,
    test_frac: float,
    seed: int,
) -> np.ndarray:
    """The split of each good row: as given, and where a part is missing, cut from train."""
    result = splits[good].copy()
    parts = {"test": test_frac, "validation": validation_frac}
    missing = {name: frac for name, frac in parts.items() if not (result == name).any()}
    if missing:
        free = np.flatnonzero((result == "train") | (result == ""))
        rows = good[free]
        result[free] = split(source.labels[rows], group[rows], found.sha256[rows], missing, seed)
    return result
