"""One thread for rooms whose networks are small: a room's conftest imports the fixture, and all its tests have it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Small pictures gain nothing from several threads, and on a busy machine every layer waits for the slowest."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
