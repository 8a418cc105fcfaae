"""The chapter docs/from-scratch.md is one program, and prints what it says it prints."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from contextlib import redirect_stdout
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

CHAPTER = Path(__file__).parents[2] / "docs" / "from-scratch.md"
# The comments that end a block are its output.
BLOCK = re.compile(r"^```python\n(?P<code>(?:.*\n)*?)(?P<shown>(?:#.*\n)*)^```\n", re.MULTILINE)


def execute(page: str, name: str) -> None:
    """Run every python block of the Markdown `page` in one namespace, warnings as errors.

    AssertionError with the line of the first output that is not what was printed; what code raises itself has its line
    of the page in its traceback.
    """
    namespace: dict[str, Any] = {"__name__": "chapter"}
    blocks = list(BLOCK.finditer(page))
    assert page.count("```python\n") == len(blocks), f"{name}: a python block is not closed"
    for block in blocks:
        code, shown = (page.count("\n", 0, block.start(part)) for part in ("code", "shown"))
        program = compile("\n" * code + block["code"], name, "exec", dont_inherit=True)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()) as printed:
            warnings.simplefilter("error")
            exec(program, namespace)
        prints = [f"# {line}".rstrip() for line in printed.getvalue().splitlines()]
        for line, (said, true) in enumerate(zip_longest(block["shown"].splitlines(), prints), shown + 1):
            assert said == true, f"{name}:{line}: it says {said!r}, the code prints {true!r}"


def test_the_chapter_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with threadpool_limits(1, "blas"):  # on a busy machine several wait for each other, and small pictures need none
        execute(CHAPTER.read_text(encoding="utf-8"), CHAPTER.name)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("Text\n```python\nx = 1\nprint(x)\nprint(2)\n# 1\n# 3\n```\n", "page:7: it says '# 3', .* prints '# 2'"),
        ("```python\nprint(1)\n```\n", "page:3: it says None, the code prints '# 1'"),
        ("```python\nprint(1)\n# 1\n# 2\n```\n", "page:4: it says '# 2', the code prints None"),
        ("```python\nprint(1)\n", "page: a python block is not closed"),
    ],
)
def test_what_is_not_true_is_named_with_its_line(page: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        execute(page, "page")


def test_code_runs_in_the_lines_of_its_page() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        execute("Text\n\n```python\nx = 0\n```\nText\n```python\n1 / x\n```\n", "page")
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1) == ("page", 8)
    with pytest.raises(UserWarning):
        execute('```python\nimport warnings\nwarnings.warn("so", stacklevel=2)\n```\n', "page")
