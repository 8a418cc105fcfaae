"""Real handwritten digits of 8 x 8 pixels, by the picture names the made documents use."""

from __future__ import annotations

import functools
import io

import numpy as np


def pictures(count: int = 600) -> dict[str, bytes]:
    """Real handwritten digits of 8 x 8 pixels as PNG, by picture name."""
    from PIL import Image

    found = {}
    for row, image in enumerate(images()[:count]):
        buffer = io.BytesIO()
        Image.fromarray((image * 15.9375).astype(np.uint8)).save(buffer, "PNG")
        found[f"digits.npy#{row}"] = buffer.getvalue()
    return found


@functools.cache
def images() -> np.ndarray:
    """float64 [1797, 8, 8], 0 to 16."""
    from sklearn.datasets import load_digits

    found: np.ndarray = load_digits().images
    return found


@functools.cache
def targets() -> np.ndarray:
    """What each shows, int64 [1797]."""
    from sklearn.datasets import load_digits

    found: np.ndarray = load_digits().target
    return found
