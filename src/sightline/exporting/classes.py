"""Class names from a file: a JSON list, ImageNet's JSON index, or a text file of one name a line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sightline.core.errors import UserError, named

FORMS = (
    'it must hold one name a line, a JSON list of names, or {"0": "tench", ...} or {"0": ["n01440764", "tench"], ...}'
)


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names in the order of the outputs; one that two classes have, as ImageNet's cranes, gets its number too.

    UserError when the file is missing or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _from_json(json.loads(text)) if path.suffix.lower() == ".json" else text.rstrip().splitlines()
    except OSError as error:
        raise UserError(f"cannot read the class names in {named(path)}: {error.strerror}") from None
    except (ValueError, KeyError, IndexError, RecursionError):
        raise UserError(f"{named(path)} holds no class names: {FORMS}") from None
    names = [name.strip() for name in names]
    if not names or "" in names:
        raise UserError(f"{named(path)} has no name for class {names.index('') if names else 0}: {FORMS}")
    counts = Counter(names)
    return tuple(f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names))


def _from_json(document: Any) -> list[str]:
    """The names of a list, or of an object whose keys are the classes' numbers; the last of several names counts."""
    if isinstance(document, dict):
        document = [document[str(number)] for number in range(len(document))]
    if not isinstance(document, list):
        raise ValueError("neither a list nor an object")
    names = [entry[-1] if isinstance(entry, list) else entry for entry in document]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name that is no text")
    return names
