"""Deployments of a tiny network, made once for each target; the service is measured once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle
from sightline.data.dataset import Dataset
from sightline.data.prepare import prepare
from sightline.deploy import build
from sightline.deploy.measure import Measured, measure
from sightline.search.index import Index
from tests.tiny_network import make_bundle


@pytest.fixture(scope="session")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("deployed") / "bundle", digits)


@pytest.fixture(scope="session")
def measured(bundle: Bundle) -> Measured:
    """What the service of the tiny network needs, really measured."""
    return measure(bundle.path)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve pictures of two classes in files, as an Index of users' pictures has them."""
    folder = tmp_path_factory.mktemp("drawings")
    random = np.random.default_rng(0)
    for number in range(12):
        (folder / "pictures" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (40, 30), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / "ab"[number % 2] / f"{number}.png")
    return prepare(str(folder / "pictures"), folder / "dataset")


@pytest.fixture(scope="session")
def index(drawings: Dataset, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Index:
    from sightline.search.build import build as make_index

    return make_index(drawings, bundle, tmp_path_factory.mktemp("deployed") / "index", method="exact", pca="none")


@pytest.fixture(scope="session")
def deployment(
    bundle: Bundle, index: Index, measured: Measured, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder made for a target, with an Index where it is docker or aws."""
    made: dict[str, Path] = {}

    def of(target: str) -> Path:
        if target not in made:
            out = tmp_path_factory.mktemp("deployed") / target
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(build, "measure", lambda *_: measured)
                build.deploy(target, bundle.path, out, index=index.path if target in ("docker", "aws") else None)
            made[target] = out
        return made[target]

    return of
