from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.core.wording import seconds
from sightline.data.augment import in_full
from sightline.training.recipe import FACTORS, Recipe

recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 500),
    batch_size=st.none() | st.integers(1, 4096),
    optimizer=st.sampled_from(["sgd", "adamw"]),
    lr=st.none() | st.floats(1e-6, 10),
    momentum=st.floats(0, 0.99),
    weight_decay=st.floats(0, 0.1),
    schedule=st.sampled_from(sorted(FACTORS)),
    label_smoothing=st.floats(0, 0.5),
    augment=st.sampled_from(["none", "standard", "strong"]) | st.just([{"rotation": {"degrees": 20}}, "mixup"]),
    mirror=st.none() | st.booleans(),
    patience=st.none() | st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)


@given(recipes)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@given(recipes, st.integers(1, 100_000))
def test_fitting_twice_changes_nothing(recipe: Recipe, pictures: int) -> None:
    fitted = recipe.fitted(pictures, ("cat", "dog"))
    assert fitted.fitted(pictures, ("cat", "dog")) == fitted
    assert fitted.batch_size is not None
    assert fitted.lr is not None


@given(st.sampled_from(sorted(FACTORS)), st.floats(-1, 2))
def test_the_rate_stays_between_zero_and_its_peak(schedule: str, progress: float) -> None:
    recipe = Recipe(epochs=1, lr=0.5, schedule=schedule)  # type: ignore[arg-type]
    assert 0 <= recipe.lr_at(progress) <= 0.5


def test_the_schedules_go_where_their_sources_say() -> None:
    step = [Recipe(epochs=1, lr=1, schedule="paper_step").lr_at(p) for p in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)]
    assert step == [1, 1, 0.1, 0.1, 0.01, 0.01]
    cycle = [Recipe(epochs=1, lr=1, schedule="one_cycle").lr_at(p) for p in (0.0, 0.25, 1.0)]
    assert cycle == pytest.approx([0.04, 1.0, 1e-4])
    cosine = [Recipe(epochs=1, lr=1, schedule="cosine").lr_at(p) for p in (0.0, 0.5, 1.0)]
    assert cosine == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize(
    ("pictures", "batch"), [(8, 16), (500, 16), (600, 32), (1258, 64), (10_000, 128), (10_000_000, 128)]
)
def test_the_batch_leaves_sixteen_steps_an_epoch(pictures: int, batch: int) -> None:
    fitted = Recipe(epochs=1).fitted(pictures, ("cat", "dog"))
    assert fitted.batch_size == batch
    assert fitted.lr == pytest.approx(0.1 * batch / 128)


def test_digits_are_not_mirrored_and_dogs_are() -> None:
    assert Recipe(epochs=1).fitted(100, tuple("0123456789")).mirror is False
    assert Recipe(epochs=1).fitted(100, ("cat", "dog")).mirror is True
    assert Recipe(epochs=1, mirror=True).fitted(100, tuple("01")).mirror is True


def names(recipe: Recipe) -> list[str]:
    return [distortion.name for distortion in in_full(recipe.augment)]


def test_a_fitted_recipe_says_its_distortions_in_full_and_leaves_out_what_does_not_suit() -> None:
    strong = ["mirror", "random_resized_crop", "randaugment", "erasing", "mixup", "cutmix"]
    assert names(Recipe(epochs=1, augment="strong").fitted(100, ("cat", "dog"))) == strong
    assert names(Recipe(epochs=1, augment="strong").fitted(100, tuple("01"), channels=1)) == strong[1:]
    assert names(Recipe(epochs=1, augment="strong", mirror=True).fitted(100, tuple("01"))) == strong
    assert names(Recipe(epochs=1, mirror=False).fitted(100, ("cat", "dog"))) == ["padded_crop"]
    assert names(Recipe(epochs=1, augment="strong", tune="head").fitted(100, ("cat", "dog"))) == []
    kept = Recipe(epochs=1, augment="strong", tune="last", views=2).fitted(100, ("cat", "dog"))
    assert names(kept) == strong[:-2]
    document = kept.model_dump()
    assert document["augment"][0] == {"mirror": {"p": 0.5}}
    assert Recipe.of(**json.loads(json.dumps(document))) == kept


@pytest.mark.parametrize(
    ("augment", "options", "classes", "words"),
    [
        (["mirror"], {}, "01", r"entry 1 \(mirror\): single letters and digits.*--mirror"),
        (["blur", "mirror"], {"mirror": False}, "xy", r"entry 2 \(mirror\): --no-mirror"),
        (["hue"], {}, ("cat", "dog"), r"entry 1 \(hue\): these pictures are grey.*leave it out"),
        (["pca_colour"], {}, ("cat", "dog"), r"\(pca_colour\): these pictures are grey"),
        (["rotation"], {"tune": "head"}, ("cat", "dog"), r"--tune head sees each picture once.*--keep-views 2"),
        (["cutmix"], {"tune": "last", "views": 2}, ("cat", "dog"), r"\(cutmix\): --tune last keeps.*leave it out"),
    ],
)
def test_what_was_listed_and_does_not_suit_is_refused(
    augment: list[str], options: dict[str, Any], classes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        Recipe.of(epochs=1, augment=augment, **options).fitted(100, tuple(classes), channels=1)


def test_norms_and_biases_do_not_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    for optimizer in ("sgd", "adamw"):
        recipe = Recipe(epochs=1, optimizer=optimizer, lr=0.1, weight_decay=0.01)  # type: ignore[arg-type]
        decayed, free = recipe.make_optimizer(model).param_groups
        assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
        assert all(p.ndim > 1 for p in decayed["params"])
        assert all(p.ndim == 1 for p in free["params"])
        assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs"),
        ({}, "either epochs or a budget"),
        ({"epochs": 1, "budget_s": 5}, "either epochs or a budget"),
        ({"epochs": 1, "lr": -1}, "--lr"),
        ({"epochs": 1, "label_smoothing": 1.0}, "--label-smoothing"),
        ({"epochs": 1, "batch_size": 0}, "--batch"),
        ({"epochs": 1, "colour": "red"}, "--colour"),
        ({"epochs": 1, "augment": "strnog"}, '--augment: "strnog"'),
        ({"epochs": 1, "augment": [{"rotation": {"degree": 3}}]}, 'augment, entry 1 (rotation): unknown key "degree"'),
        ({"epochs": 1, "augment": {"rotation": {}}}, "--augment"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.of(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120)])
def test_times_are_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-5m", "0s", "ten", "5d", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        seconds(text)
