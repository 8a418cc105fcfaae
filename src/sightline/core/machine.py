"""The machine: processors we may use, versions, peak memory, and memory kept for its next use."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # malloc.h
KEEPING = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
SETTLED = {M_MMAP_MAX: 65_536, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}
PACKAGES = (
    "numpy", "pillow", "onnxruntime", "faiss-cpu", "torch", "lightning-fabric", "kornia",
    "scikit-learn", "scikit-image",
)  # fmt: skip


def cpu_quota() -> int:
    """Processors this process may really use: its affinity, cut to the control group's quota; at least 1.

    A container limited to two processors of a 64-core host reports 64 through `os.cpu_count`; threads sized by that
    number fight each other.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(allowed, math.ceil(quota)) if quota else allowed)


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Processors granted by the control group (version 2, then 1), or None without a limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (root / "cpu/cpu.cfs_quota_us").read_text()
        period = (root / "cpu/cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError):
        return None


def memory_bytes() -> int:
    """Bytes of memory this process may really use: the machine's, cut to the control group's limit."""
    import psutil

    return min(psutil.virtual_memory().total, _cgroup_memory() or sys.maxsize)


def _cgroup_memory(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes granted by the control group (version 2, then 1), or None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((root / name).read_text())
        except (OSError, ValueError):  # "max" is no limit, and no number
            continue
    return None


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """While inside, this process keeps the memory it frees for its next need of it, where the C library is glibc.

    By default glibc maps every large block from the system and gives it back when freed; a training step frees and asks
    for the same activations again and again, and spends up to two thirds of its time on pages that come zeroed
    (mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD). The peak grows by up to a third. On leaving, what is free goes back,
    and the limits become those at which glibc itself settles in a process that frees large blocks.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    for option, value in KEEPING.items():
        libc.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in SETTLED.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def versions() -> dict[str, str]:
    """Versions of Python, Sightline and the libraries that decide figures; absent ones are left out."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Read once: a process keeps the libraries it began with."""
    found = [("python", platform.python_version())]
    for package in ("sightline", *PACKAGES):
        with suppress(metadata.PackageNotFoundError):
            found.append((package, metadata.version(package)))
    return tuple(found)


def describe() -> dict[str, Any]:
    """What the machine is: system, processor, processors usable, memory in bytes."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "processors": cpu_quota(),
        "memory_bytes": memory_bytes(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


class PeakMemory:
    """Context manager: the most resident memory this process held while inside, sampled every 50 ms.

    `peak_bytes` is the whole process's resident size, libraries included.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
            if self._stop.wait(0.05):
                return
