"""What may embed the pictures of an Index: a trained network, one as its weights come, or none, the pixels alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

PIXELS = 32  # a side, at most


def ready_made(weights: str | Path, arch: str | None = None, progress: Progress = SILENT) -> Bundle:
    """The network of public `weights` ("imagenet", with `arch`) or of a file; UserErrors as `find_weights`'."""
    from sightline.exporting.pretrained import kept_bundle
    from sightline.models.pretrained import find_weights

    return kept_bundle(find_weights(weights, arch, progress=progress))


@contextmanager
def pixels_of(dataset: Dataset) -> Iterator[Bundle]:
    """Pictures as they are, up to 32 pixels a side and grey where the training pictures are; gone after the block.

    A side is the shorter one of the middlemost training picture.

    UserError when there is no training picture to tell that by.
    """
    from sightline.data.fitting import plain_preprocess
    from sightline.exporting.pixels import export_pixels

    rows = dataset.rows("train")
    if not len(rows):
        raise UserError("the pictures' own pixels: there is no training picture that says how large they are")
    with tempfile.TemporaryDirectory() as folder:
        side = np.median(np.minimum(dataset.table.width[rows], dataset.table.height[rows]))
        yield export_pixels(plain_preprocess(dataset, rows, int(min(PIXELS, side))), Path(folder) / "pixels")
