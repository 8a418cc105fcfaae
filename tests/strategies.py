"""Hypothesis strategies that several rooms' tests draw from."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

# What a Unix file name may be: anything but "/" and NUL, bytes that are no UTF-8 included.
file_names = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b"/", b"-").replace(b"\0", b"-"))
    .filter(lambda raw: raw not in (b".", b".."))
    .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)

# What an archive may call its members, honest or not.
_parts = st.sampled_from(
    ["..", ".", "", "a", "b", "c.jpg", "C:", "con", "~", "é", " ", "\\..", "..\\x", "/etc", "x" * 300]
)
member_names = st.lists(_parts, min_size=1, max_size=6).map("/".join).filter(lambda name: name.strip("/") != "")


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels int [N], groups int [N] and content hashes uint8 [N, 32]; a group lies in one class or spans two."""
    count = draw(st.integers(1, 60))
    labels = np.asarray(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    groups = np.asarray(draw(st.lists(st.integers(0, count), min_size=count, max_size=count)))
    keys = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, (count, 32), dtype=np.uint8)
    return labels, groups, keys


# What a class or a file may be called by someone who wants a page to run it, or by accident.
_attacks = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "<!--<script>",
        "]]><svg/onload=alert(1)>",
        "{{ 7 * 7 }}{% include 'x' %}",
        "javascript:alert(1)",
        "&lt;b&gt;&#60;i&#62;",
        "two\nlines\r\n",
        "\u202egpj.exe",
        "\u2028\x00\x1b[31m",
        "datum.x + 1",
        "été 日本 🐈",
    ]
)
hostile_names = st.one_of(_attacks, st.text(min_size=1, max_size=30), file_names)
