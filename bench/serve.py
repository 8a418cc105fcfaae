"""The service under load, against the bare runtime, plain FastAPI with PyTorch, and LitServe with the same session.

    python bench/serve.py PHOTOS WEIGHTS [--requests 10000] [--json out.json]

WEIGHTS are a MobileNet v2's; a ResNet-18 with drawn weights is the other network, both for 224 pixels. Services run in
processes of their own, clients in this one, over loopback, on the same processors; files are as PHOTOS holds them. The
bare runtime reads the same bytes with `Bundle.stream`, in batches of 16. Needs `pip install litserve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from figures import Figure, parser, tell
from load import Answers, closed, form, opened, raw

import sightline
from sightline.bundle import Bundle
from sightline.data.preprocess import Preprocess
from sightline.embedder import ready_made
from sightline.exporting.onnx import export
from sightline.models import create

HERE = Path(__file__).parent
CLIENTS = (1, 8, 32, 128)
BATCH = 16
TURNS = 3
OVERLOAD_S = 15


def free_port() -> int:
    """A port nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, path: str, python: str | Path = sys.executable
) -> Iterator[tuple[psutil.Process, float]]:
    """The process of `python` and `command` once it answers at `path`, and the seconds that took."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([python, *command], stdout=log, stderr=log, start_new_session=True)
        try:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
                    break
                if process.poll() is not None or time.perf_counter() - began > 60:
                    log.seek(0)
                    raise SystemExit(log.read().decode()[-2000:])
                time.sleep(0.02)
            yield psutil.Process(process.pid), time.perf_counter() - began
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and workers that outlive it


def ours(bundle: Path, port: int) -> list[str]:
    """The command that serves `bundle`."""
    return ["-m", "sightline.cli", "serve", str(bundle), "--port", str(port)]


def resnet18(out: Path) -> Bundle:
    """A ResNet-18 that has learnt nothing: it takes as long."""
    torch.manual_seed(0)
    preprocess = Preprocess(224)
    return export(
        create("resnet18", num_classes=1000).eval(), arch="resnet18", stem="imagenet", style="torchvision",
        classes=[str(number) for number in range(1000)], preprocess=preprocess,
        golden_images=np.zeros((2, 224, 224, 3), np.uint8), metrics={}, out=out,
    )  # fmt: skip


def bare(bundle: Bundle, pictures: list[bytes]) -> float:
    """Pictures a second that decoding and the graph manage together, without a service."""
    began = time.perf_counter()
    count = sum(1 for _ in bundle.stream(pictures, batch_size=BATCH, only=("logits",)))
    return count / (time.perf_counter() - began)


def alone_ms(bundle: Bundle, pictures: list[bytes]) -> float:
    """Milliseconds of decoding one picture and running it, nothing else going on."""
    taken = []
    for picture in pictures[:60]:
        began = time.perf_counter()
        bundle.session.run(bundle.pixels(picture)[None], only=("logits",))
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def measured(bundle: Bundle, pictures: list[bytes]) -> dict[str, Any]:
    """Our service with 1 to 128 clients, and the bare runtime by turns with it."""
    requests = [raw("/predict", picture) for picture in pictures]
    port, rows, limits, lone = free_port(), [], [], []
    with running(ours(bundle.path, port), port, "/readyz") as (_, ready_s):
        asyncio.run(closed(port, requests, 8, 100))
        for clients in CLIENTS:
            turns: list[Answers] = []
            for _ in range(TURNS):
                limits.append(bare(bundle, pictures[:200]))
                lone.append(alone_ms(bundle, pictures))
                turns.append(asyncio.run(closed(port, requests, clients, 60 if clients == 1 else 300)))
            rows.append({
                "clients": clients, "per_s": statistics.median(turn.good_per_s for turn in turns),
                "bare_per_s": statistics.median(limits[-TURNS:]), "alone_ms": statistics.median(lone[-TURNS:]),
                **{f"p{p}_ms": statistics.median(turn.ms(p) for turn in turns) for p in (50, 99)},
                "lost": sum(len(of) for turn in turns for status, of in turn.seconds.items() if status != 200),
            })  # fmt: skip
    return {"network": bundle.arch, "ready_s": ready_s, "rows": rows}


def peers(bundle: Bundle, pictures: list[bytes]) -> dict[str, float]:
    """Requests a second with 32 clients, a form with a file each: ours, eager PyTorch's and LitServe's, by turns.

    Those whose turn it is not are stopped: some ask their queues for work all the time.
    """
    requests = [form("/predict", picture) for picture in pictures]
    ports = {name: free_port() for name in ("ours", "eager", "litserve")}
    commands = {
        "ours": (ours(bundle.path, ports["ours"]), "/readyz"),
        "eager": ([str(HERE / "peers/eager.py"), str(bundle.path), str(ports["eager"])], "/docs"),
        "litserve": ([str(HERE / "peers/lit.py"), str(bundle.path), str(ports["litserve"]), str(BATCH)], "/health"),
    }
    found: dict[str, list[float]] = {name: [] for name in ports}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, (command, path) in commands.items():
            started[name], _ = stack.enter_context(running(command, ports[name], path))
            stack.callback(_signal, started[name], signal.SIGCONT)
            _signal(started[name], signal.SIGSTOP)
        for turn in range(TURNS + 1):
            for name, port in ports.items():
                _signal(started[name], signal.SIGCONT)
                answers = asyncio.run(closed(port, requests, 32, 200))
                _signal(started[name], signal.SIGSTOP)
                assert answers.count(200) == 200, (name, {status: len(of) for status, of in answers.seconds.items()})
                if turn:  # the first warms
                    found[name].append(answers.good_per_s)
    return {name: statistics.median(of) for name, of in found.items()}


def _signal(process: psutil.Process, number: int) -> None:
    """To a process and all it started."""
    os.killpg(process.pid, number)


def endured(bundle: Bundle, pictures: list[bytes], total: int) -> dict[str, Any]:
    """Memory over `total` requests, and what is left of the service at four times what it can do."""
    requests = [raw("/predict", picture) for picture in pictures]
    port = free_port()
    with running(ours(bundle.path, port), port, "/readyz") as (process, _):
        sizes, lost = [], 0
        rates: list[float] = []
        for _ in range(10):
            answers = asyncio.run(closed(port, requests, 32, total // 10))
            lost += total // 10 - answers.count(200)
            sizes.append(process.memory_info().rss)
            rates.append(answers.good_per_s)
        flood = asyncio.run(opened(port, requests, 4 * rates[-1], OVERLOAD_S))
        afterwards = asyncio.run(closed(port, requests, 32, total // 10))
        peak = (rates[-1] + afterwards.good_per_s) / 2  # beside it: the machine's speed moves
    return {
        "requests": total, "lost": lost, "memory_mb": [size / 1e6 for size in sizes], "peak_per_s": peak,
        "good_per_s": flood.count(200) / max(flood.wall_s, OVERLOAD_S), "refused": flood.count(503),
        "refused_ms": flood.ms(50, 503) if flood.count(503) else None,
        "otherwise": sum(len(of) for status, of in flood.seconds.items() if status not in (200, 503)),
    }  # fmt: skip


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("photos", help="a folder or archive of photos")
    arguments.add_argument("weights", type=Path, help="a MobileNet v2's weights")
    arguments.add_argument("--requests", type=int, default=10_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = sightline.prepare(options.photos, Path(folder) / "photos")
        rows = np.random.default_rng(0).permutation(len(dataset.labels(dataset.rows("train"))))[:300]
        pictures = [Path(dataset.name_of(dataset.rows("train")[row])).read_bytes() for row in rows]
        bundles = [resnet18(Path(folder) / "resnet18"), ready_made(options.weights)]
        services = [measured(bundle, pictures) for bundle in bundles]
        against = {bundle.arch: peers(bundle, pictures) for bundle in bundles}
        long = endured(bundles[1], pictures, options.requests)
    print(json.dumps({"services": services, "against": against, "long": long}, indent=1), file=sys.stderr)
    figures = []
    for service in services:
        name, by = service["network"], {row["clients"]: row for row in service["rows"]}
        many, one = by[32], by[1]
        batch_ms = 1000 * BATCH / many["bare_per_s"]
        figures += [
            Figure(f"{name}, 32 clients / the bare runtime", f"{many['per_s']:.0f}/s", f"{many['bare_per_s']:.0f}/s",
                   many["per_s"] / many["bare_per_s"], ">= 0.85"),
            Figure(f"{name}, 32 clients, p99 / a batch's time", f"{many['p99_ms']:.0f} ms", f"{batch_ms:.0f} ms",
                   many["p99_ms"] / batch_ms, "<= 3"),
            Figure(f"{name}, 1 client, beyond decode and run", f"{one['p50_ms']:.1f} ms", f"{one['alone_ms']:.1f} ms",
                   one["p50_ms"] - one["alone_ms"], "<= 3", " ms"),
        ]  # fmt: skip
    for name, of in against.items():
        figures += [
            Figure(f"{name}, 32 clients, ours / FastAPI and PyTorch", f"{of['ours']:.0f}/s", f"{of['eager']:.0f}/s",
                   of["ours"] / of["eager"], ">= 2"),
            Figure(f"{name}, 32 clients, ours / LitServe", f"{of['ours']:.0f}/s", f"{of['litserve']:.0f}/s",
                   of["ours"] / of["litserve"], ">= 1"),
        ]  # fmt: skip
    sizes = long["memory_mb"]
    figures += [
        Figure(f"memory after {long['requests']:,} requests / a tenth", f"{sizes[-1]:.0f} MB", f"{sizes[0]:.0f} MB",
               sizes[-1] / sizes[0], "<= 1.05"),
        Figure("requests lost", f"{long['lost']}", f"{long['requests']:,}", long["lost"], "<= 0"),
        Figure("four times overloaded, good answers / the peak", f"{long['good_per_s']:.0f}/s",
               f"{long['peak_per_s']:.0f}/s", long["good_per_s"] / long["peak_per_s"], ">= 0.9"),
        Figure("ready, ResNet-18, from the start", f"{services[0]['ready_s']:.2f} s", "", services[0]["ready_s"],
               "<= 3", " s"),
    ]  # fmt: skip
    tell(
        "serve", "The service", figures, f"{TURNS} turns of 300 requests (60 with one client); {len(pictures)} photos",
        options.json, tables=[as_text(services)], long=long,
    )  # fmt: skip


def as_text(services: list[dict[str, Any]]) -> dict[str, Any]:
    """The clients' table as docs/results.md shows it."""
    rows = [
        [
            service["network"], str(row["clients"]), f"{row['per_s']:.1f}", f"{row['bare_per_s']:.1f}",
            f"{row['p50_ms']:.0f} ms", f"{row['p99_ms']:.0f} ms", str(row["lost"]),
        ]
        for service in services
        for row in service["rows"]
    ]  # fmt: skip
    columns = ["network", "clients", "requests/s", "the bare runtime", "median", "1 in 100 over", "not answered"]
    return {"title": "1 to 128 clients", "columns": columns, "rows": rows}


if __name__ == "__main__":
    main()
