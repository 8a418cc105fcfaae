"""Lists of distortions: presets by name, and files in the same form.

A list in YAML (and in run.json) has an entry for each distortion, in the order in which they befall a picture: its
name, or its name with what differs from its defaults.

    - mirror
    - rotation: {degrees: 20}
    - blur:
        sigma: [0, 0.02]
        p: 0.3
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any

import yaml
from pydantic import ValidationError

from sightline.core.errors import UserError, closest, first_line, named
from sightline.data.augment.changes import Blur, Brightness, Contrast, Erasing, Hue, PCAColour, Saturation
from sightline.data.augment.distortion import Distortion, Mixing
from sightline.data.augment.mixing import Cutmix, Mixup
from sightline.data.augment.movements import (
    Elastic,
    Mirror,
    PaddedCrop,
    Perspective,
    RandomResizedCrop,
    Rotation,
    ScaleJitter,
    Shear,
    ThinPlate,
)
from sightline.data.augment.randaugment import RandAugment

Distortions = tuple[Distortion, ...]
KINDS: tuple[type[Distortion], ...] = (
    Mirror, PaddedCrop, RandomResizedCrop, ScaleJitter, Rotation, Shear, Perspective, Elastic, ThinPlate,
    Brightness, Contrast, Saturation, Hue, PCAColour, Blur, Erasing, RandAugment, Mixup, Cutmix,
)  # fmt: skip
DISTORTIONS = {kind.name: kind for kind in KINDS}
PRESETS: dict[str, list[Any]] = {
    "none": [],
    "mirror": ["mirror"],
    "standard": ["mirror", "padded_crop"],
    "paper": ["mirror", {"padded_crop": {"fill": "black"}}],
    "strong": [
        "mirror",
        {"random_resized_crop": {"area": [0.35, 1.0]}},
        "randaugment",
        "erasing",
        {"mixup": {"p": 0.5}},
        {"cutmix": {"p": 0.5}},
    ],
}
LONGEST_BYTES = 1 << 20
SAMPLE = "`- rotation: {degrees: 15}`"


def read(wanted: Any) -> str | Distortions:
    """What was asked for: a preset's name stays a name; a file, or a list of entries, becomes its distortions.

    UserError, with the file, the entry and the key, where that is not possible.
    """
    if isinstance(wanted, list | tuple):
        return _entries(wanted, "augment")
    return str(wanted) if str(wanted) in PRESETS else _read_file(str(wanted))


def _read_file(path: str) -> Distortions:
    """The distortions that the YAML file `path` lists."""
    where = named(path)
    if not os.path.isfile(path):
        names = ", ".join(PRESETS)
        raise UserError(f'--augment: "{where}" is neither a file nor one of {names}{closest(path, PRESETS)}')
    try:
        with open(path, "rb") as file:
            text = file.read(LONGEST_BYTES + 1).decode()
        if len(text) > LONGEST_BYTES:
            raise UserError(f"{where}: too long for a list of distortions")
        listed = yaml.load(text, _Loader)
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: this is not YAML, {named(error.problem or '')}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: this is not YAML, {first_line(error)}") from None
    if not isinstance(listed, list):
        raise UserError(f"{where}: must be a list of distortions, one an entry, as {SAMPLE}; [] is none")
    return _entries(listed, where)


def in_full(wanted: str | Distortions) -> Distortions:
    """The distortions of a preset, or those listed."""
    return _entries(PRESETS[wanted], wanted) if isinstance(wanted, str) else wanted


def written(distortions: str | Sequence[Distortion]) -> Any:
    """`read`'s form, with every setting."""
    if isinstance(distortions, str):
        return distortions
    return [{distortion.name: distortion.model_dump(mode="json")} for distortion in distortions]


def suited(wanted: str | Distortions, objection: Callable[[Distortion], str | None]) -> Distortions:
    """What is to befall the pictures: a preset without what `objection` speaks against.

    What somebody listed is not left out behind their back: UserError with the objection.
    """
    if isinstance(wanted, str):
        return tuple(distortion for distortion in in_full(wanted) if objection(distortion) is None)
    for number, distortion in enumerate(wanted, 1):
        if reason := objection(distortion):
            raise UserError(f"--augment, entry {number} ({distortion.name}): {reason}")
    return wanted


def reads_mirrored(classes: Sequence[str]) -> bool:
    """Whether a mirrored picture still shows its class: not when the classes are single letters or digits."""
    return not all(len(name) == 1 and name.isalnum() for name in classes)


class _Loader(yaml.BaseLoader):
    """YAML's structure with every scalar as text, whatever its tag; pydantic knows what should be a number."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping; a key that stands twice, which YAML forbids and PyYAML does not mind, is an error."""
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.value in [before.value for before in keys[:number]]:
                raise yaml.MarkedYAMLError(problem=f'"{key.value}" stands there twice', problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _entries(listed: Sequence[Any], where: str) -> Distortions:
    found = tuple(_entry(given, f"{where}, entry {number}") for number, given in enumerate(listed, 1))
    for number, (distortion, following) in enumerate(pairwise(found), 1):
        if isinstance(distortion, Mixing) and not isinstance(following, Mixing):
            raise UserError(
                f"{where}, entry {number} ({distortion.name}): finished pictures are mixed: move it to the end"
            )
    return found


def _entry(given: Any, where: str) -> Distortion:
    if isinstance(given, Distortion):
        return given
    name, settings = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, None)
    if not isinstance(name, str):
        raise UserError(f"{where}: write one distortion an entry, as {SAMPLE}")
    if name not in DISTORTIONS:
        near = closest(name, DISTORTIONS) or f"; there are {', '.join(DISTORTIONS)}"
        raise UserError(f'{where}: unknown distortion "{named(name)}"{near}')
    kind, where = DISTORTIONS[name], f"{where} ({name})"
    keys = ", ".join(kind.model_fields)
    if not isinstance(settings or {}, dict):
        raise UserError(f"{where}: settings go by their names ({keys}), as {SAMPLE}")
    try:
        return kind.model_validate(settings or {})
    except ValidationError as error:
        raise UserError(f"{where}: {_plain(error, kind)}") from None


def _plain(error: ValidationError, kind: type[Distortion]) -> str:
    """The first complaint in a line: the key, what is wrong, and what it is."""
    first = error.errors()[0]
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f'unknown key "{named(key)}"' + (
            closest(key, kind.model_fields) or f"; it has {', '.join(kind.model_fields)}"
        )
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    got = first["input"]
    return f"{key} {message}" + (f" (it is {named(str(got))[:40]})" if isinstance(got, str | int | float) else "")
