from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from sightline.core.errors import UserError
from sightline.core.machine import cpu_quota
from sightline.runtime import CACHE, PICTURE_BYTES, Session
from tests.tiny_graph import CHANNELS, CLASSES, SIZE, pixels, tiny_graph


def in_slices(graph: bytes, picture_bytes: str) -> bytes:
    model = onnx.load_from_string(graph)
    model.metadata_props.add(key=PICTURE_BYTES, value=picture_bytes)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(tiny_graph())


@pytest.mark.parametrize("count", [1, 2, 33])
def test_any_batch(session: Session, count: int) -> None:
    outputs = session.run(pixels(count))
    assert outputs.logits.shape == (count, CLASSES)
    assert outputs.embedding.shape == (count, CHANNELS)
    assert outputs.feature_map.shape == (count, CHANNELS, SIZE, SIZE)
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    np.testing.assert_allclose(outputs.embedding, outputs.feature_map.mean((2, 3)), atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_a_batch_in_slices_answers_as_the_whole(session: Session, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = Session(in_slices(tiny_graph(), str(CACHE // 3)))
    taken: list[int] = []
    run = sliced._session.run
    monkeypatch.setattr(
        sliced, "_session", SimpleNamespace(run=lambda only, feed: taken.append(len(feed["images"])) or run(only, feed))
    )
    for ours, whole in zip(sliced.run(pixels(count)), session.run(pixels(count)), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-5, atol=1e-5)
    assert taken == {1: [1], 3: [3], 4: [2, 2], 7: [3, 2, 2]}[count]


def test_no_pictures_give_no_answers(session: Session) -> None:
    assert session.run(pixels(0)).logits.shape == (0, CLASSES)
    assert Session(in_slices(tiny_graph(), str(CACHE // 3))).run(pixels(0)).logits.shape == (0, CLASSES)


def test_a_picture_that_fills_the_cache_is_taken_alone() -> None:
    assert Session(in_slices(tiny_graph(), str(3 * CACHE))).at_once == 1


@pytest.mark.parametrize("value", ["0", "-2", "many"])
def test_pictures_of_no_size_are_told(value: str) -> None:
    with pytest.raises(UserError, match="bytes_a_picture"):
        Session(in_slices(tiny_graph(), value))


def test_only_what_was_asked_for(session: Session) -> None:
    outputs = session.run(pixels(2), only=("embedding",))
    np.testing.assert_array_equal(outputs.embedding, session.run(pixels(2)).embedding)
    assert outputs.logits.size == outputs.feature_map.size == 0


def test_pictures_that_are_a_view_of_others(session: Session) -> None:
    images = pixels(6)
    np.testing.assert_array_equal(session.run(images[::2]).logits, session.run(images[::2].copy()).logits)


def test_several_threads_may_run_it(session: Session) -> None:
    batches = [pixels(3, seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: session.run(batch).logits, batches))
    for logits, batch in zip(found, batches, strict=True):
        np.testing.assert_array_equal(logits, session.run(batch).logits)


def test_threads_are_the_quota_unless_told() -> None:
    assert Session(tiny_graph()).threads == cpu_quota()
    assert Session(tiny_graph(), threads=1).threads == 1


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, SIZE, SIZE, 3), np.float32),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((1, SIZE, SIZE, 1), np.uint8),
        np.zeros((1, SIZE, SIZE + 1, 3), np.uint8),
        np.zeros((1, 3, SIZE, SIZE), np.uint8),
    ],
)
def test_pictures_of_another_kind_are_told(session: Session, images: np.ndarray) -> None:
    with pytest.raises(UserError) as error:
        session.run(images)
    assert f"uint8 pictures [N, {SIZE}, {SIZE}, 3], not {images.dtype} {list(images.shape)}" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\0" * 100, tiny_graph()[:200]])
def test_a_damaged_graph_is_told_quietly(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    for graph, where in ((file, str(file)), (content, "the graph")):
        with pytest.raises(UserError) as error:
            Session(graph)
        assert where in str(error.value)
        assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_graph_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no graph at"):
        Session(tmp_path / "model.onnx")


def test_a_graph_of_another_kind_is_told() -> None:
    with pytest.raises(UserError, match="no Sightline graph: it must take images and give logits, embedding"):
        Session(tiny_graph().replace(b"images", b"inputs"))


@pytest.mark.parametrize("module", ["sightline.runtime", "sightline.bundle"])
def test_what_runs_networks_imports_nothing_of_what_trains_them(module: str) -> None:
    heavy = ("torch", "scipy", "sklearn", "pyarrow", "altair")
    code = f"import {module}, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_running_a_graph_tells_nobody_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    """ONNX Runtime keeps events of its own under the home folder unless it is told before it is imported."""
    (tmp_path / "graph.onnx").write_bytes(tiny_graph())
    code = "import sys; from pathlib import Path; from sightline.runtime import Session; Session(Path(sys.argv[1]))"
    told = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    home = tmp_path / "home"
    home.mkdir()
    environment = {**told, "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "graph.onnx")], check=True, env=environment)
    assert list(home.iterdir()) == []
