"""A Bundle's network in NumPy: its weights from its safetensors file, its form from its card.

A Bundle is read here as anybody could read it, by what docs/architecture.md says of its files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sightline.core.artifact import read_json
from sightline.core.errors import UserError, named
from sightline.scratch.architectures import make
from sightline.scratch.network import Network
from sightline.scratch.pictures import normalised


@dataclass(frozen=True)
class Rebuilt:
    """A `network` with a Bundle's weights; `mean` and `deviation` [C] bring its pictures to what it was trained on."""

    network: Network
    arch: str
    classes: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """What the network answers to uint8 `pictures` [N, S, S, C]."""
        return self.network.forward(normalised(pictures, self.mean, self.deviation))


def from_bundle(path: str | Path) -> Rebuilt:
    """The network of the Bundle at `path`.

    UserError when it has none that can be rebuilt: an architecture or a layer that is not here is named.
    """
    path = Path(path)
    card = read_json(path / "bundle.json", "bundle")
    try:
        state = load_file(path / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"no weights at {named(path / 'model.safetensors')} ({error}): name a bundle's folder"
        ) from None
    if "int8" in card:
        raise UserError(f"{named(path)} is in 8-bit integers: name the bundle it was made of")
    if "style" not in card:
        raise UserError(f"{named(path)} is of several networks, or of vectors: name the bundle of one of them")
    missing = [key for key in ("arch", "classes", "stem", "preprocess") if key not in card]
    if missing:
        raise UserError(f"damaged bundle: {named(path / 'bundle.json')} does not say its {missing[0]}")
    preprocess = card["preprocess"]
    network = make(
        card["arch"], classes=len(card["classes"]), channels=preprocess.get("channels", 3), size=preprocess["size"],
        small=card["stem"] == "small", paper=card["style"] == "paper",
    )  # fmt: skip
    network.load({name: value for name, value in state.items() if not name.startswith("aux")})
    mean, deviation = (np.array(preprocess[name], np.float32) for name in ("mean", "std"))
    return Rebuilt(network, card["arch"], tuple(card["classes"]), mean, deviation)
