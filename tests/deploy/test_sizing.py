"""Sizes follow from what is measured, and are sizes that are sold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.deploy.measure import Measured
from sightline.deploy.sizing import (
    GIB,
    HEADROOM,
    LAMBDA_MOST,
    SOLD,
    at_once,
    choose,
    choose_lambda,
    needed_bytes,
    processors_for,
)

MB = 1_000_000
SMALL = Measured(
    start_s=1.5, request_cpu_s=0.02, peak_bytes=200 * MB, picture_bytes=900 * MB, held_bytes=256 * MB, patience_s=50.0
)
NEEDS = st.builds(
    Measured,
    start_s=st.just(1.0),
    request_cpu_s=st.floats(0.001, 10),
    peak_bytes=st.integers(50 * MB, 4_000 * MB),
    picture_bytes=st.integers(0, 1_000 * MB),
    held_bytes=st.just(256 * MB),
    patience_s=st.just(50.0),
)


def test_a_small_network_takes_one_processor_and_the_memory_beside_it() -> None:
    found = {where: (one.processors, one.memory_gib) for where in SOLD for one in [choose(SMALL, where)]}
    assert found == {
        "docker": (1, 1.5), "kubernetes": (1, 1.5), "gcp": (1, 1.5), "azure": (1, 2), "apprunner": (1, 2),
        "ecs": (1, 2),
    }  # fmt: skip
    assert choose(SMALL, "gcp").at_once == 50
    assert choose_lambda(SMALL).memory_mib == 1769


def test_a_slow_network_takes_more_processors_and_fewer_requests_at_a_time() -> None:
    slow = replace(SMALL, request_cpu_s=1.5)
    assert processors_for(slow) == 4
    assert choose(slow, "azure").processors == 4
    assert choose(slow, "apprunner").at_once == 3
    assert choose_lambda(slow).memory_mib == 4 * 1769
    assert at_once(replace(slow, request_cpu_s=100), 1) == 1


def test_the_largest_picture_counts_on_every_processor() -> None:
    assert needed_bytes(SMALL, 2) - needed_bytes(SMALL, 1) == pytest.approx(HEADROOM * SMALL.picture_bytes, abs=1)
    assert needed_bytes(SMALL, 1.25) == needed_bytes(SMALL, 2)


@pytest.mark.parametrize("where", SOLD)
def test_what_is_sold_nowhere_is_refused(where: str) -> None:
    with pytest.raises(UserError, match=r"needs 14[89]\.[0-9] GB of memory, .* has no such size: deploy it elsewhere"):
        choose(replace(SMALL, peak_bytes=130_000 * MB, picture_bytes=0), where)


def test_what_lambda_does_not_sell_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs 13\.6 GB of memory, Lambda has no such size"):
        choose_lambda(replace(SMALL, peak_bytes=11_000 * MB))


@given(measured=NEEDS, where=st.sampled_from(sorted(SOLD)))
def test_a_chosen_size_is_sold_and_suffices_and_none_before_it_does(measured: Measured, where: str) -> None:
    try:
        chosen = choose(measured, where)
    except UserError:
        chosen = None
    least = processors_for(measured)
    enough = [
        (processors, gib)
        for processors, gib in SOLD[where][1]
        if processors >= least and gib * GIB >= needed_bytes(measured, processors)
    ]
    assert (chosen and (chosen.processors, chosen.memory_gib)) == (enough[0] if enough else None)
    assert chosen is None or 1 <= chosen.at_once <= 80


@given(measured=NEEDS)
def test_lambda_is_given_memory_that_it_sells(measured: Measured) -> None:
    assert 1769 <= choose_lambda(measured).memory_mib <= LAMBDA_MOST
