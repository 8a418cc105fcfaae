"""What is loaded when: the package costs nothing to import, and what a served network needs never drags in torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from sightline import api

HEAVY = (
    "torch", "kornia", "yaml", "scipy", "sklearn", "pyarrow", "altair", "vl_convert", "onnx", "lightning_fabric",
)  # fmt: skip
LIGHT_ROOMS = (
    "sightline.core.artifact",
    "sightline.core.download",
    "sightline.data.preprocess",
    "sightline.data.pictures",
    "sightline.runtime",
    "sightline.bundle",
    "sightline.run",
    "sightline.search.index",
    "sightline.report.pages",
    "sightline.cli",
    "sightline.api",
)
TORCH_FREE = (
    "sightline.data.prepare",
    "sightline.data.pixels",
    "sightline.evaluation.combination",
    "sightline.evaluation.comparison",
    "sightline.evaluation.curve",
    "sightline.scratch.bundles",
    "sightline.scratch.fit",
    "sightline.scratch.gradients",
    "sightline.from_scratch.training",
)


def loaded_by(statement: str) -> set[str]:
    """The top-level modules loaded after `statement` in a fresh process."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import sightline")
    assert "sightline" in loaded
    assert not loaded & {*HEAVY, "numpy", "onnxruntime", "faiss", "rich", "typer"}


@pytest.mark.parametrize("module", LIGHT_ROOMS)
def test_the_run_time_install_suffices(module: str) -> None:
    assert not loaded_by(f"import {module}") & set(HEAVY)


@pytest.mark.parametrize("module", TORCH_FREE)
def test_torch_stays_out(module: str) -> None:
    assert "torch" not in loaded_by(f"import {module}")


def test_help_needs_no_number_crunching() -> None:
    code = "from sightline.cli import run; assert run(['--help']) == 0"
    assert not loaded_by(code) & {*HEAVY, "numpy", "onnxruntime", "faiss"}


def test_the_public_names_are_there() -> None:
    import sightline

    for name in sightline.__all__:
        assert getattr(sightline, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = sightline.nothing_like_it


@pytest.mark.parametrize("name", api.__all__)
def test_a_verb_is_not_shadowed_by_a_module(name: str) -> None:
    """`sightline.train` is a function; a module of that name would take its place once something imports it."""
    assert importlib.util.find_spec(f"sightline.{name}") is None
