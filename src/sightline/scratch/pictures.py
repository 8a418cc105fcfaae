"""Pictures as a network takes them."""

from __future__ import annotations

import numpy as np

from sightline.core.errors import UserError


def normalised(pictures: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """`pictures` [N, H, W, C] of whole numbers 0 to 255 as float32, (x / 255 - mean) / deviation.

    UserError for other numbers.
    """
    if pictures.ndim != 4 or not np.issubdtype(pictures.dtype, np.integer):
        raise UserError(f"pictures must be whole numbers [N, H, W, C], not {pictures.dtype} {list(pictures.shape)}")
    if pictures.dtype != np.uint8 and pictures.size and (pictures.min() < 0 or pictures.max() > 255):
        raise UserError(f"pictures must be 0 to 255, not {pictures.min()} to {pictures.max()}")
    slope, shift = 1 / (255 * np.asarray(deviation)), -np.asarray(mean) / np.asarray(deviation)
    return (pictures * slope.astype(np.float32) + shift.astype(np.float32)).astype(np.float32)
