from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sightline.bundle import CARD, GOLDEN, GRAPH, WEIGHTS, Bundle, disagreement, softmax, write_bundle
from sightline.core.errors import UserError
from sightline.core.hashing import sha256_bytes
from sightline.runtime import Session
from tests.tiny_graph import CLASSES, SIZE, pixels, tiny_graph, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(1, seed)[0]).save(file, "png")
    return file.getvalue()


def test_it_opens_as_it_was_written(bundle: Bundle) -> None:
    assert bundle.arch == "tiny"
    assert bundle.classes == ("ant", "bee", "<b>cat</b>")
    assert bundle.preprocess.size == SIZE
    assert bundle.card["metrics"] == {"top1": 0.5}
    assert bundle.card["format"] == 1
    assert bundle.model_hash == sha256_bytes((bundle.path / GRAPH).read_bytes())
    assert sorted(file.name for file in bundle.path.iterdir()) == sorted([CARD, GRAPH, WEIGHTS, GOLDEN])


def test_nothing_is_overwritten_unless_told(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="exists already"):
        write_tiny_bundle(bundle.path)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_tiny_bundle(tmp_path / "b", metrics={"top1": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [CARD, GRAPH, WEIGHTS, GOLDEN])
def test_a_missing_file_is_told_by_name(name: str, tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "b")
    (path / name).unlink()
    with pytest.raises(UserError, match=name):
        Bundle.open(path)


@pytest.mark.parametrize("name", [CARD, GRAPH, WEIGHTS, GOLDEN])
def test_a_flipped_byte_anywhere_is_told_by_name(name: str, tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "b")
    sound = (path / name).read_bytes()
    places = range(len(sound)) if name == CARD else range(0, len(sound), 7)
    for place in places:
        # The card is compared by content: blanks between its entries may be others.
        if name == CARD and sound[place : place + 1].isspace():
            continue
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        (path / name).write_bytes(damaged)
        with pytest.raises(UserError) as error:
            Bundle.open(path)
        assert str(path / name) in str(error.value), place
        assert "\n" not in str(error.value)
    (path / name).write_bytes(sound)
    Bundle.open(path)


@pytest.mark.parametrize("name", [CARD, GRAPH, WEIGHTS, GOLDEN])
def test_a_truncated_or_empty_file_is_told_by_name(name: str, tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "b")
    sound = (path / name).read_bytes()
    for length in (0, 1, len(sound) // 2, len(sound) - 2):
        (path / name).write_bytes(sound[:length])
        with pytest.raises(UserError, match=name):
            Bundle.open(path)


def test_places_that_hold_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match=r"no bundle at .*bundle\.json is missing"):
            Bundle.open(path)


def test_another_format_is_told(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "b")
    card = json.loads((path / CARD).read_text())
    (path / CARD).write_text(json.dumps({**card, "format": 2}))
    with pytest.raises(UserError, match="has format 2, this version reads 1"):
        Bundle.open(path)


def test_a_machine_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    graph, images = tiny_graph(), pixels(4)
    logits = Session(graph).run(images).logits + np.float32(0.01)
    card = json.loads((write_tiny_bundle(tmp_path / "sound") / CARD).read_text())
    card = {key: value for key, value in card.items() if key not in ("format", "files", "sha256")}
    write_bundle(tmp_path / "b", card, graph=graph, weights=b"", golden_images=images, golden_logits=logits)
    with pytest.raises(UserError, match=r"model\.onnx does not answer here as it did .*logits differ by 0\.01"):
        Bundle.open(tmp_path / "b")


def test_at_most_eight_golden_pictures_travel(tmp_path: Path) -> None:
    graph, images = tiny_graph(), pixels(40)
    logits = Session(graph).run(images).logits
    write_bundle(tmp_path / "b", {}, graph=graph, weights=b"", golden_images=images, golden_logits=logits)
    with np.load(tmp_path / "b" / GOLDEN, allow_pickle=False) as golden:
        np.testing.assert_array_equal(golden["images"], images[:8])
        np.testing.assert_array_equal(golden["logits"], logits[:8])


def test_golden_pictures_are_never_unpickled(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez(file, images=np.array([{"a": 1}], dtype=object), logits=np.zeros(1))
    path = write_tiny_bundle(tmp_path / "b")
    (path / GOLDEN).write_bytes(file.getvalue())
    card = json.loads((path / CARD).read_text())
    del card["sha256"]
    card["files"][GOLDEN] = sha256_bytes(file.getvalue())
    card["sha256"] = sha256_bytes(json.dumps(card, sort_keys=True).encode())
    (path / CARD).write_text(json.dumps(card))
    with pytest.raises(UserError, match="does not hold golden pictures"):
        Bundle.open(path)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_stream_keeps_order_and_survives_bad_pictures(bundle: Bundle, tmp_path: Path, batch_size: int) -> None:
    good = tmp_path / "a picture\n.png"
    good.write_bytes(png(1))
    (tmp_path / "empty.jpg").touch()
    sources = [png(0), good, b"no picture", tmp_path / "empty.jpg", str(tmp_path / "absent.png"), png(2), png(3)[:60]]
    answers = list(bundle.stream(iter(sources), batch_size=batch_size))
    assert [answer.error is None for answer in answers] == [True, True, False, False, False, True, False]
    assert [answer.name for answer in answers[:3]] == ["picture 1", str(good), "picture 3"]
    for answer, seed in ((answers[0], 0), (answers[1], 1), (answers[5], 2)):
        expected = bundle.run(pixels(1, seed))
        assert answer.logits is not None
        assert answer.embedding is not None
        np.testing.assert_allclose(answer.logits, expected.logits[0], atol=1e-5)
        np.testing.assert_allclose(answer.embedding, expected.embedding[0], atol=1e-5)
        assert answer.feature_map is None
    for answer in answers:
        assert (answer.logits is None) == (answer.error is not None)
        assert "\n" not in (answer.error or "")


def test_a_stream_gives_the_feature_map_when_asked(bundle: Bundle) -> None:
    (answer,) = bundle.stream([png()], only=("feature_map",))
    assert answer.logits is None
    assert answer.error is None
    np.testing.assert_allclose(answer.feature_map, bundle.run(pixels(1)).feature_map[0], atol=1e-5)


def test_a_decoder_that_breaks_in_its_own_way_is_an_error_like_others(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: object, max_pixels: int) -> None:
        raise ZeroDivisionError("in a decoder\n")

    monkeypatch.setattr("sightline.bundle.open_picture", broken)
    (answer,) = bundle.stream([png()])
    assert answer.error == "not readable (ZeroDivisionError: in a decoder\\n)"


def test_a_stream_reads_a_bounded_way_ahead(bundle: Bundle) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield png()

    stream = bundle.stream(endless(), batch_size=4)
    for _ in range(9):
        next(stream)
    assert 9 < taken <= 12 + 4 + 1
    assert [thread for thread in threading.enumerate() if thread.name.startswith("sightline")]
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sightline")]


def test_no_pictures_no_answers(bundle: Bundle) -> None:
    assert list(bundle.stream([])) == []
    assert list(bundle.predict([])) == []


def test_predictions_are_probabilities_best_first(bundle: Bundle) -> None:
    first, bad, last = bundle.predict([png(0), b"", png(1)], top=2)
    for prediction, seed in ((first, 0), (last, 1)):
        assert prediction.error is None
        names, probabilities = zip(*prediction.classes, strict=True)
        assert len(names) == 2
        assert probabilities[0] >= probabilities[1]
        logits = bundle.run(pixels(1, seed)).logits[0]
        assert names[0] == bundle.classes[logits.argmax()]
        assert probabilities[0] == pytest.approx(float(softmax(logits).max()), abs=1e-4)
    assert bad.classes == ()
    assert bad.error == "empty file"
    (whole,) = bundle.predict([png(0)], top=99)
    assert sum(probability for _, probability in whole.classes) == pytest.approx(1)
    assert len(whole.classes) == CLASSES


@given(arrays(np.float32, (3, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_softmax_of_anything_finite(logits: np.ndarray) -> None:
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (probabilities >= 0).all()


def test_what_counts_as_the_same_answer() -> None:
    logits = np.array([[1.0, 2.0], [3.0, 1.0]], np.float32)
    assert disagreement(logits, logits) == ""
    assert disagreement(logits + np.float32(9e-4), logits) == ""
    assert "logits differ by 0.002" in disagreement(logits + np.float32(2e-3), logits)
    assert "logits differ by nan" in disagreement(logits * np.float32(np.nan), logits)
    assert "shape (2, 1), not (2, 2)" in disagreement(logits[:, :1], logits)
    near = np.array([[1.0, 1.0004]], np.float32)
    assert disagreement(near[:, ::-1], near) == ""  # a tie within the difference


def test_a_bundle_predicts_without_torch(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png())
    code = (
        "import sys; from sightline.bundle import Bundle; "
        "(p,) = Bundle.open(sys.argv[1]).predict([sys.argv[2]]); print(p.classes[0][0], 'torch' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, str(bundle.path), str(tmp_path / "p.png")]
    found = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert found == f"{bundle.classes[bundle.run(pixels(1)).logits[0].argmax()]} False\n"
