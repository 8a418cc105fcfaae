"""What serving takes: the size of an install without PyTorch, and the time from its start until it answers.

    python bench/install.py [--json out.json]

A new virtual environment gets the package and nothing else; the network is a ResNet-18 with drawn weights.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Figure, parser, tell
from serve import free_port, ours, resnet18, running

HERE = Path(__file__).parent
TURNS = 5


def main() -> None:
    """Measure and tell."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = resnet18(Path(folder) / "resnet18")
        python = Path(folder) / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        constraints = str(HERE.parent / "constraints.txt")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", constraints, str(HERE.parent)]
        subprocess.run(pip, check=True)
        size = sum(file.stat().st_size for file in python.parents[1].rglob("*") if file.is_file())
        taken = []
        for _ in range(TURNS):
            port = free_port()
            with running(ours(bundle.path, port), port, "/readyz", python) as (_, seconds):
                taken.append(seconds)
    ready = statistics.median(taken)
    figures = [
        Figure("an install without PyTorch", f"{size / 1e6:.0f} MB", "", size / 1e6, "<= 500", " MB"),
        Figure("ResNet-18, from the start until it answers", f"{ready:.2f} s", "", ready, "<= 3", " s"),
    ]
    tell("install", "What serving takes", figures, f"{TURNS} starts", options.json)


if __name__ == "__main__":
    main()
