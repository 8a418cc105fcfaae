"""Put a finished experiment into the docs: `python bench/experiment.py RUNS`, RUNS the directory `reproduce` wrote.

Its page goes to docs/EXPERIMENT.html, its figures to bench/results/, from where bench/results.py makes docs/results.md.
The experiment itself wants an otherwise idle machine, and the data named without a path:

    sightline reproduce inception-vs-resnet --data cifar10_subset.zip --budget 1h --seeds 3
    python bench/experiment.py runs/inception-vs-resnet-cifar10_subset
    python bench/results.py
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from sightline.cli.pages import write_experiment

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("top1", "train_top1", "validation_top1", "gap", "epochs", "train_seconds", "train_images_per_s", "seeds")


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """What docs/results.md shows of an experiment document."""
    comparison = document["comparison"]
    return {
        "bench": "experiment",
        "title": f"{document['title']} {' and '.join(n['arch'] for n in comparison['networks'])}",
        "page": f"{document['name']}.html",
        "command": document["command"],
        "setup": document["setup"],
        "networks": [{"arch": n["arch"], **{key: n[key] for key in KEPT}} for n in comparison["networks"]],
        "findings": document["findings"],
        "machine": comparison["machine"],
        "versions": comparison["versions"],
    }


def main() -> None:
    """Copy the page, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, help="the directory that `sightline reproduce` wrote")
    runs = parser.parse_args().runs
    document = json.loads((runs / "experiment.json").read_text(encoding="utf-8"))
    words = shlex.split(document["command"])
    document["command"] = shlex.join(Path(word).name if "/" in word else word for word in words)
    page = write_experiment(document, runs)  # once more, as the command may have named a place on this machine
    shutil.copyfile(page, ROOT / "docs" / f"{document['name']}.html")
    text = json.dumps(summary(document), indent=1) + "\n"
    (ROOT / "bench" / "results" / f"{document['name'].replace('-', '_')}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
