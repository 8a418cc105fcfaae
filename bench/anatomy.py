"""The anatomy of the largest networks: `sightline anatomy NAME` in fresh processes, with the rules for shapes or not.

    python bench/anatomy.py [--json out.json]

Wall time is the median of 5 starts after one that does not count, peak resident memory the largest of them, both as
the operating system counts them. Without the rules of `sightline.anatomy.shapes`, torch is asked for every shape, and
loads its compiler first; with and without take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from figures import Figure, parser, tell

NETWORKS = ("resnet152", "efficientnet_b7")
STARTS = 5
SAY = "from sightline.cli import run; raise SystemExit(run(['anatomy', {name!r}]))"
WITHOUT_RULES = "from sightline.anatomy import record; record.outcome = lambda name, args: None; "


def start(code: str) -> tuple[float, float]:
    """Seconds and peak bytes of a fresh process that runs `code`."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{code} failed")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def measure(name: str) -> list[Figure]:
    """The figures of one network."""
    say = SAY.format(name=name)
    turns = [(start(say), start(WITHOUT_RULES + say)) for _ in range(STARTS + 1)][1:]
    ours, asking = (statistics.median(turn[side][0] for turn in turns) for side in (0, 1))
    peak_gb = max(turn[0][1] for turn in turns) / 1e9
    ratio = statistics.median(without[0] / with_rules[0] for with_rules, without in turns)
    return [
        Figure(f"anatomy of {name}, wall time", f"{ours:.2f} s", "", ours, "<= 3", " s"),
        Figure(f"anatomy of {name}, peak memory", f"{peak_gb:.2f} GB", "", peak_gb, "<= 1", " GB"),
        Figure(f"anatomy of {name}, rules for shapes", f"{ours:.2f} s", f"{asking:.2f} s", ratio, ">= 1.2"),
    ]


def main() -> None:
    """Measure and tell."""
    options = parser(__doc__).parse_args()
    figures = [figure for name in NETWORKS for figure in measure(name)]
    title = "The anatomy of the largest networks (peer: asking torch for every shape)"
    tell("anatomy", title, figures, f"median of {STARTS} starts each, in turns", options.json)


if __name__ == "__main__":
    main()
