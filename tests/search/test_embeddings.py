"""Embeddings: kept by the pictures' hashes, none computed twice; a killed job goes on and ends with the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.core.hashing import sha256_file
from sightline.search.embeddings import Embeddings
from tests.tiny_network import write


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Embeds an 8x8 grey picture as its own pixels."""
    return write(tmp_path_factory.mktemp("bundles") / "bundle", np.eye(64)[:, :2], np.zeros(2))


def drawn(folder: Path, count: int, seed: int = 0) -> list[str]:
    """So many pictures of noise, by name."""
    folder.mkdir(exist_ok=True)
    names = []
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)):
        names.append(str(folder / f"{seed}-{number}.png"))
        Image.fromarray(pixels).save(names[-1])
    return names


def hashes(names: list[str]) -> np.ndarray:
    found = [np.frombuffer(bytes.fromhex(sha256_file(Path(name))), np.uint8) for name in names]
    return np.array(found, np.uint8).reshape(-1, 32)


def add(path: Path, bundle: Bundle, names: list[str]) -> np.ndarray:
    """The embeddings of the pictures that can be read, after all are kept at `path`."""
    keys = hashes(names)
    with Embeddings.opened(path, bundle) as kept:
        kept.add(keys, names.__getitem__)
        return kept.vectors(np.delete(keys, list(kept.errors(keys)), axis=0))


class Counting:
    """A Bundle that notes which pictures it is asked for."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.asked = bundle, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bundle, name)

    def stream(self, pictures: Any, **options: Any) -> Any:
        self.asked += pictures
        return self.bundle.stream(pictures, **options)


def test_they_are_the_networks_own_in_order(bundle: Bundle, tmp_path: Path) -> None:
    names = drawn(tmp_path / "pictures", 70)
    found = add(tmp_path / "kept", bundle, names)
    pixels = np.stack([np.asarray(Image.open(name)).reshape(-1) for name in names])
    assert found.dtype == np.float32
    assert np.allclose(found, pixels / 255, atol=1e-6)


def test_only_what_is_new_is_computed(bundle: Bundle, tmp_path: Path) -> None:
    names = drawn(tmp_path / "pictures", 40)
    counting: Any = Counting(bundle)
    first = add(tmp_path / "kept", counting, names[:25])
    assert counting.asked == names[:25]
    counting.asked.clear()
    both = add(tmp_path / "kept", counting, [names[30], *names[:25], *names[28:]])
    assert counting.asked == [names[30], *names[28:30], *names[31:]]
    assert np.array_equal(both[1:26], first)
    copies = [names[0]] * 3
    assert np.array_equal(add(tmp_path / "other", bundle, copies), first[[0, 0, 0]])


def test_what_is_gone_is_forgotten_and_another_network_begins_anew(bundle: Bundle, tmp_path: Path) -> None:
    names = drawn(tmp_path / "pictures", 10)
    add(tmp_path / "kept", bundle, names)
    with Embeddings.opened(tmp_path / "kept", bundle) as kept:
        kept.keep(hashes(names[4:]))
    counting: Any = Counting(bundle)
    add(tmp_path / "kept", counting, names)
    assert counting.asked == names[:4]
    other = write(tmp_path / "bundle", np.eye(64)[:, :3], np.zeros(3))
    counting = Counting(other)
    add(tmp_path / "kept", counting, names)
    assert counting.asked == names


def test_pictures_that_cannot_be_read_are_named_and_tried_again(bundle: Bundle, tmp_path: Path) -> None:
    names = drawn(tmp_path / "pictures", 5)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(Path(names[0]).read_bytes()[:40])
    asked = [str(tmp_path / "empty.png"), *names, str(tmp_path / "cut.png")]
    keys = hashes(asked)
    with Embeddings.opened(tmp_path / "kept", bundle) as kept:
        kept.add(keys, asked.__getitem__)
        errors = kept.errors(keys)
        assert list(errors) == [0, 6]
        assert "empty file" in errors[0]
    counting: Any = Counting(bundle)
    with Embeddings.opened(tmp_path / "kept", counting) as kept:
        kept.add(keys, asked.__getitem__)
    assert counting.asked == [asked[0], asked[6]]


def test_a_second_writer_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="is being written by another process: wait for it")
    with Embeddings.opened(tmp_path / "kept", bundle), refused:
        add(tmp_path / "kept", bundle, [])
    add(tmp_path / "kept", bundle, drawn(tmp_path / "pictures", 1))


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_damaged_file_is_named(bundle: Bundle, tmp_path: Path, damage: str) -> None:
    names = drawn(tmp_path / "pictures", 200)
    add(tmp_path / "kept", bundle, names)
    data = (tmp_path / "kept").read_bytes()
    (tmp_path / "kept").write_bytes(b"no database " * 999 if damage == "text" else data[: len(data) // 2])
    with pytest.raises(UserError, match=r"kept is damaged: remove it, and the pictures are embedded again"):
        add(tmp_path / "kept", bundle, names)


def test_a_full_disk_is_said_and_what_was_kept_stays(bundle: Bundle, tmp_path: Path) -> None:
    names = drawn(tmp_path / "pictures", 400)
    add(tmp_path / "kept", bundle, names[:100])
    keys = hashes(names)
    refused = pytest.raises(UserError, match=r"cannot keep embeddings in .*kept: database or disk is full")
    with refused, Embeddings.opened(tmp_path / "kept", bundle) as kept:
        kept._connection.execute("PRAGMA max_page_count = 20")  # as many as there are
        kept.add(keys, names.__getitem__)
    counting: Any = Counting(bundle)
    add(tmp_path / "kept", counting, names)
    assert counting.asked == names[100:]


KILLED = """
import sys, time
from pathlib import Path
from sightline.bundle import Bundle
from sightline.search import embeddings
from tests.search.test_embeddings import add
embeddings.EVERY_S = 0.01
bundle = Bundle.open(sys.argv[1])
stream = Bundle.stream
def slow(self, pictures, **options):
    for answer in stream(self, pictures, **options):
        time.sleep(0.002)
        yield answer
Bundle.stream = slow
names = sorted(map(str, Path(sys.argv[3]).iterdir()))
print("begun", flush=True)
add(Path(sys.argv[2]), bundle, names)
print("done", flush=True)
"""


@pytest.mark.parametrize("after", [0.05, 0.2, 0.45])
def test_killed_it_goes_on_and_ends_with_the_same_bits(bundle: Bundle, tmp_path: Path, after: float) -> None:
    names = sorted(drawn(tmp_path / "pictures", 300))
    command = [sys.executable, "-c", KILLED, str(bundle.path), str(tmp_path / "kept"), str(tmp_path / "pictures")]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert job.stdout
    assert job.stdout.readline() == b"begun\n"
    time.sleep(after)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    job.stdout.close()
    counting: Any = Counting(bundle)
    found = add(tmp_path / "kept", counting, names)
    assert len(counting.asked) % 32 == 300 % 32  # whole batches were kept, or none
    assert np.array_equal(found, add(tmp_path / "undisturbed", bundle, names))
