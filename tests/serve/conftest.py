"""What the service is tried with: the digits' network and its index, and one whose answers can be explained."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightline.bundle import Bundle
from sightline.data.dataset import Dataset
from sightline.search.build import build
from sightline.search.index import Index
from tests.explain.networks import pooled
from tests.serve.running import Running, png, running
from tests.tiny_network import make_bundle


@pytest.fixture(scope="session")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("served") / "bundle", digits)


@pytest.fixture(scope="session")
def index(digits: Dataset, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return build(digits, bundle, tmp_path_factory.mktemp("served") / "index", pca="none", method="exact")


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pooled(tmp_path_factory.mktemp("served") / "pooled")


@pytest.fixture(scope="session")
def tests(digits: Dataset) -> list[bytes]:
    """The digits' test pictures, as files."""
    return [png(digits.picture(row)) for row in digits.rows("test")]


@pytest.fixture(scope="session")
def service(bundle: Bundle, index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The digits' network and index, served to all tests."""
    with running(tmp_path_factory.mktemp("service"), bundle.path, "--index", index.path) as process:
        yield process
        assert process.process.poll() is None, process.errors.read_text()


@pytest.fixture(scope="session")
def explainer(explained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The network that can be explained, served to all tests."""
    with running(tmp_path_factory.mktemp("explainer"), explained.path) as process:
        yield process
        assert process.process.poll() is None, process.errors.read_text()
