"""Where a network saw a class: its logit, place by place (class activation mapping: Zhou et al. 2016, section 2).

A network that ends in global average pooling and one linear layer gives class c the logit b_c + mean over the places of
w_c . feature_map: what is averaged says how much each place adds. That takes nothing but the graph's own outputs and
that layer's weights, which are among the Bundle's; its golden pictures say whether the network is such a one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from safetensors import safe_open

from sightline.bundle import GOLDEN, WEIGHTS, Bundle, allowed, read_golden
from sightline.core.errors import UserError, named

RAMP = np.array([[255, 214, 102], [240, 113, 24], [190, 18, 60]], np.float32)  # of little, some and much heat
OPAQUE = 0.72  # of the hottest place


@dataclass(frozen=True, eq=False)
class Heat:
    """The last layer of a network that can be explained: `weights` float32 [C, K] and `bias` [C]."""

    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, bundle: Bundle) -> Heat:
        """The layer as the Bundle keeps it; UserError when the network does not end in pooling and one linear layer."""
        images, _ = read_golden(bundle.path / GOLDEN)
        logits, embedding, feature_map = bundle.run(images[:2])
        pooled = feature_map.mean((2, 3)) if feature_map.ndim == 4 else embedding[:0]
        if pooled.shape == embedding.shape and np.abs(pooled - embedding).max() <= allowed(embedding):
            for weights, bias in _layers(bundle, (logits.shape[1], embedding.shape[1])):
                if np.abs(embedding @ weights.T + bias - logits).max() <= allowed(logits):
                    return cls(weights, bias)
        raise UserError(
            f"{named(bundle.arch)} cannot be explained so: it does not end in average pooling and one linear layer"
        )

    def __call__(self, feature_map: np.ndarray, label: int) -> np.ndarray:
        """What each place adds to the logit of class number `label`, float32 [h, w], of `feature_map` [K, h, w].

        The mean over the places, and the bias, are the logit.
        """
        return np.tensordot(self.weights[label], feature_map, axes=1)


def _layers(bundle: Bundle, shape: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases among the Bundle's that a last layer of this shape [C, K] may have."""
    found = []
    with safe_open(str(bundle.path / WEIGHTS), "numpy") as file:
        keys = set(file.keys())
        for key in sorted(key for key in keys if key.endswith(".weight")):
            if tuple(file.get_slice(key).get_shape())[:2] != shape:
                continue
            weights = file.get_tensor(key).astype(np.float32)
            if weights.size == shape[0] * shape[1]:
                beside = f"{key.removesuffix('weight')}bias"
                bias = file.get_tensor(beside) if beside in keys else np.zeros(shape[0])
                found.append((weights.reshape(shape), bias.astype(np.float32)))
    return found


def over(picture: Image.Image, heat: np.ndarray, box: tuple[float, float, float, float], side: int) -> Image.Image:
    """`picture`, of at most `side` pixels a side, with `heat` [h, w] drawn over the part of it within `box`.

    `box` is left, top, right and bottom in the picture's pixels; what adds nothing, or less, stays clear.
    """
    scale = min(1.0, side / max(picture.size))
    shown = picture.convert("RGB").resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    left, top, right, bottom = (round(edge * scale) for edge in box)
    size = (max(1, right - left), max(1, bottom - top))
    layer = Image.fromarray(_coloured(heat)).resize(size, Image.Resampling.BICUBIC)
    shown.paste(layer, (left, top), layer)
    return shown


def _coloured(heat: np.ndarray) -> np.ndarray:
    """Red, green, blue and opacity uint8 [h, w, 4], from clear to the hottest place's colour."""
    share = np.maximum(heat, 0) / max(float(heat.max()), np.finfo(np.float32).tiny)
    colours = [np.interp(share, np.linspace(0, 1, len(RAMP)), RAMP[:, channel]) for channel in range(3)]
    return np.stack([*colours, 255 * OPAQUE * share], -1).round().astype(np.uint8)
