"""Every benchmark, one after the other, into bench/results/: `python bench/all.py [PICTURES]`.

PICTURES is a folder or archive of photos for the check of a folder; without it that one is left as it is. Wants an
otherwise idle machine. bench/one_epoch.py, which trains every network for hours, is run by itself, and so is the
course's experiment (bench/experiment.py says how).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("demo", "anatomy", "train_step", "runtime", "zoo", "manifest_million")


def main() -> None:
    """Run them."""
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    jobs: list[tuple[str, list[str]]] = [(name, []) for name in SCRIPTS]
    jobs += [("check_folder", [source]) for source in sys.argv[1:2]]
    for name, arguments in jobs:
        print(f"== {name}", file=sys.stderr)
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments, "--json", str(results / f"{name}.json")]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
