"""A deployment: a folder from which any container engine builds the service, with the manifests of one cloud."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline import api
from sightline.bundle import Bundle
from sightline.core.artifact import check_vacant, directory
from sightline.core.errors import UserError, closest, named
from sightline.core.progress import SILENT, Progress
from sightline.deploy.cargo import copy_bundle, copy_index
from sightline.deploy.manifests import MANIFESTS, render, sizes
from sightline.deploy.measure import measure
from sightline.deploy.program import copy_program
from sightline.deploy.requirements import LAMBDA, pinned
from sightline.search.index import Index


def deploy(
    target: str, run: str | Path, out: Path, *, index: Path | None = None, progress: Progress = SILENT
) -> dict[str, Any]:
    """Write the deployment of a Run or a Bundle for `target` into the new directory `out`, and say what it is.

    The service is started for some seconds to measure what it needs. UserError when `out` exists, the Run is not
    finished, the Index was made by another network, or the target has no container that is large enough.
    """
    if target not in MANIFESTS:
        raise UserError(f'no target "{named(target)}"{closest(target, MANIFESTS)}: choose {", ".join(MANIFESTS)}')
    check_vacant(out)
    bundle = api.load(run)
    found = Index.open(index) if index else None
    if found:
        found.check_made_by(bundle)
    with directory(out) as folder:
        said = _write(folder, target, bundle, found, progress)
    return {"kind": "deployment", "target": target, "path": str(out), **said}


def _write(folder: Path, target: str, bundle: Bundle, index: Index | None, progress: Progress) -> dict[str, Any]:
    """Fill `folder`, and say what was measured, chosen and written."""
    copy_bundle(bundle, folder / "model")
    missing = copy_index(index, folder / "index", progress) if index else 0
    copy_program(folder / "program")
    with progress.task("measuring", None, "requests"):
        measured = measure(folder / "model", folder / "index" if index else None)
    requirements = pinned(*(LAMBDA if target == "aws" else ()))
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    texts = render(target, bundle, measured, pictures=len(index) if index else None)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    _make_readable(folder)
    return {
        "model": {"arch": bundle.arch, "hash": bundle.model_hash},
        "index": {"pictures": len(index), "missing": missing} if index else None,
        "measured": asdict(measured),
        "sizes": {way: asdict(size) for way, size in sizes(target, measured).items()},
        "files": sorted({path.name for path in folder.iterdir()}),
    }


def _make_readable(folder: Path) -> None:
    """In the image another user reads the files, whatever the umask was here."""
    for place, folders, files in os.walk(folder):
        for name in folders:
            os.chmod(Path(place, name), 0o755)
        for name in files:
            os.chmod(Path(place, name), 0o644)
