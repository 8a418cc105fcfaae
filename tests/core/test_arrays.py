"""Arrays in files: what is damaged is one kind of error, and threads read at once."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightline.core.arrays import archived, mapped


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads hand over to each other wherever they can: at nearly every object that is made."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()

    def hand_over(*_: object) -> None:
        time.sleep(0)

    sys.setswitchinterval(1e-6)
    gc.set_threshold(5, 2, 2)
    gc.callbacks.append(hand_over)
    yield
    gc.callbacks.remove(hand_over)
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


def test_arrays_come_back(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "b.npz", table=table, key=np.array("k"))
    found = mapped(tmp_path / "a.npy")
    assert np.array_equal(found, table)
    assert not found.flags.writeable
    assert not found.flags.owndata
    key, again = archived(tmp_path / "b.npz", "key", "table")
    assert str(key) == "k"
    assert np.array_equal(again, table)


@pytest.mark.parametrize("kept", [0, 5, 60, 100, 400])
def test_a_cut_off_file_is_a_value_error(tmp_path: Path, kept: int) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100))
    np.savez(tmp_path / "b.npz", a=np.zeros(100))
    for name, read in (("a.npy", mapped), ("b.npz", lambda path: archived(path, "a"))):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError):
            read(path)


def test_other_files_are_a_value_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "b.npz", a=np.zeros(3))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    for path in (tmp_path / "none.npy", tmp_path / "b.npz", tmp_path / "pickle.npy", tmp_path):
        with pytest.raises(ValueError):
            mapped(path)
    for path, name in ((tmp_path / "none.npz", "a"), (tmp_path / "a.npy", "a"), (tmp_path / "b.npz", "b")):
        with pytest.raises(ValueError):
            archived(path, name)


@pytest.mark.parametrize("value", [1, 32, 255])
def test_a_spoiled_byte_is_a_value_error_or_harmless(tmp_path: Path, value: int) -> None:
    np.save(tmp_path / "a.npy", np.zeros(1))
    np.savez(tmp_path / "b.npz", a=np.zeros(1))
    refused = 0
    for name, read in (("a.npy", mapped), ("b.npz", lambda path: archived(path, "a"))):
        path = tmp_path / name
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read(path)
            except ValueError:
                refused += 1
    assert refused > 100


def test_a_spoiled_compressed_archive_is_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).random(1000))
    spoiled = bytearray(path.read_bytes())
    spoiled[60:400] = bytes(340)
    path.write_bytes(spoiled)
    with pytest.raises(ValueError):
        archived(path, "a")


FORKING = """
import os, signal, sys, threading, time
from sightline.core import arrays

held = threading.Event()

def read():
    with arrays._ONE_AT_A_TIME:
        held.set()
        time.sleep(0.2)

threading.Thread(target=read).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    arrays.mapped(sys.argv[1])
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_reads_whatever_was_read_meanwhile(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "a.npy")], check=True, timeout=60)


def test_threads_read_at_once(tmp_path: Path, switching: None) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    np.savez(tmp_path / "b.npz", a=np.zeros((3, 4)))
    failures: list[BaseException] = []
    until = time.monotonic() + 1

    def read(depth: int) -> None:  # Python takes the threads' different depths for a mistake of its own
        if depth:
            return read(depth - 1)
        while time.monotonic() < until:
            try:
                assert mapped(tmp_path / "a.npy").shape == archived(tmp_path / "b.npz", "a")[0].shape
            except BaseException as error:
                failures.append(error)

    readers = [threading.Thread(target=read, args=(3 * number,)) for number in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not failures, failures[0]
