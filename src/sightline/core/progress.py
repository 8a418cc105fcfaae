"""How long work tells how far it is. Libraries report through `Progress`; only the command line draws it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Advance(Protocol):
    """Called with the units done since the last call, and named figures worth showing (loss="0.31")."""

    def __call__(self, n: int = 1, **figures: str) -> None: ...


class Progress(Protocol):
    """Someone who watches: `task` opens one piece of work and yields what reports its steps."""

    def task(self, title: str, total: int | None, unit: str = "images") -> AbstractContextManager[Advance]:
        """A piece of work of `total` units (None when unknown)."""
        ...

    def note(self, text: str) -> None:
        """Something worth saying before the work is done, in one line."""
        ...


class _Silent:
    def task(self, title: str, total: int | None, unit: str = "images") -> AbstractContextManager[Advance]:
        return nullcontext(_ignore)

    def note(self, text: str) -> None:
        """Nobody listens."""


def _ignore(n: int = 1, **figures: str) -> None:
    """Nobody watches."""


SILENT: Progress = _Silent()
