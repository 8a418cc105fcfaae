"""The page of `data --show-augment`: a picture under each distortion and each preset, gathered for the report room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.cli.pages import encoded
from sightline.core.errors import UserError, named

if TYPE_CHECKING:
    import torch

    from sightline.data.augment import Distortion, Distortions
    from sightline.data.dataset import Dataset

SIDE = 160  # pixels of a shown picture's side, at most
DRAWS = 3  # pictures shown at each setting
OUTCOMES = 8  # pictures shown of each list
OTHERS = 24  # pictures to mix with, many so that the picture seldom meets itself
SEED = (74,)  # draws to either side, large and small, and a mixed choice of RandAugment
YOURS = "your list"


def write_augment_page(dataset: Dataset, wanted: str | Distortions | None, picture: str | None, out: Path) -> Path:
    """The page of one training picture, the first that has `picture` in its name; also under the list `wanted`."""
    from sightline.data.augment import DISTORTIONS, PRESETS
    from sightline.report.augmentation import augmentation_page

    studio = Studio(dataset, _chosen(dataset, picture))
    lists: dict[str, str | Distortions] = {name: name for name in PRESETS if name != "none"}
    if wanted is not None and not isinstance(wanted, str):
        lists = {YOURS: wanted, **lists}
    document = {
        "kind": "augmentation",
        "name": dataset.name,
        "file": dataset.table.path[studio.rows[0]],
        "class": dataset.classes[studio.labels[0]],
        "side": studio.images.shape[-1],
        "original": studio.keep(studio.images[0]),
        "lists": [studio.whole(name, listed) for name, listed in lists.items()],
        "distortions": [studio.distortion(kind) for kind in DISTORTIONS.values()],
    }
    return augmentation_page(document, studio.pictures, out)


def _chosen(dataset: Dataset, picture: str | None) -> int:
    """The row of the first training picture with `picture` in its name."""
    rows = dataset.rows("train")
    if not len(rows):
        raise UserError(f"{named(dataset.path)} has no training pictures to show distortions of")
    for row in rows:
        if picture is None or picture in dataset.table.path[row]:
            return int(row)
    raise UserError(f'--picture: no training picture has "{named(picture or "")}" in its name')


class Studio:
    """Takes pictures of one row, and of others to mix it with, as a network of 224 pixels or less would see them."""

    def __init__(self, dataset: Dataset, row: int) -> None:
        import torch

        from sightline.data.fitting import fitting_size, plain_preprocess
        from sightline.data.pixels import Pixels

        train = dataset.rows("train")
        others = train[dataset.labels(train) != dataset.labels(np.array([row]))[0]]
        others = others if len(others) else train
        self.rows = [row, *others[np.linspace(0, len(others) - 1, OTHERS).astype(int)].tolist()]
        preprocess = plain_preprocess(dataset, train, fitting_size(dataset, train, 224))
        pixels = Pixels(dataset, preprocess, budget_bytes=0).read(np.array(self.rows))
        self.images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        self.labels = dataset.labels(np.array(self.rows))
        self.classes = dataset.classes
        self.pictures: dict[str, bytes] = {}

    def whole(self, name: str, wanted: str | Distortions) -> dict[str, Any]:
        """What a list of distortions, as a training on these pictures would take it, makes of the picture."""
        from sightline.data.augment import in_full, written
        from sightline.training.recipe import Recipe

        recipe = Recipe.of(epochs=1, augment=wanted).fitted(len(self.rows), self.classes, channels=self.images.shape[1])
        return {
            "name": name,
            "entries": written(recipe.augment),
            "draws": self.draws(in_full(recipe.augment), OUTCOMES),
        }

    def distortion(self, kind: type[Distortion]) -> dict[str, Any]:
        """One distortion, explained, and what it makes of the picture in each of its settings."""
        from sightline.data.augment import Change, Mixing, Movement

        settings = [] if kind.needs_colour and self.images.shape[1] == 1 else kind.shown[1:]
        return {
            "name": kind.name,
            "kind": next(of.__name__ for of in (Movement, Change, Mixing) if issubclass(kind, of)),
            "what": (kind.__doc__ or "").split("\n\n")[0],
            "after": kind.after,
            "settings": [
                {"said": _said(setting), "draws": self.draws([kind(**{"p": 1.0, **setting})], DRAWS)}
                for setting in settings
            ],
        }

    def draws(self, distortions: Sequence[Distortion], count: int) -> list[dict[str, str]]:
        """The picture `count` times in a batch, and what it is labelled, distorted; beside others where it is mixed."""
        import torch

        from sightline.data.augment import Augment, Mixing

        mixes = any(isinstance(distortion, Mixing) for distortion in distortions)
        picked = [0] * count + list(range(1, len(self.rows) if mixes else 1))
        labels = torch.from_numpy(self.labels[picked])
        images, targets = Augment(distortions, len(self.classes))(self.images[picked], labels, SEED)
        return [
            {"picture": self.keep(image), "label": self._label(target) if targets.ndim == 2 else ""}
            for image, target in zip(images[:count], targets[:count], strict=True)
        ]

    def keep(self, image: torch.Tensor) -> str:
        """The picture [C, S, S] as a file among `pictures`; its name there."""
        from PIL import Image

        name = str(len(self.pictures))
        self.pictures[name] = encoded(Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()), SIDE)
        return name

    def _label(self, shares: torch.Tensor) -> str:
        parts = {self.classes[number]: round(100 * float(shares[number])) for number in shares.argsort(descending=True)}
        return ", ".join(f"{name}: {share}\u00a0%" for name, share in parts.items() if share)


def _said(setting: Mapping[str, Any]) -> str:
    """Settings as people say them: degrees 10, area 0.25 to 1."""
    return ", ".join(f"{key} {_range(value)}" for key, value in setting.items())


def _range(value: Any) -> str:
    ends = dict.fromkeys(value if isinstance(value, list) else [value])
    return " to ".join(f"{end:g}" for end in ends)
