"""Checking a folder of pictures: Sightline's audit against a single-process Pillow verify-and-decode loop.

    python bench/check_folder.py SRC [--repeats 7] [--json out.json]

Both read the same files, taking turns, after one turn each that does not count. The audit also hashes, looks for near
copies' marks and notes; the loop only verifies and decodes. The figure is the median of the ratios of each turn.
Goal: 1.5 on two processors.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, parser, tell
from PIL import Image

from sightline.data.archives import extract
from sightline.data.audit import audit_files
from sightline.data.layout import find_layout


def loop(paths: list[Path]) -> int:
    """The plain way; how many files opened."""
    good = 0
    for path in paths:
        try:
            with Image.open(path) as image:
                image.verify()
            with Image.open(path) as image:
                image.load()
            good += 1
        except (OSError, SyntaxError, ValueError):
            continue
    return good


def measure(root: Path, repeats: int) -> dict[str, Any]:
    """Seconds of both, turn by turn."""
    names = find_layout(root, root).paths
    paths = [root / name for name in names]
    seconds: dict[str, list[float]] = {"audit": [], "loop": []}
    for turn in range(repeats + 1):
        start = time.perf_counter()
        found = audit_files(root, names)
        middle = time.perf_counter()
        good = loop(paths)
        end = time.perf_counter()
        if sum(not why for why in found.reason) != good:
            raise SystemExit("the audit and the loop disagree about which files open")
        if turn:
            seconds["audit"].append(middle - start)
            seconds["loop"].append(end - middle)
    ratios = [b / a for a, b in zip(seconds["audit"], seconds["loop"], strict=True)]
    return {
        "n": len(paths),
        "audit_images_per_s": len(paths) / statistics.median(seconds["audit"]),
        "loop_images_per_s": len(paths) / statistics.median(seconds["loop"]),
        "ratio": statistics.median(ratios),
        "spread": f"{min(ratios):.2f} to {max(ratios):.2f}",
    }


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("source", type=Path, help="a folder of class folders, or a zip or tar of one")
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.source
        if root.is_file():
            root = Path(folder)
            extract(options.source, root)
        found = measure(root, options.repeats)
    figure = Figure(
        "checking photos, images/s, ours over one Pillow loop",
        f"{found['audit_images_per_s']:.0f}/s",
        f"{found['loop_images_per_s']:.0f}/s",
        found["ratio"],
        ">= 1.5",
    )
    n = f"{found['n']} photos ({options.source.name}), {options.repeats} turns, ratios {found['spread']}"
    tell("check_folder", "Checking a folder of photos", [figure], n, options.json)


if __name__ == "__main__":
    main()
