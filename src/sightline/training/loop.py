"""The training loop, to be read as a page.

Every step draws its randomness from (seed, step) alone and every epoch its order from (seed, epoch), so a training
that was interrupted, or killed, continues as if it had not been: on a CPU to the last bit. With a time budget the
schedule runs on the clock instead of on steps, and a run cannot be repeated to the bit.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from torch.nn import functional

from sightline.core.errors import named
from sightline.core.progress import Progress
from sightline.core.stopping import Diverged, Interrupted, stop_signals
from sightline.data.loaders import Loader
from sightline.evaluation.collapse import Spread
from sightline.run import VALIDATION
from sightline.training.checkpoint import State, load_checkpoint, save_checkpoint
from sightline.training.inputs import grown, scaled
from sightline.training.recipe import Recipe
from sightline.training.tuning import training_mode

CHECK_EVERY = 10
LAST = "last.safetensors"


@dataclass
class Training:
    """What the loop works with.

    `model` is what is called, `network` what checkpoints keep: the same, but where `model` is a part of it alone.
    `thaw` is called before a step with the share of the run that is done, `report` when an epoch's checkpoint is
    written. Before the first step, this time, `prepared` seconds went by until the pictures were decoded, and then
    `ahead` seconds of training: what is computed once, a first head, trying rates.
    `class_weights` float [C] say what a picture of each class counts in the loss; the same where there are none.
    """

    fabric: Fabric
    network: torch.nn.Module
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    loader: Loader
    validation: Loader
    normalise: torch.nn.Module
    checkpoints: Path
    progress: Progress
    report: Callable[[State], None]
    thaw: Callable[[float], None] = lambda done: None
    prepared: float = 0.0
    ahead: float = 0.0
    class_weights: torch.Tensor | None = None

    def run(self) -> State:
        """Train to the end of the recipe, from the last checkpoint if there is one."""
        state = State()
        if self.last.exists():
            state = load_checkpoint(self.last, self.network, self.optimizer)
        state.prepared += self.prepared
        state.seconds += self.ahead
        state.step_seconds += self.ahead
        with torch.random.fork_rng(devices=[]), stop_signals() as stop:
            while not self.finished(state):
                self.epoch(state, stop)
        return state

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.checkpoints / LAST

    @property
    def best(self) -> Path:
        """The network of the epoch with the best validation."""
        return self.checkpoints / "best.safetensors"

    def finished(self, state: State) -> bool:
        """Whether epochs, budget or patience are used up; not before something was learnt."""
        if not state.history:
            return False
        patience = self.recipe.patience
        if patience and state.epoch - state.best_epoch >= patience:
            return True
        return self.done(state) >= 1

    def done(self, state: State, began: float | None = None) -> float:
        """The share of the run behind us, in steps or in seconds of the budget; `began` is when the epoch began.

        On the clock the time an epoch's validation takes is spread over its steps, from the epochs before, so that the
        schedule does not jump where an epoch ends.
        """
        if self.recipe.epochs is not None:
            return (state.epoch * self.loader.steps + state.step) / (self.recipe.epochs * self.loader.steps)
        if self.recipe.budget_s is None:
            raise ValueError("a recipe has epochs or a budget")
        running = time.perf_counter() - began if began is not None else 0.0
        with_validation = state.seconds / state.step_seconds if state.step_seconds else 1.0
        return (state.prepared + state.seconds + running * with_validation) / spendable(self.recipe.budget_s)

    def epoch(self, state: State, stop: threading.Event) -> None:
        """The rest of one epoch, then validation, history and checkpoint."""
        began, waited = time.perf_counter(), self.loader.waited_seconds
        tally, before = Tally(**state.totals), state.totals.get("seen", 0)
        training_mode(self.model, tuned=self.recipe.tune is not None)
        with self.progress.task(
            self._title(state), (self.loader.steps - state.step) * self.loader.batch_size
        ) as advance:
            for images, targets in self.loader.epoch(state.epoch, state.step):
                tally.add(*self.step(images, targets, state, self.done(state, began)))
                state.step += 1
                advance(len(targets))
                if stop.is_set():
                    self._leave(state, tally, time.perf_counter() - began)
                if state.step % CHECK_EVERY == 0:
                    self._check(tally, state)
                    advance(0, **tally.shown())
                if self.recipe.budget_s and self.done(state, began) >= 1:
                    break
        self._check(tally, state)
        step_seconds = time.perf_counter() - began
        figures = {
            "images_per_s": (tally.seen - before) / step_seconds,
            "waiting_frac": (self.loader.waited_seconds - waited) / step_seconds,
        }
        measured = self.measure()
        state.seconds += time.perf_counter() - began
        state.step_seconds += step_seconds
        self._close(state, tally, {**measured, **figures})

    def step(
        self, images: torch.Tensor, targets: torch.Tensor, state: State, done: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One step of the optimizer on uint8 [N, C, S, S]; returns loss, logits [N, classes] and labels.

        `targets` are labels [N], or the shares of the classes [N, classes]: the largest is then the label.
        """
        torch.manual_seed(_mix(self.recipe.seed, state.epoch * self.loader.steps + state.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(done) * group.get("share", 1.0)
        self.thaw(done)
        self.optimizer.zero_grad()  # before the forward pass, which then takes the freed memory
        targets = self.fabric.to_device(targets)
        inputs = self.normalise(self.fabric.to_device(images))
        inputs = scaled(inputs, grown(inputs.shape[-1], self.recipe.growing, done))
        outputs = self.model(inputs.contiguous(memory_format=torch.channels_last))
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self.loss(logits, targets)
        for extra in auxiliary:
            loss = loss + self.recipe.auxiliary_weight * self.loss(extra, targets)
        self.fabric.backward(loss)
        self.optimizer.step()
        return loss, logits, targets if targets.ndim == 1 else targets.argmax(1)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy with label smoothing, in float32, of labels [N] or shares of the classes [N, classes].

        Weighed by class where that is asked for.
        """
        smoothing = self.recipe.label_smoothing
        if self.class_weights is None:
            return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
        losses = functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing, reduction="none")
        weights = self.class_weights[targets] if targets.ndim == 1 else targets @ self.class_weights
        return (losses * weights).mean()

    @torch.inference_mode()
    def measure(self) -> dict[str, float | None]:
        """Loss (no smoothing), top-1 and the answers' Spread on the validation pictures; None where there are none."""
        if len(self.validation.rows) == 0:
            return dict.fromkeys(VALIDATION)
        self.model.eval()
        loss, said = 0.0, []
        for images, labels in self.validation.epoch():
            labels = self.fabric.to_device(labels)
            inputs = self.normalise(self.fabric.to_device(images))
            logits = self.model(inputs.contiguous(memory_format=torch.channels_last)).float()
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            said.append(logits.argmax(1))
        answers, truth = torch.cat(said).cpu().numpy(), self.validation.labels
        spread = Spread.of(answers, truth)
        figures = (loss / len(truth), float((answers == truth).mean()), spread.recall, spread.commonest)
        return dict(zip(VALIDATION, figures, strict=True))

    def _leave(self, state: State, tally: Tally, seconds: float) -> NoReturn:
        """Stop in the middle of an epoch, with everything written down that continuing needs."""
        self._check(tally, state)
        state.seconds += seconds
        state.step_seconds += seconds
        state.totals = tally.totals()
        save_checkpoint(self.last, self.network, self.optimizer, state)
        raise Interrupted

    def _close(self, state: State, tally: Tally, measured: dict[str, Any]) -> None:
        """Put an epoch's figures down, keep the best network, and write the checkpoint.

        The best has the highest top-1, or the highest balanced accuracy where classes are balanced, and then the
        lowest loss.
        """
        steps = state.epoch * self.loader.steps + state.step
        state.epoch, state.step, state.totals = state.epoch + 1, 0, {}
        row = {"epoch": state.epoch, "step": steps, "seconds": state.seconds}
        state.history.append({**row, "lr": self._rate(), **tally.means(), **measured})
        score, loss = measured[f"validation_{self.recipe.judge}"], measured["validation_loss"]
        if score is None or (score, -loss) >= (state.best_score, -state.best_loss):
            state.best_epoch = state.epoch
            state.best_score, state.best_loss = (-1.0, math.inf) if score is None else (score, loss)
            save_checkpoint(self.best, self.network, None, state)
        save_checkpoint(self.last, self.network, self.optimizer, state)
        self.report(state)

    def _check(self, tally: Tally, state: State) -> None:
        """Raise Diverged when the losses so far do not sum to a number; the checkpoint before stays."""
        if math.isfinite(tally.totals()["loss"]):
            return
        peak, step = float(self.recipe.lr or 0), state.epoch * self.loader.steps + state.step
        kept = (
            f"the network after epoch {state.epoch} is kept in {named(self.last)}"
            if state.epoch
            else "nothing was kept yet"
        )
        raise Diverged(
            f"the loss stopped being a number by step {step} (epoch {state.epoch + 1}, learning rate "
            f"{self._rate():.4g} of at most {peak:.4g}): try --lr {peak / 10:.2g}; {kept}"
        )

    def _rate(self) -> float:
        """The learning rate of the last step, where a parameter takes all of it."""
        group = self.optimizer.param_groups[0]
        return float(group["lr"] / group.get("share", 1.0))

    def _title(self, state: State) -> str:
        of = f"/{self.recipe.epochs}" if self.recipe.epochs else ""
        return f"epoch {state.epoch + 1}{of}"


@dataclass
class Tally:
    """Sums over the pictures of an epoch: of losses, of right answers, and how many. Stay on the device until read."""

    loss: torch.Tensor | float = 0.0
    hits: torch.Tensor | float = 0.0
    seen: int = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count one batch."""
        self.loss = self.loss + loss.detach().float() * len(labels)
        self.hits = self.hits + (logits.detach().argmax(1) == labels).sum()
        self.seen += len(labels)

    def totals(self) -> dict[str, Any]:
        """As JSON can hold it, and as the constructor takes it."""
        return {"loss": float(self.loss), "hits": float(self.hits), "seen": self.seen}

    def means(self) -> dict[str, float]:
        """Loss and top-1 in the mean over the pictures."""
        return {"train_loss": float(self.loss) / self.seen, "train_top1": float(self.hits) / self.seen}

    def shown(self) -> dict[str, str]:
        """The same for a progress bar."""
        return {"loss": f"{float(self.loss) / self.seen:.3f}", "accuracy": f"{float(self.hits) / self.seen:.1%}"}


def _mix(seed: int, step: int) -> int:
    """One seed from two numbers, far from its neighbours' (splitmix64's multipliers)."""
    value = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
    return (value ^ (value >> 31)) % 2**63


def spendable(budget_s: float) -> float:
    """Seconds of a budget for steps: what is left of it after validating, exporting and verifying (10 % and 10 s)."""
    return max(0.5 * budget_s, 0.9 * budget_s - 10)
