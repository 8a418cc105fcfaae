"""Weights from a file into a network, key by key: safetensors, or torch's own files read without running their code.

Nothing is loaded half: every key and shape is compared first, and a strict load that does not fit changes nothing.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from sightline.core.errors import UserError, named
from sightline.models.layers import Network

SHOWN = 3  # keys an error names before it only counts
KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AGAIN = "it must be .safetensors or a torch file of tensors only; get it again"
ADVICE = "choose the network, style and stem these weights were made for"
_AUXILIARY = re.compile(r"aux\d+\.")  # GoogLeNet's heads for training: a file may lack them, a network may do without

Reshaped = tuple[str, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class KeyReport:
    """What became of the keys of a file and a network.

    `reshaped` are in both with different shapes: (key, shape in the file, shape in the network). `replaced` are those
    of last layers that differ in nothing but the class count: the network keeps its own. `classes` is the file's.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[Reshaped, ...]
    replaced: tuple[Reshaped, ...] = ()
    classes: int | None = None

    @property
    def complete(self) -> bool:
        """Whether file and network have the same keys and shapes."""
        return not (self.missing or self.unexpected or self.reshaped or self.replaced)

    @property
    def fits(self) -> bool:
        """Whether nothing differs but the class count, and whose auxiliary heads there are."""
        return not self.reshaped and all(map(_AUXILIARY.match, (*self.missing, *self.unexpected)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; of the loaded keys the count."""
        lists = {name: list(getattr(self, name)) for name in ("missing", "unexpected", "reshaped", "replaced")}
        return {"loaded": len(self.loaded), **lists}


def load_weights(model: Network, path: str | Path, *, strict: bool = True) -> KeyReport:
    """Copy the weights in `path` (.safetensors, or torch's .pth, .pt, .th) into `model`; say what became of each key.

    Last layers of another class count stay as they are in `model` and are reported as replaced. UserError when the file
    is missing or damaged, and when `strict` and it does not fit; the model is then as before. Without `strict`, what
    fits is loaded.
    """
    path = Path(path)
    tensors = read_weights(path)
    report = compare(model, tensors)
    if strict and not report.fits:
        raise misfit(path, report)
    model.load_state_dict({key: tensors[key] for key in report.loaded}, strict=False)
    return report


def compare(model: Network, tensors: Mapping[str, Tensor]) -> KeyReport:
    """What loading `tensors` into `model` would do; the shapes decide, so `model` may be on the meta device."""
    expected = model.state_dict()
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    pairs = [(key, found[key], tuple(value.shape)) for key, value in expected.items() if key in found]
    head = next(key for key, value in model.named_parameters() if value is model.head.weight)
    classes = found[head][0] if len(found.get(head, ())) == 2 else None
    last = [name for name, layer in model.named_modules() if _counts_classes(layer, model.head.out_features)]
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    replaced = tuple(pair for pair in differing if pair[0].rpartition(".")[0] in last and _other_count(pair, classes))
    return KeyReport(
        loaded=tuple(key for key, there, here in pairs if there == here),
        missing=tuple(key for key in expected if key not in found and not key.endswith("num_batches_tracked")),
        unexpected=tuple(key for key in found if key not in expected),
        reshaped=tuple(pair for pair in differing if pair not in replaced),
        replaced=replaced,
        classes=classes,
    )


def _counts_classes(layer: nn.Module, classes: int) -> bool:
    return isinstance(layer, nn.Linear) and layer.out_features == classes


def _other_count(pair: Reshaped, classes: int | None) -> bool:
    """Whether the shapes differ in their first number alone, which in the file is its class count."""
    _, there, here = pair
    return bool(there) and there[0] == classes and there[1:] == here[1:]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a weights file by our keys, on the CPU.

    A checkpoint that holds them as "state_dict" or "model" is opened, any "module." before every key (DataParallel)
    dropped, and a last layer called "linear" taken for our "fc" if it has none. UserError when the file is missing,
    damaged or holds something else.
    """
    found = _opened(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    entries = found.items() if isinstance(found, dict) else [(None, found)]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in entries):
        raise UserError(f"{named(path)} holds no table of weights: save the network's state_dict()")
    for key, value in found.items():
        if not key.endswith("num_batches_tracked") and not (_plain(value) and _possible(key, value)):
            raise UserError(
                f"damaged weights: {named(key)} in {named(path)} holds numbers no network can have; get the file again"
            )
    while found and all(key.startswith("module.") for key in found):
        found = {key.removeprefix("module."): value for key, value in found.items()}
    if any(key.startswith("fc.") for key in found):
        return dict(found)
    return {f"fc.{key.removeprefix('linear.')}" if key.startswith("linear.") else key: v for key, v in found.items()}


def _opened(path: Path) -> Any:
    """What the file holds, whatever that is."""
    if not path.is_file():
        raise UserError(f"no weights file at {named(path)}: check the path")
    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles from elsewhere, which are then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise UserError(f"cannot read the weights in {named(path)}: {error.strerror}") from None
    except pickle.UnpicklingError as error:
        code = "Unsupported global" in str(error)  # as in a file that torch.save(network) made
        advice = "it holds more than tensors, which may be code: save the network's state_dict()" if code else AGAIN
        raise UserError(f"{named(path)} is no readable weights file: {advice}") from None
    except Exception:  # of whatever kind: damaged files make the readers raise almost all there are
        raise UserError(f"{named(path)} is no readable weights file: {AGAIN}") from None


def _plain(value: Tensor) -> bool:
    """Whether these are numbers a network can take: floating-point of 16 bits or more, stored in full, finite."""
    stored = not (value.is_nested or value.is_meta) and value.layout == torch.strided
    return stored and value.dtype in KINDS and bool(torch.isfinite(value).all())


def _possible(key: str, value: Tensor) -> bool:
    """Whether a variance, if this is one, is none below zero."""
    return not key.endswith("running_var") or bool((value >= 0).all())


def misfit(path: Path, report: KeyReport, advice: str = ADVICE) -> UserError:
    """The error that names the first few keys of each kind that do not fit, and says what to do."""
    shapes = [f"{named(key)} is {there} there and {here} here" for key, there, here in report.reshaped]
    parts = [
        _list("", shapes),
        _list("missing ", report.missing),
        _list("unexpected ", [named(key) for key in report.unexpected]),
    ]
    return UserError(
        f"the weights in {named(path)} do not fit this network: {'; '.join(filter(None, parts))}; {advice}"
    )


def _list(title: str, entries: Sequence[str]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return title + ", ".join(entries[:SHOWN]) + more if entries else ""
