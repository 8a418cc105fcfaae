"""docs/augmentation.md says what the code does: every distortion, setting, default, range and source, and the presets.

`python tests/data/test_augment_docs.py` prints the tables.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.data.augment import DISTORTIONS, PRESETS, Change, Distortion, Mixing, Movement, in_full, read

PAGE = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text(encoding="utf-8")


def table(kind: type[Distortion]) -> list[str]:
    """A row for each distortion of `kind`."""
    rows = []
    for name, distortion in DISTORTIONS.items():
        if issubclass(distortion, kind):
            what = " ".join((distortion.__doc__ or "").split())
            schema = distortion.model_json_schema()["properties"]
            settings = [setting(key, schema[key]) for key in schema if key != "p"]
            chance = f"`p` {schema['p']['default']:g}"
            rows.append(f"| `{name}` | {what} | {'<br>'.join([*settings, chance])} | {distortion.after} |")
    return rows


def setting(key: str, schema: dict[str, Any]) -> str:
    """A setting with its default, its range or what else it may be, and what it says."""
    if "enum" in schema:
        others = " or ".join(one for one in schema["enum"] if one != schema["default"])
        return f"`{key}` {schema['default']} (or {others}): {schema['description']}"
    pair = "prefixItems" in schema
    ends = schema["prefixItems"][0] if pair else schema
    default = f"[{', '.join(f'{end:g}' for end in schema['default'])}]" if pair else f"{schema['default']:g}"
    return f"`{key}` {default} ({ends['minimum']:g} to {ends['maximum']:g}): {schema['description']}"


@pytest.mark.parametrize("kind", [Movement, Change, Mixing])
def test_every_distortion_stands_there_as_it_is_and_no_other(kind: type[Distortion]) -> None:
    rows = table(kind)
    assert "\n".join(rows) in PAGE
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted([*DISTORTIONS, *PRESETS])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_there_as_it_is(name: str) -> None:
    written = next(re.finditer(rf"^\| `{name}` \| `(.*?)` \|", PAGE, re.MULTILINE))[1]
    assert read(yaml.safe_load(written)) == in_full(name)


def test_the_files_shown_can_be_read(tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    for text in shown:
        (tmp_path / "list.yaml").write_text(text)
        assert read(tmp_path / "list.yaml")


if __name__ == "__main__":
    for each in (Movement, Change, Mixing):
        print(
            "\n".join(["| distortion | what it does | settings | after |", "|---|---|---|---|", *table(each)]),
            end="\n\n",
        )
