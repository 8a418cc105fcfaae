from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sightline.core import machine


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "broken"}, None),
        ({}, None),
    ],
)
def test_the_control_group_is_read(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine._cgroup_quota(tmp_path) == quota


def test_the_quota_cuts_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: 1.5)
    assert machine.cpu_quota() == 2
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: 0.2)
    assert machine.cpu_quota() == 1
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: None)
    assert machine.cpu_quota() == 8


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1000000"}, 1_000_000),
        ({"memory.max": "max"}, None),
        ({"memory/memory.limit_in_bytes": "2000"}, 2000),
        ({}, None),
    ],
)
def test_memory_is_cut_to_the_control_group_s_limit(
    files: dict[str, str], limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine._cgroup_memory(tmp_path) == limit
    monkeypatch.setattr(machine, "_cgroup_memory", lambda: limit)
    whole = psutil.virtual_memory().total
    assert machine.memory_bytes() == min(limit or whole, whole)


def test_peak_memory_sees_what_was_freed_again() -> None:
    with machine.PeakMemory() as idle:
        pass
    # an array might lie in memory that the process already holds
    with machine.PeakMemory() as busy, mmap.mmap(-1, 200_000_000) as fresh:
        for _ in range(200):
            fresh.write(b"1" * 1_000_000)
        time.sleep(0.2)
    assert busy.peak_bytes - idle.peak_bytes > 150_000_000


def test_versions_name_what_decides_figures() -> None:
    assert {"python", "numpy", "sightline"} <= machine.versions().keys()


FAULTS = """
import contextlib, resource, sys
import numpy as np
import psutil
from sightline.core.machine import keeping_freed_memory

def held():
    return psutil.Process().memory_info().rss

with keeping_freed_memory() if sys.argv[1] == "kept" else contextlib.nullcontext():
    np.ones(8_000_000)  # 64 MB, freed at once
    before, inside = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, held()
    for _ in range(5):
        np.ones(8_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
left = held()
np.ones(16_000_000)
print(faults, inside - left, held() - left)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose allocator it is about")
def test_freed_memory_is_kept_for_the_next_need_and_given_back_at_the_end() -> None:
    def measured(how: str) -> tuple[int, ...]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True, env=plain
        )
        return tuple(map(int, done.stdout.split()))

    assert measured("given back")[0] > 5 * 10  # a page each, or a huge page of 2 MB where the system gives those
    faults, returned, kept_later = measured("kept")
    assert faults < 5 * 10, "the same pages serve every array"
    assert returned > 60_000_000
    assert kept_later < 10_000_000, "what is freed after leaving goes back at once"
