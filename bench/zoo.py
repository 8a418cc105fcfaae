"""Running every network of the zoo: Sightline's runtime against PyTorch eager, OpenVINO and ONNX Runtime as they come.

    python bench/zoo.py [--arch NAME ...] [--seconds 12] [--json out.json]

Each network (random weights, 1000 classes, its own picture size) is exported to a graph in a process of its own; at 1
and 16 the sides then take turns, drawn anew in every round: who always follows the same one works on what that one left
in the caches. A turn is a pause, so that no one's threads still spin while another works (ONNX Runtime's do for 50 ms),
one answer that does not count, and answers in a row for 0.1 seconds, one at least. All compute in float32; OpenVINO,
which would take bfloat16 where the processor has it, is told so. PyTorch runs channels-last and gets ready float
pictures; the others get uint8 and the same graph. The figure is the smaller of the two batches' ratios; a ratio is the
median over the turns. OpenVINO is left out where it is not installed (`pip install openvino`). Where the runtime takes
16 pictures in slices, a third line sets that against taking them in one piece.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np
import onnxruntime
import torch
from figures import Figure, parser, tell

from sightline.core.machine import cpu_quota
from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import to_onnx
from sightline.models import ARCHITECTURES, create
from sightline.runtime import Session

BATCHES = (1, 16)
PEERS = ("ONNX Runtime", "OpenVINO")
PAUSE_S = 0.06
TURN_S = 0.1
LEAST_TURNS = 5
EAGER, PEER = 1.3, 0.9  # what our speed should be, over eager's and over the better of the other two


def turn(work: Callable[[], object]) -> float:
    """Seconds that `work` takes when it is done again and again."""
    time.sleep(PAUSE_S)
    work()
    answers, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < TURN_S:
        work()
        answers += 1
    return taken / answers


def in_turns(sides: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """The seconds of an answer in every turn of each side, all sides in turn for `seconds` in all."""
    order = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in sides}
    end = time.monotonic() + seconds
    while len(times["runtime"]) < LEAST_TURNS or time.monotonic() < end:
        for name in order.sample(list(sides), len(sides)):
            times[name].append(turn(sides[name]))
    return times


def measure(arch: str, seconds: float) -> dict[str, Any]:
    """Medians in milliseconds and ratios of both batch sizes."""
    torch.manual_seed(0)
    torch.set_num_threads(cpu_quota())
    size = ARCHITECTURES[arch].size
    model, preprocess = create(arch, num_classes=1000).eval(), Preprocess(size)
    graph = to_onnx(model, preprocess)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    session, one_piece, others = Session(graph), Session(graph), peers(graph)
    one_piece.at_once = None
    found: dict[str, Any] = {}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        sides: dict[str, Callable[[], object]] = {"runtime": partial(session.run, images), "eager": partial(model, x)}
        sides |= {name: partial(work, images) for name, work in others.items()}
        if session.at_once and session.at_once < batch:
            sides["one piece"] = partial(one_piece.run, images)
        with torch.inference_mode():
            times = in_turns(sides, seconds)
        found[str(batch)] = {
            "n": len(times["runtime"]),
            "ms": {name: 1000 * statistics.median(values) for name, values in times.items()},
            "ratio": {
                name: statistics.median(b / a for a, b in zip(times["runtime"], values, strict=True))
                for name, values in times.items()
            },
        }
    return found


def peers(graph: bytes) -> dict[str, Callable[[np.ndarray], object]]:
    """The graph in ONNX Runtime and OpenVINO, with their own defaults."""
    plain = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: dict[str, Callable[[np.ndarray], object]] = {
        "ONNX Runtime": lambda images: plain.run(None, {"images": images})
    }
    if find_spec("openvino"):
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found["OpenVINO"] = lambda images: compiled(images)
    return found


def figures_of(arch: str, found: dict[str, Any]) -> list[Figure]:
    """Two lines: against eager, and against the better of the others; a third where slices were taken."""
    rows = [found[str(batch)] for batch in BATCHES]
    best = [min((name for name in row["ms"] if name in PEERS), key=row["ms"].get) for row in rows]
    name = f"{arch}/{ARCHITECTURES[arch].size}"
    ours = said(*(row["ms"]["runtime"] for row in rows))
    theirs = said(*(row["ms"][peer] for row, peer in zip(rows, best, strict=True)))
    eager, peer = said(*(row["ms"]["eager"] for row in rows)), " and ".join(dict.fromkeys(best))
    over_peer = min(row["ratio"][peer] for row, peer in zip(rows, best, strict=True))
    return [
        Figure(f"{name}: eager", ours, eager, min(row["ratio"]["eager"] for row in rows), f">= {EAGER}"),
        Figure(f"{name}: {peer}", ours, theirs, over_peer, f">= {PEER}"),
        *(
            Figure(
                f"{name}: in one piece",
                said(row["ms"]["runtime"]),
                said(row["ms"]["one piece"]),
                row["ratio"]["one piece"],
                ">= 1",
            )
            for row in rows
            if "one piece" in row["ms"]
        ),
    ]


def said(*milliseconds: float) -> str:
    """Times, of both batches or one."""
    return " / ".join(f"{value:.3g}" for value in milliseconds) + " ms"


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--arch", choices=ARCHITECTURES, action="append")
    arguments.add_argument("--seconds", type=float, default=12, help="how long to measure each batch size")
    options = arguments.parse_args()
    names = options.arch or list(ARCHITECTURES)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone:
        found, figures = {}, []
        for name, rows in zip(names, alone.map(partial(measure, seconds=options.seconds), names), strict=True):
            found[name], lines = rows, figures_of(name, rows)
            figures += lines
            print(f"{name}: " + ", ".join(f"{line.value:.2f}" for line in lines), file=sys.stderr)
    turns = [row["n"] for rows in found.values() for row in rows.values()]
    n = f"{min(turns)} to {max(turns)} turns at batch 1 / 16; the smaller ratio of the two"
    title = "Some of the zoo, measured for longer" if options.arch else "The zoo through the runtime, against its peers"
    tell("zoo", title, figures, n, options.json, networks=found)


if __name__ == "__main__":
    main()
