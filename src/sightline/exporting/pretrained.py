"""A Bundle straight from weights, without training."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.bundle import GOLDEN_IMAGES, Bundle
from sightline.core.artifact import check_vacant
from sightline.core.download import cache_folder
from sightline.core.errors import UserError, named
from sightline.core.hashing import sha256_bytes
from sightline.core.machine import versions
from sightline.data.preprocess import Preprocess
from sightline.exporting.assembly import OPSET
from sightline.exporting.onnx import export
from sightline.models import check_size, create
from sightline.models.pretrained import Weights
from sightline.models.weights import load_weights


def export_weights(
    weights: Weights, out: Path, *, style: str | None = None, stem: str | None = None,
    classes: Sequence[str] | None = None,
) -> Bundle:  # fmt: skip
    """Write the network `weights` are for, with them in it, as a verified Bundle at `out`.

    `style` and `stem` are the weights' own unless given; `classes` are "0", "1", ... . Layers that the file lacks
    (auxiliary heads) are drawn from seed 0. UserError when `out` exists, when the weights do not fit, when their
    pictures are too small for the network, and when there are not as many names as classes.
    """
    check_vacant(out)
    preprocess = Preprocess(**weights.preprocess)
    style, stem = weights.choose(style, stem)
    check_size(weights.arch, preprocess.size, stem=stem, style=style)
    how: dict[str, Any] = {"in_channels": preprocess.channels, "style": style, "stem": stem}
    count = weights.check(num_classes=1, **how).classes
    assert count is not None  # a file without a last layer does not fit
    names = tuple(map(str, range(count))) if classes is None else tuple(classes)
    if len(names) != count:
        raise UserError(
            f"{len(names)} class names for the {count} classes of {named(weights.path)}: give one each, in their order"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create(weights.arch, num_classes=count, **how)
    report = load_weights(model, weights.path)
    return export(
        model.eval(),
        arch=weights.arch,
        stem=stem,
        style=style,
        classes=names,
        preprocess=preprocess,
        golden_images=golden_pictures(preprocess),
        metrics={},
        weights={**weights.provenance, "keys": report.to_dict()},
        out=out,
    )


def kept_bundle(weights: Weights, *, style: str | None = None, stem: str | None = None) -> Bundle:
    """`export_weights`' Bundle, kept in the user's cache for the next time; UserErrors as its."""
    decides = [weights.sha256, weights.arch, weights.choose(style, stem), weights.preprocess, OPSET, versions()]
    path = cache_folder() / "bundles" / sha256_bytes(json.dumps(decides, sort_keys=True).encode())[:32]
    if path.exists():
        with contextlib.suppress(UserError):  # a damaged one is made anew
            return Bundle.open(path)
        shutil.rmtree(path)
    try:
        return export_weights(weights, path, style=style, stem=stem)
    except UserError:
        if path.exists():  # another process was sooner
            return Bundle.open(path)
        raise


def golden_pictures(preprocess: Preprocess) -> np.ndarray:
    """Coloured clouds, always the same, to verify a Bundle with: uint8 [8, S, S, channels]."""
    noise = np.random.default_rng(0).integers(0, 256, (GOLDEN_IMAGES, 8, 8, 3), dtype=np.uint8)
    return np.stack([preprocess(Image.fromarray(picture)) for picture in noise])
