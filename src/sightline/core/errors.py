"""Errors a user can mend. One line: what is wrong, where, and what to do about it.

Everything raised on purpose for a user is a `UserError`; the command line prints it as `error: ...` and exits with 2.
Any other exception is our own mistake.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user can mend; the message is one line that says what, where, and what to do."""


def named(name: str | Path) -> str:
    r"""`name` fit for one line of text: control characters and undecodable bytes escaped (a newline becomes \n)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(name))


def closest(name: str, choices: Iterable[str]) -> str:
    """', did you mean "x"?' for the nearest of `choices`, or an empty string when nothing is near."""
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""


def first_line(error: BaseException | str) -> str:
    """What someone else's exception says, as one line of text; its type where it says nothing."""
    lines = str(error).splitlines()
    return named(lines[0]) if lines else type(error).__name__
