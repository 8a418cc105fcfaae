"""Saying "unknown": the promise held on pictures it was not chosen on, and distances that tell strangers apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sightline.bundle import Bundle
from sightline.cli import run
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.experience import Experience, distances, units
from tests import tiny_network
from tests.pictures import crops, jpeg
from tests.tiny_graph import write_tiny_bundle

NOTHING = np.ones((1, 2), np.float32)


def answered(count: int, seed: int, spread: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences as good networks have them, right as often as they say."""
    random = np.random.default_rng(seed)
    confidence = random.beta(spread, 0.5, count)
    return confidence, random.random(count) < confidence


def seen(confidence: np.ndarray, right: np.ndarray, distance: np.ndarray | None = None) -> Experience:
    return Experience(NOTHING, confidence, right, np.zeros(len(right)) if distance is None else distance)


@pytest.mark.parametrize(("pictures", "error"), [(90, 0.1), (300, 0.05), (1000, 0.02)])
def test_the_promise_holds_on_pictures_it_was_not_chosen_on(pictures: int, error: float) -> None:
    """Of 300 validation parts at most 5 % may break it; more than 9 % would come by chance once in 1,000 times."""
    confidence, right = answered(400_000, seed=99)
    broken, shares = 0, []
    for seed in range(300):
        try:
            rule = seen(*answered(pictures, seed)).rule(error)
        except UserError:
            shares.append(0.0)
            continue
        chosen = confidence > rule.confidence
        broken += bool(chosen.any()) and float((~right[chosen]).mean()) > error
        shares.append(float(chosen.mean()))
    assert broken <= 27
    assert np.mean(shares) > 0.2  # it is no promise to say nothing


def test_a_rule_says_what_it_was_chosen_on() -> None:
    confidence, right = answered(500, seed=0)
    rule = seen(confidence, right).rule(0.05)
    chosen = confidence > rule.confidence
    assert (rule.answered, rule.wrong) == (chosen.sum(), (chosen & ~right).sum())
    assert [rule.unknown(c, 0.0) for c in (rule.confidence, rule.confidence + 1e-9)] == ["unsure", None]
    validation = rule.to_dict()["validation"]
    assert validation["coverage"]["low"] < validation["coverage"]["mean"] < validation["coverage"]["high"]


def test_a_good_network_answers_all() -> None:
    confidence, _ = answered(200, seed=0)
    rule = seen(confidence, np.ones(200, bool)).rule(0.05)
    assert (rule.confidence, rule.answered) == (0.0, 200)


def test_answers_of_equal_confidence_stand_or_fall_together() -> None:
    confidence, right = np.ones(300), np.ones(300, bool)
    confidence[200:], right[200:] = 0.5, False
    rule = seen(confidence, right).rule(0.05)
    assert (rule.confidence, rule.answered, rule.wrong) == (0.5, 200, 0)
    right[:100] = False
    with pytest.raises(UserError, match="5 % of the answers are wrong cannot be promised from 300"):
        seen(confidence, right).rule(0.05)


def test_what_cannot_be_promised_says_what_can() -> None:
    few = seen(*answered(40, seed=1))
    with pytest.raises(
        UserError, match=r"from 40 validation pictures, \d+ of them answered wrongly: (\d+) %"
    ) as caught:
        few.rule(0.01)
    least = int(str(caught.value).split("wrongly: ")[1].split()[0])
    assert few.rule(least / 100).answered
    with pytest.raises(UserError):
        few.rule((least - 1) / 100)
    with pytest.raises(UserError, match="nothing can be"):
        seen(np.ones(3), np.zeros(3, bool)).rule(0.5)


@pytest.mark.parametrize(("error", "unlike"), [(0, 0.05), (1, 0.05), (-1, 0.05), (0.1, 1), (0.1, -0.1), (np.nan, 0.1)])
def test_shares_out_of_range(error: float, unlike: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        seen(*answered(40, seed=1)).rule(error, unlike)


@pytest.mark.parametrize("unlike", [0.01, 0.05, 0.2])
def test_new_pictures_are_called_unlike_as_often_as_stated(unlike: float) -> None:
    """Over 400 validation parts of 99 pictures; the mean of their shares lies within four standard errors."""
    shares = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        rule = seen(np.ones(99), np.ones(99, bool), random.exponential(size=99)).rule(0.2, unlike)
        shares.append(float(np.exp(-rule.distance)))
    assert abs(np.mean(shares) - unlike) < 4 * np.std(shares) / 20


def test_unlike_can_be_left_out() -> None:
    rule = seen(*answered(200, seed=0), np.arange(200.0)).rule(0.2, unlike=0)
    assert rule.unknown(1.0, 1e9) is None
    assert json.loads(json.dumps(rule.to_dict(), allow_nan=False))["distance_up_to"] is None


def test_distances_by_hand() -> None:
    random = np.random.default_rng(0)
    known, asked = random.normal(size=(40, 6)), random.normal(size=(7, 6)) * 100
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (known, asked)]
    apart = np.linalg.norm((asked / lengths[1])[:, None] - (known / lengths[0])[None], axis=2)
    np.testing.assert_allclose(distances(units(known), asked), np.sort(apart, axis=1)[:, 4], atol=1e-5)
    rounded = Experience.of(known, asked, np.ones(7), np.ones(7, bool))
    np.testing.assert_allclose(rounded.distance, np.sort(apart, axis=1)[:, 4], atol=2e-3)  # float16: three digits
    assert distances(units(known[:2]), asked).shape == (7,)
    assert distances(units(known), asked[:0]).shape == (0,)
    assert np.isfinite(distances(units(known), np.zeros((1, 6)))).all()


