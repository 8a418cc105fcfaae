"""Running a network: Sightline's runtime against PyTorch eager, channels-last, on the same processors.

    python bench/runtime.py [--arch resnet50] [--size 224] [--seconds 20] [--json out.json]

The network (random weights) is exported to a graph; at batch 1 and 16 both then answer, taking turns, after one turn
each that does not count. Before each answer both pause, so that neither's threads still spin while the other works.
PyTorch gets ready float pictures, the runtime gets uint8 and normalises them itself. The figure is the median of the
ratios of each turn. Goal: 1.6 at both batch sizes on two processors, otherwise idle.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from figures import Figure, parser, tell

from sightline.core.machine import cpu_quota
from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import to_onnx
from sightline.models import ARCHITECTURES, create
from sightline.runtime import Session

BATCHES = (1, 16)
PAUSE_S = 0.03


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes, after a pause."""
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Both for `seconds` in all (at least 5 turns each): medians in milliseconds, the ratio and its spread."""
    ours(), theirs()
    times: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    while len(times) < 5 or time.monotonic() < end:
        times.append((timed(ours), timed(theirs)))
    ratios = [b / a for a, b in times]
    return {
        "n": len(times),
        "runtime_ms": 1000 * statistics.median(a for a, _ in times),
        "eager_ms": 1000 * statistics.median(b for _, b in times),
        "ratio": statistics.median(ratios),
        "ratio_low": statistics.quantiles(ratios, n=10)[0],
        "ratio_high": statistics.quantiles(ratios, n=10)[-1],
    }


def measure(arch: str, size: int, seconds: float) -> dict[str, Any]:
    """The figures of both batch sizes."""
    torch.manual_seed(0)
    torch.set_num_threads(cpu_quota())
    model, preprocess = create(arch, num_classes=1000).eval(), Preprocess(size)
    session = Session(to_onnx(model, preprocess))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = {}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            batches[str(batch)] = in_turns(partial(session.run, images), partial(model, x), seconds / len(BATCHES))
    return batches


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--arch", choices=ARCHITECTURES, default="resnet50")
    arguments.add_argument("--size", type=int, help="pixels; the network's own when left out")
    arguments.add_argument("--seconds", type=float, default=40, help="how long to measure")
    options = arguments.parse_args()
    size = options.size or ARCHITECTURES[options.arch].size
    batches = measure(options.arch, size, options.seconds)
    figures = [
        Figure(
            f"{options.arch}/{size}, batch {batch}, speed over eager",
            f"{row['runtime_ms']:.1f} ms",
            f"{row['eager_ms']:.1f} ms",
            row["ratio"],
            ">= 1.6",
        )
        for batch, row in batches.items()
    ]
    n = ", ".join(
        f"batch {batch}: {row['n']} turns, ratios {row['ratio_low']:.2f} to {row['ratio_high']:.2f} (10 to 90 %)"
        for batch, row in batches.items()
    )
    tell("runtime", "Runtime against PyTorch eager, channels-last", figures, n, options.json)


if __name__ == "__main__":
    main()
