"""Checking a folder of pictures: Sightline's audit against a single-process Pillow verify-and-decode loop.

    python bench/check_folder.py SRC [--repeats 7] [--json out.json]

Both read the same files, taking turns, after one turn each that does not count. The audit also hashes, looks for near
copies' marks and notes; the loop only verifies and decodes. The figure is the median of the ratios of each turn.
Goal: 1.5 on two processors.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from sightline.core.machine import describe, versions
from sightline.data import archives
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
        "bench": "check_folder",
        "n": len(paths),
        "repeats": repeats,
        "audit_images_per_s": len(paths) / statistics.median(seconds["audit"]),
        "loop_images_per_s": len(paths) / statistics.median(seconds["loop"]),
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "goal": 1.5,
        "machine": describe(),
        "versions": versions(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a folder of class folders, or a zip or tar of one")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.source
        if root.is_file():
            root = Path(folder)
            archives.extract(options.source, root)
        figures = measure(root, options.repeats)
    print(f"{'':24}{'images/s':>10}", file=sys.stderr)
    print(f"{'sightline audit':24}{figures['audit_images_per_s']:10.0f}", file=sys.stderr)
    print(f"{'Pillow, one process':24}{figures['loop_images_per_s']:10.0f}", file=sys.stderr)
    spread = f"{figures['ratio_low']:.2f} to {figures['ratio_high']:.2f}"
    print(f"ratio {figures['ratio']:.2f} ({spread} over {options.repeats} turns, n = {figures['n']})", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
