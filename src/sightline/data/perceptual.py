"""What a picture looks like, in few numbers: the perceptual hash of 64 bits, and a grey thumbnail of 16 x 16 pixels.

The hash is ImageHash's `phash` (grey, 32 x 32, the 8 x 8 lowest frequencies of the cosine transform against their
median), written as two matrix products over many pictures at once: two to three times faster, without SciPy, and
tested to be equal.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 32
KEPT = 8
THUMB = 16
_N = np.arange(SIDE)
# scipy.fftpack.dct, type 2, not normalised: y[k] = 2 sum x[n] cos(pi k (2n + 1) / 2N)
_DCT = 2 * np.cos(np.pi * np.outer(np.arange(KEPT), 2 * _N + 1) / (2 * SIDE))
_BITS = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)


def small(image: Image.Image) -> np.ndarray:
    """A picture in mode "L" or "RGB" as grey uint8 [32, 32]."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0))


def looks(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The perceptual hashes (uint64 [B]) and thumbnails (uint8 [B, 256]) of small pictures uint8 [B, 32, 32]."""
    low = (_DCT @ grey.astype(np.float64) @ _DCT.T).reshape(len(grey), -1)
    middle = np.sort(low, axis=1)[:, KEPT * KEPT // 2 - 1 : KEPT * KEPT // 2 + 1].mean(1, keepdims=True)  # the median
    phash = np.where(low > middle, _BITS, np.uint64(0)).sum(1, dtype=np.uint64)
    sums = grey.reshape(len(grey), THUMB, 2, THUMB, 2).sum((2, 4), dtype=np.uint16)
    return phash, ((sums + 2) // 4).astype(np.uint8).reshape(len(grey), -1)
