"""What is printed while a verb works."""

from __future__ import annotations

import pytest

from sightline.cli.output import Bars


def test_a_task_leaves_one_line_and_counts_only_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().task("Decoding", 3) as advance:
        advance(3, accuracy="90 %")
    with Bars().task("30 pictures", None) as advance:
        advance(0, test="80.1 %")
    done, idle = capsys.readouterr().err.splitlines()
    assert done.startswith("Decoding        3 images  ")
    assert done.endswith("images/s  accuracy 90 %")
    assert idle.startswith("30 pictures     ")
    assert idle.endswith("s  test 80.1 %")
    assert "images" not in idle
