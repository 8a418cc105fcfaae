"""How every benchmark tells its figures: a table for people, and one JSON document for docs/results.md."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.core.machine import describe, versions


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, ours and the peer's (as text with units), the figure and what it should be.

    `goal` is such as ">= 1.6" or "<= 240"; `met` says whether the figure meets it.
    """

    what: str
    ours: str
    peer: str
    value: float
    goal: str
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the value meets the goal."""
        sign, bound = self.goal.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


def peak_bytes() -> int:
    """The most memory that this process has had; what it was forked from does not count."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose description is the script's first line, with --json."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--json", type=Path, help="write the figures here as well")
    return made


def command(path: Path | None) -> str:
    """The command that measured, without where its JSON went and with files by their names alone."""
    words = [word for word in sys.argv[1:] if word not in ("--json", str(path))]
    shown = [Path(word).name if "/" in word else word for word in words]
    return " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *shown])


def tell(name: str, title: str, figures: list[Figure], n: str, path: Path | None, **details: Any) -> None:
    """Print the figures on standard error, and write them as JSON to `path` if there is one."""
    for figure in figures:
        verdict = "met" if figure.met else "NOT met"
        line = f"{figure.what:<44} {figure.ours:>24} {figure.peer:>24}  {figure.value:.3g}{figure.unit}"
        print(f"{line}  (goal {figure.goal}{figure.unit}: {verdict})", file=sys.stderr)
    document = {
        "bench": name,
        "title": title,
        "command": command(path),
        "n": n,
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
        **details,
        "machine": describe(),
        "versions": versions(),
    }
    if path:
        path.write_text(json.dumps(document, indent=1) + "\n")
