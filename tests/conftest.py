"""Fixtures every room's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a piece of real data or an oracle beside the checkout; skips by name where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not beside the checkout")
        return path

    return find


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The handwritten digits scikit-learn ships: 1,797 real grey pictures of 8x8, ten classes."""
    from sightline.data.prepare import prepare

    return prepare("digits", tmp_path_factory.mktemp("datasets") / "digits")
