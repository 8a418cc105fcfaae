"""Journal: what a training writes down after every epoch - metrics.csv and TensorBoard events."""

from __future__ import annotations

import logging
from typing import Any

from sightline.run import Run
from sightline.training.checkpoint import State

CURVES = {
    "loss": ("train_loss", "validation_loss"),
    "top1": ("train_top1", "validation_top1"),
    "training": ("lr", "images_per_s", "waiting_frac"),
}


class Journal:
    """Writes each epoch of `run` into its directory."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._events: Any = None

    def write(self, state: State) -> None:
        """Rewrite metrics.csv from the whole history, and add the last epoch to the events."""
        self.run.write_history(state.history)
        self._add(state.history[-1])

    def write_all(self, state: State) -> None:
        """Write metrics.csv and the events of a whole history at once."""
        self.run.write_history(state.history)
        for row in state.history:
            self._add(row)

    def _add(self, row: dict[str, Any]) -> None:
        if self._events is None:
            self._events = self._open(row["epoch"])
        for group, names in CURVES.items():
            for name in names:
                if row[name] is not None:
                    self._events.add_scalar(f"{group}/{name}", row[name], row["epoch"])
        self._events.flush()

    def _open(self, epoch: int) -> Any:
        """An events file; what an earlier try wrote of `epoch` and later is hidden by TensorBoard."""
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.run.path / "events"), purge_step=epoch)
