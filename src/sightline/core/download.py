"""Downloads."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import UserError
from sightline.core.progress import SILENT, Progress


def download(
    url: str, target: Path, *, sha256: str | None = None, allow_private: bool = False, progress: Progress = SILENT
) -> None:
    """Fetch."""
    raise UserError("cannot download yet")
