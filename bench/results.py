"""docs/results.md from the figures in bench/results/: `python bench/results.py`, or `--check` that it is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sightline.core import wording

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
HEAD = """# Results

Measured, not estimated: each table is what one script printed on one machine, ours and the peer in the same run.
The command below each measures it again, `make bench` as far as there are pictures and weights (`bench/all.py`); `make
results` writes this page from `bench/results/`.
"""


def row(figure: dict[str, Any]) -> str:
    """One line of a table."""
    goal = figure["goal"].replace(">=", "at least").replace("<=", "at most") + figure["unit"]
    verdict = "met" if figure["met"] else "**not met**"
    cells = (figure["what"], figure["ours"], figure["peer"] or "-", f"{figure['value']:.3g}{figure['unit']}", goal)
    return f"| {' | '.join(cells)} | {verdict} |"


def section(document: dict[str, Any]) -> str:
    """One benchmark's table, or an experiment's outcome."""
    if document["bench"] == "experiment":
        return experiment(document)
    head = ["| figure | ours | peer | value | goal | |", "|---|---|---|---|---|---|"]
    figures = [*head, *(row(figure) for figure in document["figures"]), ""] if document["figures"] else []
    lines = [
        f"## {document['title']}",
        "",
        *figures,
        *(line for table in document.get("tables", []) for line in listed(table)),
        f"n: {document['n']}. {made_on(document)}",
        "",
        f"`{document['command']}`",
    ]
    return "\n".join(lines)


def listed(table: dict[str, Any]) -> list[str]:
    """A table of text with its title, picture and note."""
    picture = [f"![{table['title']}]({table['picture']})", ""] if "picture" in table else []
    note = [table["note"], ""] if "note" in table else []
    cells = [
        f"| {' | '.join(cells)} |" for cells in (table["columns"], ["---"] * len(table["columns"]), *table["rows"])
    ]
    return [f"### {table['title']}", "", *picture, *cells, "", *note]


def made_on(document: dict[str, Any]) -> str:
    """The machine and the versions, as a line."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items() if name != "sightline")
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    return f"{machine['processor']}, {machine['processors']} processors, {memory}. {versions}."


def experiment(document: dict[str, Any]) -> str:
    """What an experiment found: a row a network, and what it teaches."""
    lines = [
        f"## {document['title']}",
        "",
        f"{document['setup']} [The page]({document['page']}).",
        "",
        "| network | test top-1 | 95 % interval | validation | training | gap | epochs | training time | images/s |",
        "|---|---|---|---|---|---|---|---|---|",
        *(network_row(network) for network in document["networks"]),
        "",
        *(f"- {finding}" for finding in document["findings"]),
        "",
        made_on(document),
        "",
        f"`{document['command']}`",
    ]
    return "\n".join(lines)


def network_row(network: dict[str, Any]) -> str:
    """One network's figures: means over its seeds."""
    cells = (
        network["arch"],
        wording.percent(network["top1"]["mean"]),
        wording.interval(network["top1"]),
        wording.percent(network["validation_top1"]["mean"]),
        wording.percent(network["train_top1"]["mean"]),
        wording.points(network["gap"]["train_minus_test"]),
        wording.decimal(network["epochs"], 1),
        wording.duration(network["train_seconds"]),
        wording.rate(network["train_images_per_s"]),
    )
    return f"| {' | '.join(cells)} |"


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
