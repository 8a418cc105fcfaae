"""Fixtures every room's tests share."""

from __future__ import annotations

import contextlib
import functools
import gc
import http.server
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.serving import Handler

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

# With several test processes (`pytest -n`) each takes one processor, as if it were alone on a smaller machine: threads
# of several would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    _processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_processors[int(os.environ["PYTEST_XDIST_WORKER"][2:]) % len(_processors)]})

# A busy machine is no mistake of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SHARED = Path(__file__).resolve().parents[2] / "shared"
# What is asked of every network, in a parameter called name, is slow for all but these.
QUICK = {"resnet20", "googlenet_small"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what is asked of networks beyond `QUICK`."""
    from sightline.models import ARCHITECTURES

    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            name = str(item.callspec.params.get("name", "")).partition(":")[0]
            if name in ARCHITECTURES and name not in QUICK:
                item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and never among what is imported: exports else spend a fifth of their time on that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a piece of real data or an oracle beside the checkout; skips by name where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not beside the checkout")
        return path

    return find


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for later goes into a place of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def operators() -> Iterator[None]:
    """PyTorch's exporter reads its table of operators, always the same, once and not again for each graph."""
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ImportError, AttributeError):
        if "torch" in sys.modules:
            from torch.onnx._internal.exporter._registration import ONNXRegistry

            patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The handwritten digits scikit-learn ships: 1,797 real grey pictures of 8x8, ten classes."""
    from sightline.data.prepare import prepare

    return prepare("digits", tmp_path_factory.mktemp("datasets") / "digits")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running `Handler`, reached without a proxy."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sightline.core.download.PAUSE_S", 0.0)
    monkeypatch.setattr(Handler, "ranges", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()
