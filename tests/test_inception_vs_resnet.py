"""The experiment around its comparison: set-up, what papers state beside what was found, and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sightline import api
from sightline import inception_vs_resnet as experiment
from sightline.core.errors import UserError
from sightline.training.device import spoken
from tests.report import documents


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return documents.experiment()


def compared(**changes: Any) -> dict[str, Any]:
    """A comparison of the two networks with a few figures replaced."""
    found = documents.comparison(experiment.NETWORKS, seeds=changes.pop("seeds", 3))
    for network in found["networks"]:
        network["epochs"] = changes.get("epochs", network["epochs"])
    found["dataset"]["counts"]["train"] = changes.get("train", 1197)
    found["pairs"][0]["p_value"] = changes.get("p_value", 0.001)
    for network, top1 in zip(found["networks"], changes.get("top1", (0.9, 0.8)), strict=True):
        network["top1"]["mean"] = top1
    return found


def test_it_is_plain_json_with_everything_in_it(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["kind"] == "experiment"
    assert [one["name"] for one in document["anatomies"]] == ["googlenet", "resnet50"]
    assert all(one["stem"] == "small" and one["input"] == [3, 32, 32] for one in document["anatomies"])
    assert document["comparison"]["kind"] == "comparison"


def test_the_setup_in_a_sentence() -> None:
    once = experiment.setup(compared(seeds=1), 240, 16, "a made-up GPU").replace("\u00a0", " ")
    assert once == (
        "Both were trained from scratch, once, on the same 1,197 pictures of digits at 16 pixels, with the same recipe "
        "and for 4 min each on a made-up GPU, and measured on the same 600 pictures that neither had seen."
    )
    assert "3 times from different seeds" in experiment.setup(compared(), 240, 16, "1 processor")


def test_the_time_in_passes_pictures_and_multiply_adds(document: dict[str, Any]) -> None:
    pace = document["pace"]
    assert pace["epoch"] == 30
    for told, network in zip(pace["networks"], document["comparison"]["networks"], strict=True):
        assert told["pictures"] == 30 * 1197
        assert told["macs"] == 3 * 30 * 1197 * network["macs"]
        assert told["then"]["done"] == 1


def test_claims_stand_beside_what_was_counted_and_found(document: dict[str, Any]) -> None:
    claims = {claim["figure"]: claim for claim in document["claims"]}
    plain = {
        figure: {side: {k: v.replace("\u00a0", " ") for k, v in claim[side].items()} for side in ("stated", "here")}
        for figure, claim in claims.items()
    }
    assert plain["parameters, without auxiliary heads"] == {
        "stated": {"googlenet": "6.8 M", "resnet50": "25.6 M"},
        "here": {"googlenet": "5.6 M", "resnet50": "24 M"},
    }
    assert plain["multiply-adds of one picture"]["stated"] == {"googlenet": "1.5 G", "resnet50": "3.8 G"}
    assert plain["layers with weights, one behind another"]["here"] == {"googlenet": "22", "resnet50": "50"}
    assert plain["CIFAR-10 top-1"]["stated"] == {"googlenet": "95.35 %", "resnet50": "95.62 %"}
    assert plain["CIFAR-10 top-1"]["here"]["resnet50"].endswith(" % after 30 epochs")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"p_value": 0.4}, "here no difference is certain."),
        ({"top1": (0.8, 0.9)}, "and here it is ahead too."),
        ({"top1": (0.9, 0.8)}, "when both have all the time they need; here it is behind."),
    ],
)
def test_the_order_against_the_public_recipes(changes: dict[str, Any], said: str, document: dict[str, Any]) -> None:
    *_, cifar = experiment.claims(compared(**changes), document["anatomies"])
    assert cifar["remark"].endswith(said)


@pytest.mark.parametrize(
    ("changes", "size", "there", "missing"),
    [
        ({}, 32, ["30 and 30 passes", "1,197 training pictures are fewer"], ["shrunk", "one seed"]),
        ({"epochs": 100.0}, 32, [], ["passes"]),
        ({"train": 45_000}, 32, [], ["are fewer"]),
        ({"seeds": 1}, 16, ["one seed", "shrunk to 16 pixels"], []),
    ],
)
def test_limits_are_those_of_this_run(changes: Any, size: int, there: list[str], missing: list[str]) -> None:
    told = " ".join(experiment.limits(compared(**changes), size)).replace("\u00a0", " ")
    assert "On 600 test pictures one network's accuracy is known to about" in told
    assert all(words in told for words in there)
    assert not any(words in told for words in missing)


def test_what_it_runs_on_in_words() -> None:
    assert spoken("cpu").endswith(("processor", "processors"))


def test_an_unknown_experiment() -> None:
    with pytest.raises(UserError, match=r'unknown experiment "a\\nb": there is inception-vs-resnet'):
        api.reproduce("a\nb")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"budget": "soon"}, '"soon" is not a time'), ({"lr": -1.0}, "--lr must be"), ({"recipe": "papr"}, "papr")],
)
def test_bad_options_are_told_before_anything_is_fetched(
    options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "prepare", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(UserError, match=said):
        api.reproduce(experiment.NAME, quick=True, **options)


@pytest.mark.parametrize(("data", "mentioned"), [(None, True), ("cifar10", False)])
def test_without_a_network_other_data_are_pointed_at(
    data: str | None, mentioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise UserError("cannot fetch https://example.org: are you offline?")

    monkeypatch.setattr("sightline.data.builtins.download", offline)
    with pytest.raises(UserError) as error:
        api.reproduce(experiment.NAME, data, quick=True)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("; or name pictures that are here with --data") == mentioned
