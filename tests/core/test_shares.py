from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest

from sightline.core.shares import so_few, wilson


@given(count=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilson_is_scipys(count: int, share: float) -> None:
    theirs = binomtest(round(share * count), count).proportion_ci(0.95, method="wilson")
    assert wilson(round(share * count), count) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(count=st.integers(1, 3000), hits=st.floats(0, 1), share=st.floats(0.001, 0.999))
def test_so_few_is_the_binomial_tail(count: int, hits: float, share: float) -> None:
    k = round(hits * count)
    assert so_few(k, count, share) == pytest.approx(binom.cdf(k, count, share), abs=1e-9)


@given(count=st.integers(1, 500), hits=st.floats(0, 0.9), share=st.floats(0.01, 0.99))
def test_it_is_unlikely_where_clopper_and_pearsons_bound_lies_below(count: int, hits: float, share: float) -> None:
    k = min(round(hits * count), count - 1)
    bound = beta.ppf(0.95, k + 1, count - k)
    assert abs(bound - share) < 1e-6 or (so_few(k, count, share) < 0.05) == (bound < share)
