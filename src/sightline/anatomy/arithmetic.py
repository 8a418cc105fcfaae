"""The arithmetic of a convolution: its output size, parameters and multiply-adds, with the formula filled in.

MACs are those of `sightline.anatomy.layer`: the bias is a parameter and no MAC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import UserError, closest, named

Shape = tuple[int, int, int]
OUTPUT = "floor((W + 2p - d(f - 1) - 1) / s) + 1"
MACS = "height out x width out x filters x kernel x kernel x (channels / groups)"
PARAMETERS = "filters x kernel x kernel x (channels / groups) + filters"


@dataclass(frozen=True)
class Slide:
    """A square kernel that slides over a picture: what convolution and pooling share. Sizes are in pixels.

    `padding` is a number of zeros on each side, "valid" (none) or "same" (TensorFlow's: the output is
    ceil(input / stride), an odd pixel goes right and bottom). UserError for values below 1, or padding below 0.
    """

    kernel: int
    stride: int = 1
    padding: int | str = "same"
    dilation: int = 1

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            _at_least_one(name, getattr(self, name))
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            hint = closest(self.padding, ("same", "valid")) or ":"
            raise UserError(f'padding "{named(self.padding)}" is unknown{hint} use same, valid or a number of pixels')
        if isinstance(self.padding, int) and self.padding < 0:
            raise UserError(f"padding must be 0 or more, not {self.padding}")

    @property
    def reach(self) -> int:
        """Pixels from the kernel's first to its last, its gaps included."""
        return self.dilation * (self.kernel - 1) + 1

    def sides(self, size: int) -> tuple[int, int]:
        """Zeros before and after an input of `size`."""
        if isinstance(self.padding, int):
            return self.padding, self.padding
        if self.padding == "valid":
            return 0, 0
        total = max((-(-size // self.stride) - 1) * self.stride + self.reach - size, 0)
        return total // 2, total - total // 2

    def output(self, size: int) -> int:
        """What is left of `size` pixels: floor((W + 2p - d(f - 1) - 1) / s) + 1; UserError where nothing is."""
        padded = size + sum(self.sides(size))
        if padded < self.reach:
            raise UserError(
                f"a kernel of {self.kernel} with dilation {self.dilation} reaches over {self.reach} pixels and does "
                f"not fit into the input's {size} ({padded} with padding): use a smaller kernel or more padding"
            )
        return (padded - self.reach) // self.stride + 1

    def formula(self, size: int) -> str:
        """`output` with its numbers: floor((28 + 2*2 - 1*(5 - 1) - 1) / 1) + 1 = 28."""
        before, after = self.sides(size)
        padding = f"2*{before}" if before == after else f"({before} + {after})"
        inside = f"{size} + {padding} - {self.dilation}*({self.kernel} - 1) - 1"
        return f"floor(({inside}) / {self.stride}) + 1 = {self.output(size)}"


@dataclass(frozen=True)
class Convolution:
    """A convolution of `filters` square kernels over an input of `height` x `width` x `channels`.

    Paddings are those of `Slide`. UserError, with what to do, for values below 1, groups that do not divide channels
    and filters, and a kernel larger than the padded input.
    """

    height: int
    width: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int | str = "same"
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        for name in ("height", "width", "channels", "filters", "groups"):
            _at_least_one(name, getattr(self, name))
        for name in ("channels", "filters"):
            if getattr(self, name) % self.groups:
                raise UserError(
                    f"{self.groups} groups do not divide {getattr(self, name)} {name}: every group needs as many, so "
                    "that channels and filters must both be multiples of the groups"
                )
        for size in (self.height, self.width):
            self.slide.output(size)

    @property
    def slide(self) -> Slide:
        """The kernel that slides."""
        return Slide(self.kernel, self.stride, self.padding, self.dilation)

    @property
    def output(self) -> Shape:
        """Height, width and channels of what comes out."""
        return self.slide.output(self.height), self.slide.output(self.width), self.filters

    @property
    def weights(self) -> int:
        """Numbers in the kernels."""
        return self.filters * self.kernel**2 * (self.channels // self.groups)

    @property
    def parameters(self) -> int:
        """Weights and one bias a filter."""
        return self.weights + self.filters

    @property
    def macs(self) -> int:
        """Multiply-adds: every output pixel costs every weight of its filter once."""
        height, width, _ = self.output
        return height * width * self.weights

    @property
    def formula(self) -> dict[str, str]:
        """Output height and width, MACs and parameters, each with its numbers filled in."""
        height, width, filters = self.output
        share = f"{self.channels}" if self.groups == 1 else f"({self.channels} / {self.groups})"
        one = f"{filters} x {self.kernel} x {self.kernel} x {share}"
        return {
            "height": self.slide.formula(self.height),
            "width": self.slide.formula(self.width),
            "macs": f"{height} x {width} x {one} = {self.macs:,}",
            "parameters": f"{one} + {filters} = {self.parameters:,}",
        }


def parse_shape(text: str) -> Shape:
    """Height, width and channels of "28x28x192"; UserError for anything else."""
    parts = re.fullmatch(r"\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*", text, re.IGNORECASE | re.ASCII)
    if not parts:
        raise UserError(
            f'"{named(text)}" is no input shape: give height x width x channels as whole numbers, such as 28x28x192'
        )
    height, width, channels = (int(part) for part in parts.groups())
    return height, width, channels


def parse_padding(text: str) -> int | str:
    """A number of pixels where `text` is one; else the word as it is, which `Slide` judges."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text


def convolution(
    shape: Shape, *, filters: int, kernel: int, stride: int = 1, padding: int | str = "same", dilation: int = 1,
    groups: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """The document of one convolution over `shape` (height, width, channels); UserErrors of `Convolution`.

    Its `zeros` are top, bottom, left, right.
    """
    made = Convolution(*shape, filters, kernel, stride, padding, dilation, groups)
    return {
        "kind": "convolution",
        "input": list(shape),
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "zeros": [*made.slide.sides(made.height), *made.slide.sides(made.width)],
        "filters": filters,
        "groups": groups,
        "output": list(made.output),
        "general": {"output": OUTPUT, "macs": MACS, "parameters": PARAMETERS},
        "formula": made.formula,
        "weights": made.weights,
        "biases": made.filters,
        "parameters": made.parameters,
        "macs": made.macs,
        "flops": 2 * made.macs,
    }


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name} must be 1 or more, not {value}")
