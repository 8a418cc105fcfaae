"""The shapes that the commonest operations make, so that a trace need not ask torch.

Torch knows them too; but on the meta device it first loads its compiler, which takes longer than all the rest of a
trace. What is not here, and what does not fit together, torch is asked all the same and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from torch import Tensor

Dims = tuple[int, ...]
ELEMENTWISE = ("native_batch_norm", "relu", "hardtanh", "leaky_relu", "silu", "sigmoid")


def outcome(name: str, args: Sequence[Any]) -> Any:
    """What the operation `name` makes of `args`, empty; None where torch must be asked."""
    if name.endswith("_") and name[:-1] in ELEMENTWISE:
        return args[0]
    if name in ELEMENTWISE:
        made = _empty(args[0], args[0].shape)
        return (made,) * 3 if name == "native_batch_norm" else made
    rule = RULES.get(name)
    shape = rule(*args) if rule else None
    if shape is None or min(shape, default=0) < 1:
        return None
    first = args[0][0] if name == "cat" else args[0]
    made = _empty(first, shape)
    return (made, made) if name == "max_pool2d_with_indices" else made


def _empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    return like.new_empty(tuple(shape))


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Dims | None:  # fmt: skip
    if transposed or x.dim() != weight.dim() or x.shape[1] != weight.shape[1] * groups:
        return None
    axes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    return (x.shape[0], weight.shape[0], *(_side(*axis) for axis in axes))


def _max_pool(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1), up: bool = False,
) -> Dims | None:  # fmt: skip
    if x.dim() != 4 or not all(len(sides) == 2 for sides in (kernel, stride, padding, dilation)):
        return None
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        return None
    axes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    return (*x.shape[:2], *(_side(*axis, up=up) for axis in axes))


def _side(size: int, kernel: int, stride: int, padding: int, dilation: int, *, up: bool = False) -> int:
    """Places of a window along one axis; with `up` also one that sticks out, if it begins inside."""
    rest = size + 2 * padding - dilation * (kernel - 1) - 1
    places = (ceil(rest / stride) if up else rest // stride) + 1
    return places - 1 if up and (places - 1) * stride >= size + padding else places


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Dims | None:
    first = tensors[0].shape
    if dim < 0 or any((*t.shape[:dim], *t.shape[dim + 1 :]) != (*first[:dim], *first[dim + 1 :]) for t in tensors):
        return None
    return (*first[:dim], sum(t.shape[dim] for t in tensors), *first[dim + 1 :])


def _broadcast(a: Tensor, b: Any) -> Dims | None:
    if not isinstance(b, Tensor):
        return tuple(a.shape)
    if a.dim() != b.dim() or any(m != n and 1 not in (m, n) for m, n in zip(a.shape, b.shape, strict=True)):
        return None
    return tuple(map(max, a.shape, b.shape))


def _mean(x: Tensor, dim: Sequence[int] | None = None, keepdim: bool = False) -> Dims | None:
    if not dim or min(dim) < 0:
        return None
    return tuple(1 if axis in dim else size for axis, size in enumerate(x.shape) if keepdim or axis not in dim)


def _multiplied(bias: Tensor, x: Tensor, weight: Tensor) -> Dims | None:
    fits = x.dim() == weight.dim() == 2 and x.shape[1] == weight.shape[0] and bias.shape == weight.shape[1:]
    return (x.shape[0], weight.shape[1]) if fits else None


RULES: dict[str, Callable[..., Dims | None]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "cat": _joined,
    "add": _broadcast,
    "mul": _broadcast,
    "mean": _mean,
    "addmm": _multiplied,
}
