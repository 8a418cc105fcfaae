"""Figures as people say them: 98.6 %, 1.2 M, 3 min 12 s, 1.3 GB, and the verdict of a paired test in one sentence.

A figure and its unit are joined by a no-break space. What is unknown (None, not finite) is a dash. A share that is not
quite all, or not quite nothing, never reads as 100 % or 0 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from sightline.core.errors import UserError, named

UNKNOWN = "–"
_NBSP = "\u00a0"
SIGNIFICANT = 0.05
UNBALANCED = 3.0  # times the smallest class that the largest may have unremarked


def printable(text: str) -> str:
    r"""`text` without control characters (a newline becomes \n); no-break spaces, which our figures need, may stay."""
    return _NBSP.join(map(named, text.split(_NBSP)))


def percent(fraction: float | None) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    if not _known(fraction):
        return UNKNOWN
    if fraction in (0, 1):
        return f"{fraction * 100:.0f}{_NBSP}%"
    shown = f"{fraction * 100:.1f}"
    shown = {"100.0": "> 99.9", "0.0": "< 0.1", "-0.0": "< 0.1"}.get(shown, shown)
    return f"{shown}{_NBSP}%"


def points(difference: float | None) -> str:
    """A difference of two shares, in signed percentage points."""
    if not _known(difference):
        return UNKNOWN
    shown = f"{difference * 100:+.1f}"
    shown = "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", "−")
    return f"{shown}{_NBSP}points"


def interval(summary: Mapping[str, Any]) -> str:
    """The low and high of a summary of shares: 97.0 to 99.4 %."""
    low, high = summary.get("low"), summary.get("high")
    if not (_known(low) and _known(high)):
        return UNKNOWN
    return f"{low * 100:.1f} to {percent(high)}"


def points_interval(summary: Mapping[str, Any]) -> str:
    """The low and high of a difference of two shares: −0.4 to +2.1 points."""
    low, high = summary.get("low"), summary.get("high")
    if not (_known(low) and _known(high)):
        return UNKNOWN
    return f"{points(low).removesuffix(f'{_NBSP}points')} to {points(high)}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A plain number with that many decimals."""
    return f"{value:.{digits}f}" if _known(value) else UNKNOWN


def times(ratio: float | None) -> str:
    """How many times as much, without a sign: 10.4, 1.0, 0.52."""
    return decimal(ratio, 2 if _known(ratio) and ratio < 0.95 else 1)


def whole(count: float | None) -> str:
    """An exact count with its thousands apart: 1,797."""
    return f"{round(count):,}" if _known(count) else UNKNOWN


def scaled(count: float | None) -> str:
    """A count to two or three digits: 272 k, 1.2 M, 41 M, 3.8 G, 140 T."""
    if not _known(count):
        return UNKNOWN
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= 0.9995 * size:
            return f"{_short(count / size)}{_NBSP}{unit}"
    return f"{count:.0f}"


def size(amount_bytes: float | None) -> str:
    """Bytes in decimal units: 1.3 GB."""
    if not _known(amount_bytes):
        return UNKNOWN
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(amount_bytes) >= 0.9995 * one:
            return f"{_short(amount_bytes / one)}{_NBSP}{unit}"
    return f"{amount_bytes:.0f}{_NBSP}B"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: 0.4 s, 12 s, 3 min 12 s, 1 h 7 min, 2 d 3 h."""
    if not _known(seconds):
        return UNKNOWN
    if seconds < 9.95:
        return f"{seconds:.1f}{_NBSP}s"
    rest = round(seconds)
    for (big, many), (small, few) in ((("d", 86400), ("h", 3600)), (("h", 3600), ("min", 60)), (("min", 60), ("s", 1))):
        if rest >= many:
            tail = rest % many // few
            return f"{rest // many}{_NBSP}{big}" + (f" {tail}{_NBSP}{small}" if tail else "")
    return f"{rest}{_NBSP}s"


def seconds(text: str) -> float:
    """'90', '90s', '10m' or '2h' in seconds; UserError when it is none of them or not above zero."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) <= 0:
        raise UserError(f'"{text}" is not a time: write 90s, 10m or 2h')
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def rate(per_second: float | None) -> str:
    """Things a second, without the unit: 8.7, 21, 412, 3,200."""
    if not _known(per_second):
        return UNKNOWN
    return f"{per_second:.1f}" if per_second < 100 else whole(per_second)


def p_value(p: float | None) -> str:
    """Such as p = 0.47, p = 0.013, p < 0.001."""
    if not _known(p):
        return UNKNOWN
    if p < 0.001:
        return f"p{_NBSP}<{_NBSP}0.001"
    return f"p{_NBSP}={_NBSP}{p:.{3 if p < 0.0995 else 2}f}"


def unbalanced(found: Mapping[str, Any]) -> str:
    """A Dataset's imbalance, as in "900 training pictures of cat, 30 of dog, 30 to 1"; "" unless worth a remark."""
    if (found.get("ratio") or 0) < UNBALANCED:
        return ""
    most, fewest = found["largest"], found["smallest"]
    return (
        f"{whole(most['pictures'])} training pictures of {named(most['class'])}, {whole(fewest['pictures'])} of "
        f"{named(fewest['class'])}, {found['ratio']:.0f} to 1"
    )


def paired(pair: Mapping[str, Any]) -> str:
    """McNemar's test of two networks on the same pictures, as a sentence.

    `pair` has a, b, only_a, only_b (pictures only that one gets right) and p_value.
    """
    a, b, only_a, only_b = pair["a"], pair["b"], pair["only_a"], pair["only_b"]
    differ = only_a + only_b
    if not differ:
        return f"{a} and {b} are right and wrong on exactly the same pictures."
    pictures = "1 picture" if differ == 1 else f"{whole(differ)} pictures"
    if only_a == only_b:
        return f"{a} and {b} differ on {pictures}, {whole(only_a)} to {whole(only_b)}: no difference."
    ahead, high, low = (a, only_a, only_b) if only_a > only_b else (b, only_b, only_a)
    verdict = "more than chance" if pair["p_value"] < SIGNIFICANT else "not more than chance"
    score = f"{whole(high)} to {whole(low)} for {ahead}"
    return f"{a} and {b} differ on {pictures}: {score}, {p_value(pair['p_value'])}: {verdict}."


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
