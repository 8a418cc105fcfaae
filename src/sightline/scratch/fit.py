"""Training: batches, steps, a checkpoint after each epoch, and a clear word when the loss is no number any more."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.scratch.functional import cross_entropy
from sightline.scratch.layers import Dropout
from sightline.scratch.network import Network
from sightline.scratch.optim import Optimizer, Schedule


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: the mean loss and the share of right answers while training, both over its pictures."""

    loss: float
    accuracy: float


def fit(
    network: Network, pictures: np.ndarray, labels: np.ndarray, *, epochs: int, optimizer: Optimizer,
    schedule: Schedule, batch_size: int = 128, seed: int = 0, checkpoint: Path | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda batch: batch, progress: Progress = SILENT,
    ended: Callable[[int, Epoch], None] = lambda number, epoch: None,
) -> list[Epoch]:  # fmt: skip
    """Train `network` on `pictures` [N, H, W, C] and `labels` [N]; what each epoch came to.

    `prepare` makes of a batch what the network takes. Each epoch sees every picture once, in an order drawn from `seed`
    and its number. After each, all that goes on is written to the file `checkpoint`, and where there is one already
    training goes on from it: the same to the last bit as if it had not ended. UserError when the loss is no number,
    with the first layer whose answer has none.
    """
    if len(pictures) != len(labels) or not len(labels):
        raise UserError(f"{len(pictures)} pictures and {len(labels)} labels: there must be one for each, and some")
    history = _resumed(network, optimizer, checkpoint) if checkpoint and checkpoint.exists() else []
    per_epoch = math.ceil(len(labels) / batch_size)
    with progress.task("Training", epochs * per_epoch, "steps") as advance:
        advance(len(history) * per_epoch)
        for number in range(len(history), epochs):
            order = np.random.default_rng([seed, number]).permutation(len(labels))
            losses, right = 0.0, 0
            for step, start in enumerate(range(0, len(order), batch_size), number * per_epoch):
                rows = order[start : start + batch_size]
                batch = prepare(pictures[rows])
                logits = network.forward(batch, training=True)
                loss, gradient = cross_entropy(logits, labels[rows])
                if not math.isfinite(loss):
                    raise _diverged(network, batch, number + 1, step)
                network.backward(gradient)
                optimizer.step(network.parameters, network.gradients, schedule(step))
                losses += loss * len(rows)
                right += int((logits.argmax(1) == labels[rows]).sum())
                advance()
            history.append(Epoch(losses / len(order), right / len(order)))
            if checkpoint:
                _keep(network, optimizer, history, checkpoint)
            ended(number + 1, history[-1])
    return history


def _diverged(network: Network, batch: np.ndarray, epoch: int, step: int) -> UserError:
    """Where numbers ended first."""
    where = f"epoch {epoch}, step {step + 1}"
    if not np.isfinite(batch).all():
        return UserError(f"a picture has numbers that are none (NaN or infinite), at {where}: look at the data")
    first: list[str] = []

    def watch(name: str, answer: np.ndarray) -> None:
        if not first and not np.isfinite(answer).all():
            first.append(name)

    with np.errstate(all="ignore"):
        network.forward(batch, training=False, watch=watch)
        if not first:
            network.forward(batch, training=True, watch=watch)
    layer = named(first[0]) if first else "the loss"
    return UserError(f"training diverged at {where}, first in {layer}: give a smaller learning rate")


def _keep(network: Network, optimizer: Optimizer, history: list[Epoch], file: Path) -> None:
    """Write all that goes on; the file before it stays until the new one is whole."""
    tensors = {f"network.{name}": value for name, value in network.state().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.state.items()}
    said = {"history": json.dumps([asdict(epoch) for epoch in history]), "random": json.dumps(_random(network))}
    part = file.with_name(f".{file.name}.part")
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part, said)
    part.replace(file)


def _resumed(network: Network, optimizer: Optimizer, file: Path) -> list[Epoch]:
    """Take up what `_keep` wrote; UserError when it is not of this network."""
    try:
        with safe_open(file, "numpy") as opened:
            said = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        history = [Epoch(**epoch) for epoch in json.loads(said["history"])]
        states = json.loads(said["random"])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise UserError(f"{named(file)} is no checkpoint of such a training: remove it to begin anew") from None
    network.load({name.removeprefix("network."): of for name, of in tensors.items() if name.startswith("network.")})
    optimizer.state = {
        name.removeprefix("optimizer."): of for name, of in tensors.items() if name.startswith("optimizer.")
    }
    for name, state in states.items():
        layer = network.nodes[name].layer
        assert isinstance(layer, Dropout)
        layer.random.bit_generator.state = state
    return history


def _random(network: Network) -> dict[str, Any]:
    """What each dropout will draw next."""
    return {
        node.name: node.layer.random.bit_generator.state
        for node in network.nodes.values()
        if isinstance(node.layer, Dropout)
    }
