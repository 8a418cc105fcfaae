"""One layer of a traced network: what it is, what it costs, and the window it looks through.

One MAC is one multiply-add of a convolution or linear layer; bias, batch norm, activations and pooling are not counted
(the papers' convention, who call it "FLOPs").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd, _MaxPoolNd

from sightline.core.errors import UserError, named
from sightline.models.resnet import Pad

AnyConv = nn.Conv1d | nn.Conv2d | nn.Conv3d
WEIGHTED = ("Conv1d", "Conv2d", "Conv3d", "Linear")
IN_PLACE = tuple(f"torch.nn.modules.{room}" for room in ("activation", "batchnorm", "dropout", "flatten"))


@dataclass(frozen=True)
class Window:
    """What a layer looks through, one number an axis (height first); `padding` has four where the sides differ.

    Four are top, left, bottom, right.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int | None = None


@dataclass(frozen=True)
class Layer:
    """A layer as it ran. `inputs` are the names of the layers it reads, "input" for the picture.

    `weights` counts its parameters without biases and batch norm's, `channels` what those weights put out at a place.
    `output` is without the batch, `macs` and `activations` (elements of the output) are of the whole batch. `in_place`:
    it works element by element, so it may write over what it reads. `receptive_field` is in pixels of the picture, None
    where the whole picture is seen.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    inputs: tuple[str, ...]
    window: Window | None = None
    parameters: int = 0
    weights: int = 0
    channels: int = 0
    macs: int = 0
    activations: int = 0
    in_place: bool = False
    stage: str = ""
    block: str = ""
    receptive_field: int | None = None

    def document(self) -> dict[str, Any]:
        """The layer as JSON; see docs/anatomy.md."""
        window = self.window
        return {
            "name": self.name,
            "kind": self.kind,
            "stage": self.stage,
            "block": self.block,
            "output": list(self.output),
            "kernel": list(window.kernel) if window else None,
            "stride": list(window.stride) if window else None,
            "padding": list(window.padding) if window else None,
            "dilation": list(window.dilation) if window else None,
            "groups": window.groups if window else None,
            "parameters": self.parameters,
            "macs": self.macs,
            "activations": self.activations,
            "receptive_field": self.receptive_field,
            "inputs": list(self.inputs),
        }


def is_layer(module: nn.Module) -> bool:
    """Whether `module` counts as one layer, not as a container of others."""
    own = type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, nn.Sequential)
    return isinstance(module, AnyConv | Pad) or (own and not any(module.children()))


def kind_of(module: nn.Module) -> str:
    """The name of a layer's kind: torch's, but one name for all average pooling, and for all kinds of convolution."""
    if isinstance(module, _AvgPoolNd | _AdaptiveAvgPoolNd):
        return "AvgPool"
    return next((kind.__name__ for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(module, kind)),
                type(module).__name__)  # fmt: skip


def works_in_place(module: nn.Module) -> bool:
    """Whether a layer works element by element: activations, batch norm, dropout, flattening."""
    return type(module).__module__ in IN_PLACE


def macs_of(name: str, module: nn.Module, output: Tensor) -> int:
    """MACs of one layer from its weights and the shape of what came out.

    UserError that names it when it has parameters and is no convolution, linear layer or batch norm: it would
    otherwise count as nothing.
    """
    if isinstance(module, AnyConv):
        return output.numel() * prod(module.weight.shape[1:])
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, _BatchNorm) or next(module.parameters(), None) is None:
        return 0
    raise unknown(name, type(module).__name__)


def unknown(name: str, kind: str) -> UserError:
    """The error for a layer whose multiply-adds the tracer cannot count."""
    return UserError(
        f"cannot count the multiply-adds of layer {named(name) or 'at the top'} ({kind}): unknown kind; "
        "build it of convolutions, linear layers and batch norm"
    )


def window_of(module: nn.Module, before: tuple[int, ...], after: tuple[int, ...]) -> Window | None:
    """The window of a convolution or pooling between shapes `before` and `after` [N, K, h, w]; None for others."""
    spatial = len(before) - 2
    if isinstance(module, AnyConv):
        padding = _padding(module, before[2:], after[2:])
        return Window(module.kernel_size, module.stride, padding, module.dilation, module.groups)
    if isinstance(module, _MaxPoolNd | _AvgPoolNd):
        sides: list[Any] = [module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1)]
        kernel, stride, padding, dilation = (_each(side, spatial) for side in sides)
        return Window(kernel, stride, padding, dilation)
    if isinstance(module, Pad):
        return Window((1, 1), (module.stride, module.stride), (0, 0), (1, 1))
    if isinstance(module, _AdaptiveAvgPoolNd):
        return adaptive(before[2:], after[2:])
    return None


def adaptive(before: tuple[int, ...], after: tuple[int, ...]) -> Window:
    """The window that averages a map of size `before` to `after`: the widest there is where they are not all alike."""
    kernel = tuple(
        max(-(-(i + 1) * old // new) - i * old // new for i in range(new))
        for old, new in zip(before, after, strict=True)
    )
    stride = tuple(max(old // new, 1) if new > 1 else 1 for old, new in zip(before, after, strict=True))
    return Window(kernel, stride, (0,) * len(before), (1,) * len(before))


def _padding(module: AnyConv, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """The zeros on each side, found from the sizes where the layer itself decides (SAME), odd ones last."""
    if not isinstance(module.padding, str) and any(module.padding):
        return tuple(module.padding)
    axes = zip(before, after, module.kernel_size, module.stride, module.dilation, strict=True)
    total = [
        max((new - 1) * stride + dilation * (kernel - 1) + 1 - old, 0) for old, new, kernel, stride, dilation in axes
    ]
    low, high = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return low if low == high else low + high


def _each(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)
