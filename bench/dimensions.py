"""What neighbours are worth in fewer dimensions: the course's table, of MNIST's pixels and of a network's features.

    python bench/dimensions.py MNIST PHOTOS WEIGHTS [--json out.json]

MNIST is a folder with its IDX files, of which the 10,000 test digits are taken by their 784 pixels; PHOTOS a folder or
archive of photos, embedded by the network WEIGHTS are for. Each table's plot goes to docs/.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from figures import parser, tell

import sightline
from sightline.core import wording
from sightline.report.drawing import write_png
from sightline.report.similarity import dimensions

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLUMNS = [
    "dimensions",
    "variance kept",
    "neighbours of the class",
    "against the best",
    "95 % interval",
    "a query of many",
]


def table(document: dict[str, Any], title: str, name: str) -> dict[str, Any]:
    """The table of an index document as text, its plot written into docs/."""
    found = document["pca_table"]
    write_png(dimensions(found), DOCS / f"dimensions-{name}.png", title=title)
    marks = {found["chosen"]: " (chosen)"}
    if found["knee"] is not None and found["knee"] != found["chosen"]:
        marks[found["knee"]] = " (knee)"
    rows = [
        [
            f"{row['dims']:,}{marks.get(row['dims'], '')}", wording.percent(row["explained"]),
            wording.percent(row["accuracy"]), wording.points(-row["behind"]),
            wording.points_interval({"low": -row["high"], "high": -row["low"]}), f"{row['latency_us']:,.0f} us",
        ]
        for row in found["rows"]
    ]  # fmt: skip
    note = f"{found['asked']:,} of {found['count']:,} pictures asked for their {found['k']} nearest among the others. "
    note += f"{found['why'][0].upper()}{found['why'][1:]}."
    return {"title": title, "columns": COLUMNS, "rows": rows, "note": note, "picture": f"dimensions-{name}.png"}


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("mnist", type=Path, help="a folder with MNIST's IDX files")
    arguments.add_argument("photos", help="a folder or archive of photos")
    arguments.add_argument("weights", help="a network's weights")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        digits = sightline.prepare(options.mnist, Path(folder) / "digits")
        pixels = sightline.index(digits, out=f"{folder}/pixels", pixels=True, split="test", method="exact")
        photos = sightline.prepare(options.photos, Path(folder) / "photos")
        seen = sightline.index(photos, out=f"{folder}/seen", weights=options.weights, method="exact")
    counts = f"{pixels.document['count']:,} digits, {seen.document['count']:,} photos"
    title = f"{Path(options.photos).stem}, features of {seen.document['arch']}"
    tables = [
        table(pixels.document, "MNIST's test digits, 784 pixels", "mnist"),
        table(seen.document, title, "photos"),
    ]
    tell("dimensions", "Dimensions", [], counts, options.json, tables=tables)


if __name__ == "__main__":
    main()
