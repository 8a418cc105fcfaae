from __future__ import annotations

import pytest

from sightline.report import palette


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out(colours: dict) -> None:
    for name in ("ink", "muted", "accent", "bad"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for colour in colours["networks"]:
        assert contrast(colour, colours["paper"]) >= 3, colour
    for cell in [*colours["errors"], colours["right"]]:
        assert contrast(colours["ink"], cell) >= 3, f"a count on {cell}"


def test_both_themes_have_the_same_colours() -> None:
    assert palette.LIGHT.keys() == palette.DARK.keys()
    assert all(type(palette.LIGHT[name]) is type(palette.DARK[name]) for name in palette.LIGHT)
    assert len(palette.LIGHT["networks"]) == len(palette.DARK["networks"])


def test_variables_name_every_colour() -> None:
    css = palette.variables(palette.LIGHT)
    assert "--ink: #15181d;" in css
    assert "--network-7:" in css
    assert "--split-2:" in css
