"""What a weights file says of itself in the .json beside it: network, style, and how pictures enter.

FILE.json beside FILE.safetensors (or .pth, .pt, .th) holds any of `arch`, `style`, `stem`, `shortcut`, `classes` and
`preprocess`, for instance

    {"arch": "resnet20", "style": "paper", "shortcut": "A", "classes": 10,
     "preprocess": {"resize": [32, 32], "crop": null, "interpolation": "bilinear",
                    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}

A `resize` of two numbers scales both sides to them, one number the shorter side; `crop` is what the centre keeps of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sightline.core.artifact import read_json
from sightline.core.errors import UserError, named
from sightline.models import architecture

Side = Annotated[int, Field(ge=1, le=4096)]
Channel = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Preprocessing(BaseModel):
    """How pictures enter a network, in the words of the weights' publishers; mean and std are ImageNet's if absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize: Side | tuple[Side, Side]
    crop: Side | tuple[Side, Side] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[Channel, ...] | None = None
    std: tuple[Spread, ...] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Preprocessing:
        for sides in (self.resize, self.crop):
            if isinstance(sides, tuple) and sides[0] != sides[1]:
                raise ValueError("pictures must be square")
        if _side(self.crop or self.resize) > _side(self.resize):
            raise ValueError("the crop is larger than what it is cut from")
        counts = [None if values is None else len(values) for values in (self.mean, self.std)]
        if counts not in ([None, None], [1, 1], [3, 3]):
            raise ValueError("mean and std go together and need one number each, or three")
        return self

    def fields(self) -> dict[str, Any]:
        """The fields of a `data.Preprocess` that this decides."""
        size = _side(self.crop or self.resize)
        decided: dict[str, Any] = {
            "size": size,
            "resize": "squash" if isinstance(self.resize, tuple) else "shorter",
            "interpolation": self.interpolation,
            "crop_frac": size / _side(self.resize),
        }
        if self.mean is not None and self.std is not None:
            decided |= {"channels": len(self.mean), "mean": self.mean, "std": self.std}
        return decided


class Description(BaseModel):
    """What is known of a weights file; None where nothing is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arch: str | None = None
    style: Literal["torchvision", "paper"] | None = None
    stem: Literal["imagenet", "small"] | None = None
    shortcut: str | None = None
    classes: int | None = Field(default=None, ge=1)
    preprocess: Preprocessing | None = None

    @property
    def network(self) -> str | None:
        """The full name of the network, the shortcut among its options where it is not the network's own.

        UserError when name and shortcut contradict each other.
        """
        if self.arch is None or self.shortcut is None:
            return self.arch
        found = architecture(self.arch)
        said = found.options.get("shortcut", self.shortcut)
        if said != self.shortcut:
            raise UserError(f"arch says shortcut {named(said)} and shortcut says {named(self.shortcut)}: correct it")
        if "shortcut" not in found.defaults():
            raise UserError(f"{named(self.arch)} has no choice of shortcuts: take shortcut out")
        return self.fitted(self.arch)

    def fitted(self, arch: str) -> str:
        """The full name `arch` with the shortcut described, where its network has a choice and the name none."""
        found = architecture(arch)
        own = found.defaults().get("shortcut")
        if own is None or self.shortcut in (None, own) or "shortcut" in found.options:
            return arch
        return f"{arch}{',' if ':' in arch else ':'}shortcut={self.shortcut}"


def read_description(path: Path) -> Description:
    """The description at `path`; UserError that says which entry is wrong."""
    document = read_json(path, "description of weights")
    try:
        description = Description(**document)
        if description.network is not None:
            architecture(description.network)
    except ValidationError as error:
        raise UserError(f"{named(path)}: {_first(error)}: correct it, or take the file away and say --arch") from None
    except UserError as error:
        raise UserError(f"{named(path)}: {error}") from None
    return description


def _first(error: ValidationError) -> str:
    """The first complaint, its entry named as in the file."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained-", "tuple[")))
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if first["type"] == "extra_forbidden":
        message = "no such entry is known"
    return named(f"{where}: {message}" if where else message)


def _side(sides: int | tuple[int, int]) -> int:
    return sides if isinstance(sides, int) else sides[0]
