"""What each idea of the course saves or costs: the same layers with it and without it, counted now, nothing quoted.

`ratio` is what remains: the figure with the idea over the figure without it. Below 1 the idea saves, above 1 it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Literal

from torch import nn

from sightline.anatomy.arithmetic import Convolution
from sightline.anatomy.cost import Cost, build, cost, module_cost
from sightline.anatomy.scaling import curves
from sightline.anatomy.trace import trace
from sightline.models import STYLES
from sightline.models.blank import blank
from sightline.models.googlenet import INCEPTIONS, Inception, NaiveInception


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it is made of, what it costs, and how its multiply-adds add up."""

    what: str
    cost: Cost
    formula: str

    def document(self) -> dict[str, Any]:
        """A plain document."""
        return {"what": self.what, **self.cost.document(), "formula": self.formula}


@dataclass(frozen=True)
class Idea:
    """The same layers with an idea and without it; `figure` is what the idea is about."""

    name: str
    what: str
    with_it: Side
    without: Side
    source: str
    figure: Literal["macs", "parameters"] = "macs"

    @property
    def ratio(self) -> float:
        """What remains of the figure: with the idea over without it."""
        return float(getattr(self.with_it.cost, self.figure) / getattr(self.without.cost, self.figure))

    def document(self) -> dict[str, Any]:
        """A plain document."""
        return {
            "name": self.name,
            "what": self.what,
            "with": self.with_it.document(),
            "without": self.without.document(),
            "figure": self.figure,
            "ratio": self.ratio,
            "source": self.source,
        }


def table() -> dict[str, Any]:
    """The document of all ideas, and of the curves that come of scaling width, depth and resolution."""
    return {"kind": "ideas", "ideas": [idea.document() for idea in counted()], "scaling": curves()}


def counted() -> list[Idea]:
    """All ideas, in the order of the course."""
    return [
        reduction(),
        inception(),
        googlenet(),
        bottleneck(),
        separable(),
        mobilenet(),
        pooled_head(),
        stacked(2),
        stacked(3),
        shortcuts(),
        *(shortcut_option(option) for option in ("B", "C")),
    ]


def reduction() -> Idea:
    """A 1x1 convolution to 16 channels before the 5x5 of inception 3a."""
    return Idea(
        "1x1 reduction",
        "A cheap 1x1 convolution first squeezes 192 channels into 16, so that the dear 5x5 has less to look at.",
        _stack("1x1 to 16 channels, then 5x5", Convolution(28, 28, 192, 16, 1), Convolution(28, 28, 16, 32, 5)),
        _stack("5x5 on all 192 channels", Convolution(28, 28, 192, 32, 5)),
        "Szegedy et al. 2014, section 4 and Table 1, inception 3a",
    )


def inception() -> Idea:
    """The whole module 3a with its reductions (Figure 2b) and without (2a)."""
    channels, one, three_in, three, five_in, five, pool = INCEPTIONS["inception3a"]
    with blank():
        reduced = Inception(channels, one, three_in, three, five_in, five, pool, paper=True)
        naive = NaiveInception(channels, one, three, five, norm=False)
    return Idea(
        "Reductions in an inception module",
        "All branches of inception 3a reduced by 1x1 convolutions; without them the pooling branch also passes all its "
        f"channels on, and the next module gets {one + three + five + channels} channels instead of "
        f"{one + three + five + pool}.",
        _branches("module with 1x1 reductions", reduced, (1, channels, 28, 28)),
        _branches("naive module", naive, (1, channels, 28, 28)),
        "Szegedy et al. 2014, Figure 2, inception 3a",
    )


def googlenet() -> Idea:
    """The whole network with the reductions in its nine modules and without; in paper style, no auxiliary heads."""
    return Idea(
        "Reductions in a whole network",
        "GoogLeNet with nine reduced modules; in the naive one the channels that no pooling branch drops pile up from "
        "module to module.",
        _network("googlenet:aux=no", "paper"),
        _network("googlenet_naive:aux=no", "paper"),
        "Szegedy et al. 2014, Figure 2 and Table 1",
    )


def bottleneck() -> Idea:
    """A bottleneck of 64 channels against two full 3x3 convolutions, on 48x48x256."""
    return Idea(
        "Bottleneck",
        "A 1x1 convolution narrows 256 channels to 64, the 3x3 works on those, and a second 1x1 widens them again.",
        _stack(
            "1x1 to 64, 3x3, 1x1 to 256",
            Convolution(48, 48, 256, 64, 1),
            Convolution(48, 48, 64, 64, 3),
            Convolution(48, 48, 64, 256, 1),
        ),
        _stack("two 3x3 on 256 channels", *[Convolution(48, 48, 256, 256, 3)] * 2),
        "He et al. 2015, Figure 5",
    )


def separable() -> Idea:
    """The course's small example: 3x3x3, 5 filters, 6x6 input, valid; what remains is 1/5 + 1/9."""
    return Idea(
        "Depthwise separable convolution",
        "One 3x3 filter a channel looks around, then a 1x1 convolution mixes the channels; what remains is "
        "1/filters + 1/kernel² (here 1/5 + 1/9).",
        _stack(
            "3x3 on each of 3 channels, then 1x1 to 5",
            Convolution(6, 6, 3, 3, 3, padding="valid", groups=3),
            Convolution(4, 4, 3, 5, 1),
        ),
        _stack("full 3x3", Convolution(6, 6, 3, 5, 3, padding="valid")),
        "Howard et al. 2017, section 3.1",
    )


