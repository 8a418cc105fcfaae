"""The memory and time that a Dataset of a million files needs, all but reading the files.

    python bench/manifest_million.py [--rows 1000000] [--json out.json]

The audit's findings are made up: random hashes and looks, 2 % exact copies, 2 % near copies, 1 % bad files, a hundred
classes. Then all that `prepare` does with them is done: verdicts, near copies, groups, split, saved, opened again.
Goal: the whole process under 2 GB.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, parser, tell

from sightline.core import artifact
from sightline.core.machine import PeakMemory
from sightline.data.assemble import Labelled, Plan, assemble
from sightline.data.audit import Findings
from sightline.data.dataset import DOCUMENT, FORMAT, MANIFEST, Dataset

CLASSES = 100


def made_up(rows: int) -> tuple[Labelled, Findings]:
    """What a source of `rows` files says, and what its audit would have found."""
    generator = np.random.default_rng(0)
    found = Findings.empty(rows)
    found.width[:] = found.height[:] = 400
    found.size_bytes[:] = 30_000
    found.sha256[:] = generator.integers(0, 256, found.sha256.shape, dtype=np.uint8)
    found.phash[:] = generator.integers(0, 2**64, rows, dtype=np.uint64)
    found.thumb[:] = generator.integers(0, 256, found.thumb.shape, dtype=np.uint8)
    part = rows // 50
    found.sha256[:part] = found.sha256[part : 2 * part]
    found.phash[2 * part : 3 * part] = found.phash[3 * part : 4 * part] ^ np.uint64(5)
    found.thumb[2 * part : 3 * part] = found.thumb[3 * part : 4 * part]
    for row in range(0, rows, 101):
        found.reason[row] = "truncated or corrupt"
    labels = np.arange(rows) % part % CLASSES
    paths = [f"photos/class-{label:03}/IMG_{row:09}.jpg" for row, label in enumerate(labels.tolist())]
    classes = tuple(f"class-{label:03}" for label in range(CLASSES))
    return Labelled(paths, classes, labels, np.full(rows, "", "<U10"), {}), found


def measure(rows: int) -> dict[str, Any]:
    """Peak memory in bytes and seconds."""
    with PeakMemory() as memory, tempfile.TemporaryDirectory() as folder:
        source, found = made_up(rows)
        start = time.perf_counter()
        table = assemble(source, found, Plan(None, 0.15, 0), "photos")
        assembled = time.perf_counter()
        table.save(Path(folder, MANIFEST))
        fingerprint = table.fingerprint(source.classes)
        document = {"format": FORMAT, "kind": "dataset", "name": "photos", "root": folder, "fingerprint": fingerprint}
        artifact.write_json(Path(folder, DOCUMENT), {**document, "classes": source.classes, "source": {}, "seed": 0})
        saved = time.perf_counter()
        size = Path(folder, MANIFEST).stat().st_size
        del table, found, source
        summary = Dataset.open(folder).summary()
        opened = time.perf_counter()
    return {
        "peak_gb": memory.peak_bytes / 1e9,
        "seconds": f"assembled in {assembled - start:.1f} s, saved in {saved - assembled:.1f} s, "
        f"opened in {opened - saved:.1f} s",
        "contents": f"{size / 1e6:.0f} MB on disk, {summary['verdicts']}",
    }


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    options = arguments.parse_args()
    found = measure(options.rows)
    gb = found["peak_gb"]
    figure = Figure(f"a manifest of {options.rows:,} files, peak memory", f"{gb:.2f} GB", "", gb, "<= 2", " GB")
    n = f"{options.rows:,} made-up rows; {found['seconds']}; {found['contents']}"
    tell("manifest_million", "A manifest of a million files", [figure], n, options.json)


if __name__ == "__main__":
    main()
