"""Whether a Bundle's network answers in NumPy as it does in PyTorch, and where the two part if they do not.

The golden pictures in a Bundle travel with PyTorch's logits, so that the answer as a whole is compared without PyTorch.
Layer by layer its modules are watched; a module and a node of one name are the same layer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from sightline.bundle import GOLDEN, WEIGHTS, Bundle, read_golden
from sightline.core.errors import UserError, named
from sightline.scratch.bundles import Rebuilt, from_bundle
from sightline.scratch.pictures import normalised

LIMIT = 1e-4


@dataclass(frozen=True)
class Compared:
    """A layer's answer in both: its shape for one picture, and by how much they differ."""

    name: str
    shape: tuple[int, ...]
    difference: float


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest number."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))


def verify(bundle: Bundle, *, layers: bool = False) -> dict[str, Any]:
    """The verification document of `bundle`; with `layers`, and wherever the logits differ, with every layer.

    UserError when the network cannot be rebuilt in NumPy, and when layers are asked for of one that PyTorch has not.
    """
    rebuilt = from_bundle(bundle.path)
    images, logits = read_golden(bundle.path / GOLDEN)
    found = rebuilt.logits(images)
    difference = relative(found, logits)
    document: dict[str, Any] = {
        "kind": "scratch-verification",
        "path": str(bundle.path),
        "arch": bundle.arch,
        "pictures": len(images),
        "limit": LIMIT,
        "difference": difference,
        "runtime_difference": relative(found, bundle.run(images).logits),
    }
    passed = max(difference, document["runtime_difference"]) <= LIMIT
    if layers or (not passed and in_pytorch(bundle)):
        compared = by_layer(bundle, rebuilt, images)
        first = next((one.name for one in compared if not one.difference <= LIMIT), None)
        passed = passed and first is None
        document |= {"layers": [asdict(one) for one in compared], "first": first}
    return {**document, "passed": passed}


def in_pytorch(bundle: Bundle) -> bool:
    """Whether the network is one of PyTorch's here too; lenet and inception_small are in NumPy alone."""
    from sightline.models import architecture

    try:
        architecture(bundle.arch)
    except UserError:
        return False
    return True


def by_layer(bundle: Bundle, rebuilt: Rebuilt, images: np.ndarray) -> list[Compared]:
    """Every layer that both have, in the order in which they answer uint8 `images` [N, S, S, C]."""
    import torch
    from safetensors.torch import load_file

    from sightline.models import create

    if not in_pytorch(bundle):
        raise UserError(f"{named(bundle.arch)} is in NumPy alone: leave out --layers, its logits are compared")
    card = bundle.card
    network = create(
        bundle.arch, num_classes=len(bundle.classes), in_channels=bundle.preprocess.channels, stem=card["stem"],
        style=card["style"],
    )  # fmt: skip
    network.load_state_dict(load_file(bundle.path / WEIGHTS))
    theirs: dict[str, np.ndarray] = {}
    calls: Counter[str] = Counter()

    def keep(name: str, module: Any, inputs: Any, answer: Any) -> None:
        calls[name] += 1
        if isinstance(answer, torch.Tensor):
            array = answer.detach().numpy()
            theirs[name] = np.moveaxis(array, 1, -1).copy() if array.ndim == 4 else array.copy()

    for name, module in network.named_modules():
        module.register_forward_hook(partial(keep, name))
    pictures = normalised(images, rebuilt.mean, rebuilt.deviation)
    with torch.inference_mode():
        network.eval()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, 1))))
    compared: list[Compared] = []

    def watch(name: str, answer: np.ndarray) -> None:
        if calls[name] == 1:
            own, other = list(answer.shape[1:]), list(theirs[name].shape[1:])
            if own != other:
                raise UserError(f"{named(name)} answers {own} in NumPy and {other} in PyTorch: the first that differs")
            compared.append(Compared(name, tuple(own), relative(answer, theirs[name])))

    rebuilt.network.forward(pictures, watch=watch)
    return compared