def mobilenet() -> Idea:
    """MobileNet v1 against its twin of full convolutions (the paper's "Conv MobileNet", Table 4)."""
    ours = _network("mobilenet_v1")
    twin = full_twin("mobilenet_v1")
    return Idea(
        "Depthwise separable in a whole network",
        "MobileNet v1 as it is, and with one full 3x3 convolution in the place of each depthwise and pointwise pair.",
        ours,
        Side("mobilenet_v1 of full convolutions", twin, f"all layers: {twin.macs:,}"),
        "Howard et al. 2017, Table 4",
    )


def pooled_head() -> Idea:
    """VGG-16's three linear layers against global average pooling and one."""
    network, whole = build("vgg16"), cost("vgg16")
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    old = sum(layer.weight.numel() for layer in linear), sum(p.numel() for layer in linear for p in layer.parameters())
    channels = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)][-1]
    classes = linear[-1].out_features
    body = Cost(whole.parameters - old[1], whole.macs - old[0])
    new = Cost(body.parameters + (channels + 1) * classes, body.macs + channels * classes)
    return Idea(
        "Global average pooling",
        f"VGG-16's last map averaged to {channels} numbers for one linear layer; as published, three linear layers "
        f"hold {old[1]:,} of its {whole.parameters:,} parameters.",
        Side(
            "average, one linear layer", new,
            f"{body.macs:,} + {channels} x {classes} = {new.macs:,}; "
            f"parameters {body.parameters:,} + {channels} x {classes} + {classes} = {new.parameters:,}",
        ),
        Side(
            "three linear layers", whole,
            f"{body.macs:,} + {old[0]:,} = {whole.macs:,}; "
            f"parameters {body.parameters:,} + {old[1]:,} = {whole.parameters:,}",
        ),
        "Lin et al. 2013, section 3.2; Szegedy et al. 2014, section 5; Simonyan & Zisserman 2014, Table 1",
        "parameters",
    )  # fmt: skip


def stacked(count: int) -> Idea:
    """`count` 3x3 convolutions against the one kernel that sees as much, on VGG's 56x56x256."""
    kernel, words = 2 * count + 1, {2: "Two", 3: "Three"}[count]
    return Idea(
        f"{words} 3x3 for one {kernel}x{kernel}",
        f"{words} 3x3 convolutions in a row see {kernel}x{kernel} pixels, with fewer weights and {count - 1} more "
        f"ReLU{'s' * (count > 2)} between.",
        _stack(f"{words.lower()} 3x3", *[Convolution(56, 56, 256, 256, 3)] * count),
        _stack(f"one {kernel}x{kernel}", Convolution(56, 56, 256, 256, kernel)),
        "Simonyan & Zisserman 2014, section 2.3",
    )


def shortcuts() -> Idea:
    """ResNet-34 against plain-34: adding is free, only the projections cost."""
    return Idea(
        "Residual shortcuts",
        "The same 34 layers with shortcuts and without: an identity costs nothing, only the three projections have "
        "parameters.",
        _network("resnet34"),
        _network("plain34"),
        "He et al. 2015, Table 1 and section 3.3",
    )


def shortcut_option(option: str) -> Idea:
    """Shortcut option B or C against A, which has no parameters, on ResNet-20."""
    where = {"B": "where the size changes", "C": "at every block"}[option]
    return Idea(
        f"Shortcut option {option}",
        f"ResNet-20 with shortcuts projected {where}, against padding with zeros (option A), which costs nothing.",
        _network(f"resnet20:shortcut={option}"),
        _network("resnet20:shortcut=A"),
        "He et al. 2015, sections 4.1 and 4.2, Table 3",
    )


def full_twin(name: str) -> Cost:
    """Cost of network `name` with one full convolution and batch norm for each depthwise and pointwise pair of it."""
    whole = trace(name)
    parameters, macs = whole.parameters, whole.macs
    convolutions = [layer for layer in whole.layers if layer.kind == "Conv2d"]
    for depthwise, pointwise in pairwise(convolutions):
        if depthwise.window is None or depthwise.window.groups == 1:
            continue
        channels, (filters, height, width) = depthwise.output[0], pointwise.output
        weights = filters * prod(depthwise.window.kernel) * channels
        parameters += weights - depthwise.weights - pointwise.weights - 2 * channels
        macs += height * width * weights - depthwise.macs - pointwise.macs
    return Cost(parameters, macs)


def _stack(what: str, *convolutions: Convolution) -> Side:
    """Convolutions in a row, each with biases."""
    total = Cost(sum(c.parameters for c in convolutions), sum(c.macs for c in convolutions))
    if len(convolutions) == 1:
        return Side(what, total, convolutions[0].formula["macs"])
    return Side(what, total, f"{' + '.join(f'{c.macs:,}' for c in convolutions)} = {total.macs:,}")


def _branches(what: str, module: nn.Module, shape: tuple[int, ...]) -> Side:
    """A module of branches that all read an input of `shape`."""
    parts = [module_cost(branch, shape).macs for branch in module.children()]
    total = module_cost(module, shape)
    return Side(what, total, f"{' + '.join(f'{part:,}' for part in parts)} = {total.macs:,}")


def _network(name: str, style: str = STYLES[0]) -> Side:
    total = cost(name, style)
    return Side(f"{name}, paper style" if style == "paper" else name, total, f"all layers: {total.macs:,}")
