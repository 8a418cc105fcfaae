"""Recipe: everything that decides a training besides the data and the network.

The defaults are a one-cycle schedule (Smith and Topin 2018) over SGD with Nesterov momentum, label smoothing 0.1
(Szegedy et al. 2016, section 7), and weight decay on convolution and linear weights alone (He et al. 2019, section 3.1,
"no bias decay"). `paper_step` is the schedule of He et al. 2015, section 4.2: divided by 10 at 1/2 and 3/4 of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from sightline.core.errors import UserError
from sightline.data.augment import Distortion, Distortions, Mirror, Mixing, read, reads_mirrored, suited, written
from sightline.data.balance import JUDGE, Balance
from sightline.models.layers import normed_convolutions
from sightline.training.muon import FILTER_SHARE, Muon

Schedule = Literal["one_cycle", "cosine", "paper_step", "paper_step_warm_up", "constant"]
Rate = Annotated[float, Field(gt=0)]
Tune = Literal["head", "last", "gradual", "all", "auto"]
WARM_UP_FRAC = 0.25
OPTIONS = {"batch_size": "batch", "budget_s": "budget", "views": "keep_views"}  # fields whose option has another name
OF_STEPS = (  # fields that only a training by steps goes by
    "epochs", "budget_s", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "label_smoothing",
    "auxiliary_weight", "patience",
)  # fmt: skip


class Recipe(BaseModel):
    """How a network is trained. Frozen; goes into run.json and comes back equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int | None = Field(default=None, ge=1, description="passes over the training pictures")
    budget_s: float | None = Field(default=None, gt=0, description="stop within this wall time, in seconds")
    batch_size: int | None = Field(default=None, ge=1, le=65536, description="pictures a step; fitted if none")
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: Rate | Literal["auto"] | None = Field(default=None, description="peak learning rate; fitted if none, or tested")
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = Field(default=True, description="SGD's momentum looks ahead")
    weight_decay: float = Field(default=5e-4, ge=0)
    decay: Literal["weights", "all"] = Field(default="weights", description="what decays: biases and norms too or not")
    schedule: Schedule = "one_cycle"
    tune: Tune | None = Field(default=None, description="which layers of given weights are trained; none from scratch")
    growing: float = Field(default=0, ge=0, lt=1, description="share of the run on smaller pictures")
    zero_init: bool = Field(default=False, description="residual blocks begin as their shortcuts, from scratch")
    views: int = Field(default=1, ge=1, le=64, description="passes over the pictures to keep, all but one distorted")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    balance: Balance = Field(default="none", description="what makes up for classes of different size")
    auxiliary_weight: float = Field(default=0.3, ge=0, description="weight of auxiliary heads' loss")
    augment: Annotated[str | Distortions, BeforeValidator(read), PlainSerializer(written)] = Field(
        default="standard", description="what distorts the training pictures: a preset, or a list of distortions"
    )
    mirror: bool | None = Field(default=None, description="whether to mirror at all; by the class names if none")
    patience: int | None = Field(default=None, ge=1, description="epochs without a better validation")
    seed: int = Field(default=0, ge=0, lt=2**32)
    precision: Literal["auto", "32", "bf16", "16"] = "auto"

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.budget_s is None):
            raise ValueError("give either epochs or a budget")
        return self

    @classmethod
    def of(cls, **options: Any) -> Recipe:
        """A Recipe, with pydantic's complaints turned into one line (UserError)."""
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            where = f"{option_of(str(first['loc'][0]))} " if first["loc"] else ""
            got = f" (it is {first['input']})" if first["loc"] else ""
            raise UserError(f"{where}{_plain(first['msg'])}{got}") from None

    def fitted(
        self,
        pictures: int,
        classes: tuple[str, ...],
        most: Callable[[int], int] = lambda batch: batch,
        *,
        channels: int = 3,
    ) -> Recipe:
        """The same with every open choice but an `auto` rate decided for `pictures` training pictures of `classes`.

        Batch: the largest power of two from 16 to 128 that leaves 16 steps an epoch, or what `most` makes of it, which
        knows the memory. Learning rate: `usual_rate`. Mirror: unless the classes are letters. A preset of distortions:
        those of it that suit the pictures, in full; UserError when one that was listed does not.
        """
        batch = self.batch_size or most(min(128, max(16, 2 ** int(math.log2(max(1, pictures / 16))))))
        fitted = self.model_copy(
            update={
                "batch_size": batch,
                "mirror": reads_mirrored(classes) if self.mirror is None else self.mirror,
                "augment": suited(self.augment, lambda distortion: self._objection(distortion, classes, channels)),
            }
        )
        return fitted.model_copy(update={"lr": self.lr or fitted.usual_rate})

    @property
    def usual_rate(self) -> float:
        """0.1 a batch of 128 for SGD and Muon, 0.001 for AdamW, linear in the batch (Goyal et al. 2017).

        Where weights are tuned a twentieth of it: with a fifth all layers of MobileNet v2 end 7 % lower on 146 photos
        (LOG.md).
        """
        base = (0.001 if self.optimizer == "adamw" else 0.1) * (0.05 if self.tune else 1)
        return base * (self.batch_size or 128) / 128

    @property
    def judge(self) -> str:
        """The figure on validation that chooses the best epoch or penalty."""
        return JUDGE[self.balance]

    def _objection(self, distortion: Distortion, classes: tuple[str, ...], channels: int) -> str | None:
        """Why `distortion` can have no place in this training, and what to do."""
        keeps = self.tune in ("head", "last")
        if keeps and self.views == 1:
            return f"--tune {self.tune} sees each picture once, as it is: add --keep-views 2 or more, or leave it out"
        if keeps and isinstance(distortion, Mixing):
            return f"--tune {self.tune} keeps what it makes of each picture alone, nothing can be mixed: leave it out"
        if isinstance(distortion, Mirror) and self.mirror is False:
            return "--no-mirror forbids it: leave out one of the two"
        if isinstance(distortion, Mirror) and self.mirror is None and not reads_mirrored(classes):
            return "single letters and digits read otherwise mirrored: leave it out, or allow it with --mirror"
        if distortion.needs_colour and channels == 1:
            return "these pictures are grey and have no colours: leave it out"
        return None

    def lr_at(self, progress: float) -> float:
        """The learning rate when `progress` in [0, 1] of the run is done."""
        if not isinstance(self.lr, float):
            raise ValueError("lr_at needs a rate that is decided")
        return self.lr * FACTORS[self.schedule](min(1.0, max(0.0, progress)))

    def make_optimizer(
        self, model: torch.nn.Module, share: Callable[[torch.nn.Parameter], float] = lambda parameter: 1.0
    ) -> torch.optim.Optimizer:
        """The optimizer over `model`; unless all decays, decay is kept off biases and norms (tensors of one dimension).

        `share` says what part of the learning rate a parameter takes.
        """
        found: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        normed = {getattr(module, name).weight for module, name, _ in normed_convolutions(model)}
        filters = []
        for parameter in model.parameters():
            if parameter.requires_grad and self.optimizer == "muon" and parameter in normed:
                filters.append(parameter)
            elif parameter.requires_grad:
                decay = self.weight_decay if parameter.ndim > 1 or self.decay == "all" else 0.0
                found.setdefault((share(parameter), decay), []).append(parameter)
        groups = [{"params": p, "weight_decay": decay, "share": part} for (part, decay), p in found.items()]
        if filters:
            groups.append({"params": filters, "filters": True, "share": FILTER_SHARE})
        if self.optimizer == "muon":
            return Muon(groups, lr=self.lr_at(0), momentum=self.momentum)
        if self.optimizer == "sgd":
            nesterov = self.nesterov and self.momentum > 0
            return torch.optim.SGD(groups, lr=self.lr_at(0), momentum=self.momentum, nesterov=nesterov)
        return torch.optim.AdamW(groups, lr=self.lr_at(0), betas=(self.momentum, 0.999))


def _one_cycle(progress: float) -> float:
    """Up in a line from 1/25 to 1, then down along a cosine to 1/10,000."""
    if progress < WARM_UP_FRAC:
        return 0.04 + 0.96 * progress / WARM_UP_FRAC
    return 1e-4 + (1 - 1e-4) * _cosine((progress - WARM_UP_FRAC) / (1 - WARM_UP_FRAC))


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _paper_step(progress: float) -> float:
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def _paper_step_warm_up(progress: float) -> float:
    """A tenth of the rate for the first 400 of 64,000 steps (He et al. 2015, section 4.2, on n = 18)."""
    return 0.1 if progress < 400 / 64_000 else _paper_step(progress)


def _constant(progress: float) -> float:
    return 1.0


FACTORS = {
    "one_cycle": _one_cycle,
    "cosine": _cosine,
    "paper_step": _paper_step,
    "paper_step_warm_up": _paper_step_warm_up,
    "constant": _constant,
}


def option_of(field: str) -> str:
    """The command line's option for a field of Recipe."""
    return "--" + OPTIONS.get(field, field).replace("_", "-")


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")
