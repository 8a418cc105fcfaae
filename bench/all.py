"""Every benchmark, one after the other, into bench/results/.

    python bench/all.py [--photos FILE] [--small FILE] [--weights FILE] [--mnist FOLDER] [--imagenet FILE]

Those that need pictures or weights are left as they are where these are not given: photos, a folder or archive of
them; small pictures, such as CIFAR-10's; weights of a MobileNet v2; MNIST's IDX files; photos of ImageNet's classes.
Wants an otherwise idle machine; bench/serve.py wants `pip install litserve`. bench/one_epoch.py, which trains every
network for hours, is run by itself, and so are bench/search.py and the course's experiment (bench/experiment.py says
how).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("demo", "anatomy", "train_step", "runtime", "zoo", "manifest_million", "install"), ()),
    "check_folder": ("photos",),
    "tune_head": ("photos", "weights"),
    "views": ("photos", "weights"),
    "loader": ("small", "photos"),
    "time_to_accuracy": ("small",),
    "embed": ("photos", "weights"),
    "dimensions": ("mnist", "photos", "weights"),
    "serve": ("photos", "weights"),
    "int8": ("small", "weights", "imagenet"),
    "scratch": ("mnist",),
}


def main() -> None:
    """Run those that there is everything for."""
    arguments = argparse.ArgumentParser(description="Every benchmark, one after the other, into bench/results/.")
    for name in ("photos", "small", "weights", "mnist", "imagenet"):
        arguments.add_argument(f"--{name}")
    given = vars(arguments.parse_args())
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    for name, needs in NEEDS.items():
        if all(given[need] for need in needs):
            print(f"== {name}", file=sys.stderr)
            files = [given[need] for need in needs]
            command = [sys.executable, str(HERE / f"{name}.py"), *files, "--json", str(results / f"{name}.json")]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
