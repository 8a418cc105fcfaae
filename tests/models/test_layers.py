from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.models.layers import concatenate, scaled


@given(st.integers(1, 4096), st.floats(0.01, 8))
def test_scaled_is_a_multiple_of_eight_that_loses_at_most_a_tenth(channels: int, width: float) -> None:
    found = scaled(channels, width)
    assert found % 8 == 0
    assert found >= 0.9 * channels * width
    assert found <= max(8, channels * width + 8)


@given(st.integers(1, 512))
def test_width_one_leaves_the_papers_counts_alone(eighths: int) -> None:
    assert scaled(8 * eighths, 1.0) == 8 * eighths


@pytest.mark.parametrize("width", [0, -0.5, float("nan")])
def test_width_must_be_positive(width: float) -> None:
    with pytest.raises(UserError, match=r"width .* is out of range"):
        scaled(64, width)


def test_inception_3a_joins_to_256_channels() -> None:
    branches = [torch.zeros(2, channels, 28, 28) for channels in (64, 128, 32, 32)]
    assert concatenate(branches).shape == (2, 256, 28, 28)


def test_branches_of_different_size_are_refused_with_both_shapes() -> None:
    with pytest.raises(UserError) as error:
        concatenate([torch.zeros(1, 64, 28, 28), torch.zeros(1, 32, 26, 26)])
    assert "(1, 32, 26, 26)" in str(error.value)
    assert "(1, 64, 28, 28)" in str(error.value)
