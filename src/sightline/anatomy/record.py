"""What runs when a network runs, and who reads whom: layers by hooks, sums and joins between them by their operation.

On the meta device shapes flow and no number is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from sightline.anatomy.layer import (
    Layer,
    Window,
    adaptive,
    is_layer,
    kind_of,
    macs_of,
    unknown,
    window_of,
    works_in_place,
)
from sightline.anatomy.shapes import outcome

PICTURE = "input"
KINDS = {
    "add": "Add",
    "mul": "Multiply",
    "cat": "Concatenate",
    "mean": "AvgPool",
    "_adaptive_avg_pool2d": "AvgPool",
    "view": "Flatten",
    "_unsafe_view": "Flatten",
    "constant_pad_nd": "Pad",
}
PATHS = {"AvgPool": "avgpool"}
IN_PLACE = ("Add", "Multiply", "Flatten")
# Beside these, views and what works element by element, an operation between layers might multiply and add, and must
# not count as nothing.
ADDING_NOTHING = {
    *KINDS, "avg_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d", "_softmax", "_log_softmax", "sum", "amax",
    "amin", "clone", "copy", "index_select", "upsample_nearest2d", "upsample_bilinear2d",
}  # fmt: skip


def record(model: nn.Module, picture: Tensor) -> list[Layer]:
    """The layers of one pass of `model` in evaluation over `picture` [N, channels, H, W], in the order they ran.

    Both must be on the meta device. A layer that runs twice is there twice, the second time as NAME_2 and without
    parameters. UserError that names it when a layer or an operation has parameters or multiplies matrices and is not
    known.
    """
    recorder = _Recorder(picture)
    hooks = [hook for name, module in model.named_modules() for hook in recorder.watch(name, module)]
    try:
        with torch.no_grad(), recorder:
            model(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return recorder.layers


class _Recorder(TorchDispatchMode):
    """Watches the layers through hooks, and between them every operation."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self._names: set[str] = set()
        self._counted: set[int] = set()
        self._path: list[tuple[str, nn.Module]] = []
        self._in_layer = False
        # Who made which tensor. They are kept, so that no two share an id; on meta they have no content.
        self._maker: dict[int, str] = {id(picture): PICTURE}
        self._kept: list[Tensor] = [picture]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from loading its compiler, a second, only to tell it to leave this mode alone."""
        return False

    def watch(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Hooks that say when `module` begins and ends."""
        if is_layer(module):
            return self._watch_layer(name, module)
        return self._watch_container(name, module)

    def _watch_container(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        def enter(*_: Any) -> None:
            self._path.append((name, module))

        def leave(*_: Any) -> None:
            self._path.pop()

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)

    def _watch_layer(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        def enter(module: nn.Module, inputs: Any) -> None:
            self._in_layer = True

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._in_layer = False
            made = next(_tensors([output]), None)
            if made is None or isinstance(module, nn.Identity):
                return
            read = list(_tensors(inputs))
            self._add(
                name, kind_of(module), read, made,
                window=window_of(module, tuple(read[0].shape), tuple(made.shape)) if read else None,
                macs=macs_of(name, module, made),
                in_place=works_in_place(module),
                parameters=list(module.parameters()),
            )  # fmt: skip

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out one operation; record it unless a layer does it."""
        name = func.overloadpacket.__name__
        made = outcome(name, args)
        if made is None:
            made = func(*args, **(kwargs or {}))
        if not self._in_layer:
            self._operation(func, list(_tensors(args)), list(_tensors([made])))
        return made

    def _operation(self, func: Any, read: list[Tensor], made: list[Tensor]) -> None:
        """One operation between layers; of what it makes, the first tensor is what the layer puts out."""
        path, module = self._path[-1]
        name = func.overloadpacket.__name__
        weighs = any(isinstance(tensor, nn.Parameter) for tensor in read)
        read = [tensor for tensor in read if id(tensor) in self._maker]
        harmless = func.is_view or torch.Tag.pointwise in func.tags or name.removesuffix("_") in ADDING_NOTHING
        if weighs or (read and not harmless):
            raise unknown(path, type(module).__name__)
        if not read or not made:
            return
        kind = KINDS.get(name.removesuffix("_"), name.strip("_").title().replace("_", ""))
        own = PATHS.get(kind, kind.lower())
        before, after = tuple(read[0].shape), tuple(made[0].shape)
        self._add(
            f"{path}.{own}" if path else own, kind, read, made[0],
            window=_pooled(before, after) if kind == "AvgPool" else None,
            in_place=kind in IN_PLACE or name.endswith("_"),
        )  # fmt: skip
        for other in made[1:]:
            self._maker[id(other)] = self.layers[-1].name
            self._kept.append(other)

    def _add(
        self, name: str, kind: str, read: list[Tensor], made: Tensor, *, window: Window | None, macs: int = 0,
        in_place: bool = False, parameters: Iterable[Tensor] = (),
    ) -> None:  # fmt: skip
        fresh = [p for p in parameters if id(p) not in self._counted]
        self._counted.update(id(p) for p in fresh)
        unique, again = name, 1
        while unique in self._names:
            again += 1
            unique = f"{name}_{again}"
        self._names.add(unique)
        layer = Layer(
            name=unique,
            kind=kind,
            output=tuple(made.shape[1:]),
            inputs=tuple(self._maker[id(tensor)] for tensor in read if id(tensor) in self._maker),
            window=window,
            parameters=sum(p.numel() for p in fresh),
            weights=sum(p.numel() for p in fresh if p.dim() > 1),
            channels=sum(p.shape[0] for p in fresh if p.dim() > 1),
            macs=macs,
            activations=made.numel(),
            in_place=in_place,
        )
        self.layers.append(layer)
        self._maker[id(made)] = unique
        self._kept.append(made)


def _pooled(before: tuple[int, ...], after: tuple[int, ...]) -> Window | None:
    """The window of an average over all places, kept as 1 x 1 or dropped, or of an adaptive one."""
    if len(before) != 4 or after[:2] != before[:2]:
        return None
    return adaptive(before[2:], after[2:] or (1, 1))


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
