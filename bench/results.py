"""docs/results.md from the figures in bench/results/: `python bench/results.py`, or `--check` that it is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
HEAD = """# Results

Measured, not estimated: each table is what one script printed on one machine, ours and the peer in the same run.
`make bench` measures again, `make results` writes this page from `bench/results/`.
"""


def row(figure: dict[str, Any]) -> str:
    """One line of a table."""
    goal = figure["goal"].replace(">=", "at least").replace("<=", "at most") + figure["unit"]
    verdict = "met" if figure["met"] else "**not met**"
    cells = (figure["what"], figure["ours"], figure["peer"] or "-", f"{figure['value']:.3g}{figure['unit']}", goal)
    return f"| {' | '.join(cells)} | {verdict} |"


def section(document: dict[str, Any]) -> str:
    """One benchmark's table."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items() if name != "sightline")
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    lines = [
        f"## {document['title']}",
        "",
        "| figure | ours | peer | value | goal | |",
        "|---|---|---|---|---|---|",
        *(row(figure) for figure in document["figures"]),
        "",
        f"n: {document['n']}. {machine['processor']}, {machine['processors']} processors, {memory}. {versions}.",
        "",
        f"`{document['command']}`",
    ]
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    documents = [json.loads(path.read_text()) for path in sorted((ROOT / "bench" / "results").glob("*.json"))]
    return "\n\n".join([HEAD.rstrip(), *(section(document) for document in documents)]) + "\n"


def main() -> None:
    """Write the page, or compare it."""
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/results.md is not what bench/results/ says: run `make results`")


if __name__ == "__main__":
    main()
