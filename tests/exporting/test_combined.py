"""Combinations: one graph that answers as its networks and views do, averaged; saved, opened and used as a Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from PIL import Image

from sightline.bundle import Bundle, softmax, write_bundle
from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.exporting.combined import check, combine
from sightline.runtime import CACHE, PICTURE_BYTES
from tests.tiny_network import write

COLOUR12 = Preprocess(12, mean=(0.0,) * 3, std=(1.0,) * 3)
SPREAD = 4.0  # of the logits: enough to make probabilities unlike each other


def tiny(path: Path, seed: int = 0, preprocess: Preprocess = COLOUR12, **card: Any) -> Bundle:
    """A linear classifier of four classes whose embedding is the picture itself, so that averages can be checked."""
    dims = preprocess.size**2 * preprocess.channels
    weight = np.random.default_rng(seed).normal(size=(dims, 4)) * SPREAD / dims**0.5
    return write(path, weight, np.zeros(4), preprocess, **card)


def pictures(size: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def ten(images: np.ndarray, size: int) -> list[np.ndarray]:
    end = images.shape[1] - size
    places = [(end // 2, end // 2), (0, 0), (0, end), (end, 0), (end, end)]
    crops = [images[:, top : top + size, left : left + size] for top, left in places]
    return [*crops, *(crop[:, :, ::-1] for crop in crops)]


def asking_for_slices(bundle: Bundle, out: Path) -> Bundle:
    """The same network, whose graph says that it runs best in small batches."""
    model = onnx.load(bundle.path / "model.onnx")
    model.metadata_props.add(key=PICTURE_BYTES, value=str(CACHE // 2))
    images = pictures(12, 2)
    card = {key: value for key, value in bundle.card.items() if key not in ("files", "format")}
    write_bundle(
        out, card, graph=model.SerializeToString(), weights=(bundle.path / "model.safetensors").read_bytes(),
        golden_images=images, golden_logits=bundle.run(images).logits,
    )  # fmt: skip
    return Bundle.open(out)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_ten_views_answer_as_their_average(average: Any, one_by_one: bool, tmp_path: Path) -> None:
    bundle = tiny(tmp_path / "b")
    shown = asking_for_slices(bundle, tmp_path / "sliced") if one_by_one else bundle
    found = combine([shown], views="10", scales=[16], average=average)
    assert ("Scan" in {node.op_type for node in onnx.load_from_string(found.graph).graph.node}) == one_by_one
    for count in (1, 3):
        images = pictures(16, count)
        parts = [bundle.run(view) for view in ten(images, 12)]
        answer = found.bundle.run(images)
        if average == "logits":
            np.testing.assert_allclose(answer.logits, np.mean([part.logits for part in parts], axis=0), atol=1e-4)
        else:
            mean = np.mean([softmax(part.logits) for part in parts], axis=0)
            np.testing.assert_allclose(answer.logits, np.log(mean), atol=1e-4)
        np.testing.assert_allclose(answer.embedding, np.mean([part.embedding for part in parts], axis=0), atol=1e-6)
        np.testing.assert_allclose(answer.feature_map, parts[0].feature_map, atol=1e-6)
    assert found.bundle.run(pictures(16, 0)).logits.shape == (0, 4)


def test_batches_are_as_large_as_for_single_views(tmp_path: Path) -> None:
    bundle = tiny(tmp_path / "b")
    assert combine([bundle]).bundle.session.at_once == 32
    assert combine([bundle], views="10", scales=[16]).bundle.session.at_once == 3
    assert combine([bundle], views="10", scales=range(13, 27)).bundle.session.at_once == 1
    assert combine([asking_for_slices(bundle, tmp_path / "s")], views="10").bundle.session.at_once == 2


def test_an_ensemble_of_two_equal_networks_equals_one(tmp_path: Path) -> None:
    one, twin = tiny(tmp_path / "one"), tiny(tmp_path / "twin")
    both = combine([one, twin])
    images = pictures(12)
    np.testing.assert_allclose(softmax(both.bundle.run(images).logits), softmax(one.run(images).logits), atol=1e-6)
    assert both.bundle.card["macs"] == 2 * one.card["macs"]
    weight = one.card["embedding_dim"] * 4 * 4  # bytes, held once
    assert len(both.graph) < 1.5 * weight + 4000


def test_networks_are_averaged_by_weight(tmp_path: Path) -> None:
    a, b, c = (tiny(tmp_path / str(seed), seed) for seed in range(3))
    images = pictures(12)
    answers = [bundle.run(images) for bundle in (a, b, c)]
    plain = combine([a, b, c]).bundle.run(images)
    mean = np.mean([softmax(answer.logits) for answer in answers], axis=0)
    np.testing.assert_allclose(plain.logits, np.log(mean), atol=1e-4)
    weighted = combine([a, b, c], weights=[3, 0, 1])
    mean = 0.75 * softmax(answers[0].logits) + 0.25 * softmax(answers[2].logits)
    np.testing.assert_allclose(weighted.bundle.run(images).logits, np.log(mean), atol=1e-4)
    told = weighted.bundle.card["combination"]["members"]
    assert [(one["model_hash"], one["weight"]) for one in told] == [(a.model_hash, 0.75), (c.model_hash, 0.25)]
    logits = combine([a, b], weights=[0.3, 0.7], average="logits").bundle.run(images).logits
    np.testing.assert_allclose(logits, 0.3 * answers[0].logits + 0.7 * answers[1].logits, atol=1e-4)


def test_the_cosine_of_joint_embeddings_is_the_mean_of_the_networks_cosines(tmp_path: Path) -> None:
    """Whatever the lengths of their vectors, and a vector of zeros stays one."""
    small, large = (
        tiny(tmp_path / "12"),
        tiny(tmp_path / "8", preprocess=Preprocess(8, mean=(0.0,) * 3, std=(1.0,) * 3)),
    )
    joint = combine([small, large], weights=[0.75, 0.25]).bundle
    images = np.concatenate([pictures(12, 2), np.zeros((1, 12, 12, 3), np.uint8)])
    one, other, black = joint.run(images).embedding
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert not black.any()
    halves = [slice(0, 432), slice(432, None)]
    cosines = [one[h] @ other[h] / np.linalg.norm(one[h]) / np.linalg.norm(other[h]) for h in halves]
    assert one @ other == pytest.approx(0.75 * cosines[0] + 0.25 * cosines[1], abs=1e-5)


def test_networks_of_other_sizes_get_the_picture_in_theirs(tmp_path: Path) -> None:
    how: Any = {"interpolation": "nearest", "mean": (0.0,) * 3, "std": (1.0,) * 3}
    large, small = (tiny(tmp_path / str(size), preprocess=Preprocess(size, **how)) for size in (12, 6))
    joint = combine([small, large]).bundle
    assert joint.preprocess.size == 12
    images = pictures(12)
    halved = np.stack([small.preprocess(Image.fromarray(image)) for image in images])
    mean = (softmax(small.run(halved).logits) + softmax(large.run(images).logits)) / 2
    np.testing.assert_allclose(joint.run(images).logits, np.log(mean), atol=1e-4)


def test_sure_networks_that_contradict_each_other_stay_finite(tmp_path: Path) -> None:
    """Probabilities far below what float32 holds."""
    sure = [write(tmp_path / str(c), np.zeros((432, 4)), 400.0 * np.eye(4)[c], COLOUR12) for c in (0, 1)]
    for members, chance in ((sure, 0.5), (sure[:1], 1.0)):
        logits = combine(members, views="2").bundle.run(pictures(12)).logits
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(softmax(logits)[:, 0], chance, atol=1e-6)
        np.testing.assert_allclose(logits[:, 3], -400, atol=1e-3)


def test_saved_it_is_a_bundle_like_any_other(tmp_path: Path) -> None:
    a, b = tiny(tmp_path / "a"), tiny(tmp_path / "b", 1)
    made = combine([a, b], views="10", scales=[16])
    saved = made.save(tmp_path / "both", {"test": {"top1": 0.9}})
    assert saved.model_hash == made.bundle.model_hash
    assert saved.card["metrics"] == {"test": {"top1": 0.9}}
    assert saved.arch == "2 x prototype (10 views at 16)"
    assert saved.card["combination"]["views"] == "10"
    assert [one["views"] for one in saved.card["combination"]["members"]] == [10, 10]
    weights = safetensors.numpy.load_file(tmp_path / "both" / "model.safetensors")
    for number, member in enumerate((a, b)):
        own = safetensors.numpy.load_file(member.path / "model.safetensors")
        assert all(np.array_equal(weights[f"{number}.{key}"], value) for key, value in own.items())
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(photo)
    (answer,) = saved.predict([photo], top=4)
    measured = softmax(made.bundle.run(saved.preprocess(Image.open(photo))[None]).logits[0])
    assert dict(answer.classes) == pytest.approx({str(i): float(p) for i, p in enumerate(measured)}, abs=1e-6)
    with pytest.raises(UserError, match="exists already"):
        made.save(tmp_path / "both", {})


def test_a_combination_can_be_a_member(tmp_path: Path) -> None:
    a, b = tiny(tmp_path / "a"), asking_for_slices(tiny(tmp_path / "b", 1), tmp_path / "sliced")
    inner = combine([a, b], views="2").save(tmp_path / "inner", {})
    images = pictures(12)
    outer = combine([inner, a]).bundle.run(images)
    mean = (softmax(inner.run(images).logits) + softmax(a.run(images).logits)) / 2
    np.testing.assert_allclose(outer.logits, np.log(mean), atol=1e-4)
    mirrored = combine([inner], views="2").bundle.run(images)
    mean = (softmax(inner.run(images).logits) + softmax(inner.run(images[:, :, ::-1]).logits)) / 2
    np.testing.assert_allclose(mirrored.logits, np.log(mean), atol=1e-4)


def test_what_cannot_be_combined_is_refused(tmp_path: Path) -> None:
    a = tiny(tmp_path / "a")
    other = tiny(tmp_path / "other", classes=["3", "2", "1", "0"])
    for refuse in (check, combine):
        with pytest.raises(UserError, match="do not know the same classes in the same order"):
            refuse([a, other])
        with pytest.raises(UserError, match='unknown average "median"'):
            refuse([a], average="median")
        with pytest.raises(UserError, match='unknown network "prototype"'):
            refuse([a], views="dense", scales=[16])


def test_a_graph_beyond_what_onnx_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.exporting.assembly.LARGEST", 4000)
    with pytest.raises(UserError, match="more than the 2 GB an ONNX file may have: take fewer networks"):
        combine([tiny(tmp_path / "a"), tiny(tmp_path / "b", 1)])
