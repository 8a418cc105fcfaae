"""Training: batches, steps, a checkpoint after each epoch, and a clear word when the loss is no number any more.

Each epoch sees every picture once, in an order drawn from the seed and its number, so that what was stopped goes on as
if it had not been: the same to the last bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named
from sightline.core.machine import keeping_freed_memory
from sightline.core.progress import SILENT, Progress
from sightline.core.stopping import Diverged, Interrupted
from sightline.scratch.functional import cross_entropy, one_thread_a_product
from sightline.scratch.layers import Dropout
from sightline.scratch.network import Network
from sightline.scratch.optim import Optimizer, Schedule


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: the mean loss and the share of right answers while training, both over its pictures."""

    loss: float
    accuracy: float
    seconds: float = field(compare=False)  # of its steps


@dataclass
class _Standing:
    """Where a training stands: epochs that are done, and the sums over the `steps` done of the one that is not."""

    history: list[Epoch] = field(default_factory=list)
    steps: int = 0
    seen: int = 0
    loss: float = 0.0
    right: int = 0
    seconds: float = 0.0

    def shown(self) -> dict[str, str]:
        """Loss and accuracy so far, for a progress bar."""
        return {"loss": f"{self.loss / self.seen:.3f}", "accuracy": f"{self.right / self.seen:.1%}"}


def fit(
    network: Network, pictures: np.ndarray, labels: np.ndarray, *, epochs: int, optimizer: Optimizer,
    schedule: Schedule, batch_size: int = 128, seed: int = 0, checkpoint: Path | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda batch: batch, progress: Progress = SILENT,
    ended: Callable[[int, Epoch], None] = lambda number, epoch: None, stop: Callable[[], bool] = lambda: False,
) -> list[Epoch]:  # fmt: skip
    """Train `network` on `pictures` [N, H, W, C] and `labels` [N]; what each epoch came to.

    `prepare` makes of a batch what the network takes; `ended` is called when an epoch has, before all that goes on is
    written to the file `checkpoint`. Where there is one already training goes on from it. `stop` is asked after every
    step: when it says so, Interrupted, the checkpoint written. Diverged when the loss is no number, with the first
    layer whose answer has none.
    """
    if len(pictures) != len(labels) or not len(labels):
        raise UserError(f"{len(pictures)} pictures and {len(labels)} labels: there must be one for each, and some")
    at = _resumed(network, optimizer, checkpoint) if checkpoint and checkpoint.exists() else _Standing()
    per_epoch = math.ceil(len(labels) / batch_size)
    with (
        progress.task("Training", epochs * len(labels)) as advance,
        keeping_freed_memory(),
        one_thread_a_product(),
        quiet(),
    ):
        advance(len(at.history) * len(labels) + at.seen)
        for number in range(len(at.history), epochs):
            order = np.random.default_rng([seed, number]).permutation(len(labels))
            for step in range(at.steps, per_epoch):
                began = time.perf_counter()
                rows = order[step * batch_size : (step + 1) * batch_size]
                batch = prepare(pictures[rows])
                logits = network.forward(batch, training=True)
                loss, gradient = cross_entropy(logits, labels[rows])
                if not math.isfinite(loss):
                    raise _diverged(network, batch, number + 1, number * per_epoch + step)
                network.backward(gradient)
                optimizer.step(network.parameters, network.gradients, schedule(number * per_epoch + step))
                at.steps += 1
                at.seen += len(rows)
                at.loss += loss * len(rows)
                at.right += int((logits.argmax(1) == labels[rows]).sum())
                at.seconds += time.perf_counter() - began
                advance(len(rows), epoch=str(number + 1), **at.shown())
                if at.steps < per_epoch and stop():
                    _leave(network, optimizer, at, checkpoint)
            at = _Standing([*at.history, Epoch(at.loss / len(order), at.right / len(order), at.seconds)])
            ended(number + 1, at.history[-1])
            if checkpoint:
                _keep(network, optimizer, at, checkpoint)
            if number + 1 < epochs and stop():
                _leave(network, optimizer, at, checkpoint)
    return at.history


def quiet() -> np.errstate:
    """NumPy says nothing of overflows while inside: a loss that is no number is told in words."""
    return np.errstate(all="ignore")


def _leave(network: Network, optimizer: Optimizer, at: _Standing, checkpoint: Path | None) -> NoReturn:
    if checkpoint:
        _keep(network, optimizer, at, checkpoint)
    raise Interrupted


def _diverged(network: Network, batch: np.ndarray, epoch: int, step: int) -> Diverged:
    """Where numbers ended first."""
    where = f"epoch {epoch}, step {step + 1}"
    if not np.isfinite(batch).all():
        return Diverged(f"a picture has numbers that are none (NaN or infinite), at {where}: look at the data")
    first: list[str] = []

    def watch(name: str, answer: np.ndarray) -> None:
        if not first and not np.isfinite(answer).all():
            first.append(name)

    with quiet():
        network.forward(batch, training=False, watch=watch)
        if not first:
            network.forward(batch, training=True, watch=watch)
    layer = named(first[0]) if first else "the loss"
    return Diverged(f"training diverged at {where}, first in {layer}: give a smaller learning rate")


def _keep(network: Network, optimizer: Optimizer, at: _Standing, file: Path) -> None:
    """Write all that goes on; the file before it stays until the new one is whole."""
    tensors = {f"network.{name}": value for name, value in network.state().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.state.items()}
    said = {"standing": json.dumps(asdict(at)), "random": json.dumps(_random(network))}
    write_bytes(file, save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, said))


def _resumed(network: Network, optimizer: Optimizer, file: Path) -> _Standing:
    """Take up what `_keep` wrote; UserError when it is not of this network."""
    try:
        with safe_open(file, "numpy") as opened:
            said = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        standing = json.loads(said["standing"])
        at = _Standing(**standing | {"history": [Epoch(**epoch) for epoch in standing["history"]]})
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
    return at


def _random(network: Network) -> dict[str, Any]:
    """What each dropout will draw next."""
    return {
        node.name: node.layer.random.bit_generator.state
        for node in network.nodes.values()
        if isinstance(node.layer, Dropout)
    }
