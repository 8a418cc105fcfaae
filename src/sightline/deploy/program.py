"""The very program that is running, as a folder to put on Python's path: it is not to be had from a package index."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

import sightline

LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*")


def copy_program(folder: Path) -> None:
    """Write the package, and what says its version and licence, into `folder`, which is made."""
    shutil.copytree(Path(sightline.__file__).parent, folder / "sightline", ignore=LEFT_OUT)
    installed = metadata.distribution("sightline")
    about = folder / f"sightline-{installed.version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(installed.read_text("METADATA") or "", encoding="utf-8")
    for file in installed.files or ():
        if "licenses" in file.parts and (text := file.read_text()):
            (about / file.name).write_text(text, encoding="utf-8")