def test_it_comes_back_as_it_was_and_damage_is_told(tmp_path: Path) -> None:
    experience = seen(*answered(30, seed=0))
    path = tmp_path / "experience.npz"
    path.write_bytes(experience.to_bytes())
    for name, value in vars(Experience.open(path)).items():
        np.testing.assert_array_equal(value, getattr(experience, name))
    path.write_bytes(experience.to_bytes()[:100])
    with pytest.raises(UserError, match=r"damaged bundle: .*experience\.npz"):
        Experience.open(path)


@pytest.fixture(scope="module")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The digits' prototypes, with what they were seen to know."""
    path = tmp_path_factory.mktemp("experienced") / "bundle"
    plain = tiny_network.make_bundle(path.with_name("plain"), digits)
    pixels, rows = Pixels(digits, plain.preprocess), digits.rows("validation")
    known, said = plain.run(pixels.read(digits.rows("train"))), plain.run(pixels.read(rows))
    exponentials = np.exp(said.logits.astype(float) - said.logits.max(1, keepdims=True))
    confidence = 1 / exponentials.sum(1)
    right = said.logits.argmax(1) == digits.labels(rows)
    experience = Experience.of(known.embedding, said.embedding, confidence, right)
    return tiny_network.make_bundle(path, digits, experience=experience)


def test_photographs_shown_to_a_reader_of_digits_are_unlike(bundle: Bundle, digits: Dataset) -> None:
    """Crops of a temple and a flower against test digits: 1.00 when measured."""
    test = bundle.run(Pixels(digits, bundle.preprocess).read(digits.rows("test")))
    photos = [bundle.preprocess(crop) for name in ("china.jpg", "flower.jpg") for crop in crops(name, 59)]
    strange = bundle.run(np.stack(photos))
    own, others = (bundle.experience.distances(answers.embedding) for answers in (test, strange))
    auroc = roc_auc_score([0] * len(own) + [1] * len(others), np.concatenate([own, others]))
    assert auroc > 0.95, auroc


def test_a_prediction_says_why_it_is_unknown(
    bundle: Bundle, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Python, as JSON, in a CSV file and in the table."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(crops("flower.jpg", 1)[0]))
    names = [digits.name_of(row) for row in digits.rows("test")]
    rule = bundle.experience.rule(0.05)
    predictions = list(bundle.predict([photo, *names, b"no picture"], rule=rule))
    said = [prediction.unknown for prediction in predictions]
    assert said[0] == "unlike"
    assert {"unsure", "unlike", None} == set(said)
    assert (said[-1], predictions[-1].error) == (None, "not an image")
    for prediction in predictions[1:-1]:
        assert (prediction.unknown == "unsure") <= (prediction.classes[0][1] <= rule.confidence)
    arguments = ["predict", str(bundle.path), str(photo), *names[:20], "--reject", "5%"]
    assert run([*arguments, "--json", "--csv", str(tmp_path / "all.csv")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["unknown"] for one in document["predictions"]] == said[:21]
    assert document["rule"]["error"] == 0.05
    rows = (tmp_path / "all.csv").read_text().splitlines()
    assert rows[0].startswith("picture,error,unknown,class_1")
    assert [row.split(",")[2] or None for row in rows[1:]] == said[:21]
    assert run(arguments) == 0
    output = capsys.readouterr().out
    assert "unknown, unlike anything trained on: " in output
    assert "at most 5.0 % of answers to pictures like the 269 validation pictures" in output


def test_without_experience_nothing_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny_bundle(tmp_path / "b")
    (tmp_path / "photo.jpg").write_bytes(jpeg(crops("flower.jpg", 1)[0]))
    assert run(["predict", str(path), str(tmp_path / "photo.jpg"), "--reject", "5%"]) == 2
    assert "takes a network trained with validation pictures" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["5", "105%", "-5%", "five", "", "nan"])
def test_shares_that_are_none(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(tmp_path), str(tmp_path), f"--reject={text}"]) == 2
    assert "is no share: write 5% or 0.05" in capsys.readouterr().err


def test_a_flipped_byte_in_what_it_was_seen_to_know(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "b")
    file = tmp_path / "b" / "experience.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"experience\.npz does not match its checksum"):
        Bundle.open(tmp_path / "b")
    file.unlink()
    with pytest.raises(UserError, match=r"experience\.npz is missing"):
        Bundle.open(tmp_path / "b")
