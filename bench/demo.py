"""The demo and the start: `sightline demo` in a fresh process and directory, and `sightline --help`.

    python bench/demo.py [--json out.json]

Wall time and peak resident memory (the largest single process) as the operating system counts them; accuracies as the
demo measures them. `--help` is the median of 9 starts.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from figures import Figure, parser, tell

STARTS = 9


def start_seconds() -> float:
    """The median time of `sightline --help`."""
    seconds = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "sightline.cli", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def loads_torch() -> bool:
    """Whether `import sightline` drags in torch."""
    code = "import sightline, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


def main() -> None:
    """Measure and tell."""
    options = parser(__doc__).parse_args()
    help_seconds, torch_loaded = start_seconds(), loads_torch()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "sightline.cli", "demo", "--json"],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds = time.perf_counter() - began
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    networks = json.loads(done.stdout)["comparison"]["networks"]
    figures = [
        Figure("demo, wall time", f"{seconds:.0f} s", "", seconds, "<= 240", " s"),
        Figure("demo, peak memory", f"{peak_gb:.2f} GB", "", peak_gb, "<= 2", " GB"),
        *(
            Figure(
                f"digits, {network['arch']}, test top-1",
                f"{100 * network['top1']['mean']:.2f} %",
                "",
                100 * network["top1"]["mean"],
                ">= 98.5",
                " %",
            )
            for network in networks
        ),
        Figure("sightline --help", f"{help_seconds:.2f} s", "", help_seconds, "<= 0.5", " s"),
        Figure("torch loaded by import sightline", "yes" if torch_loaded else "no", "", float(torch_loaded), "<= 0"),
    ]
    tell("demo", "The demo and the start", figures, f"one demo; --help {STARTS} times", options.json)


if __name__ == "__main__":
    main()
