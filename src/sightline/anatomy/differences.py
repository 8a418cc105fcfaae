"""Why a figure of ours is not the paper's or the notes': one sentence each, its numbers counted, not remembered."""

from __future__ import annotations

from torch import nn

from sightline.anatomy.arithmetic import Convolution
from sightline.anatomy.cost import build, cost, parameters
from sightline.anatomy.published import NOTES, ROWS
from sightline.anatomy.trace import trace
from sightline.models.googlenet import GoogLeNet

TRAINED = "Errors and accuracies are measured after training, not counted."
SEARCHED = "Accuracy and time of a search are measured on pictures, not counted."

# Inception v2: Ioffe & Szegedy, "Batch Normalization" (2015), Figure 5; 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double
# 3x3, pool projection. Where there is neither 1x1 nor projection, the pool passes all channels on. None stands for the
# projections of 4c and 4d: the 576 channels behind them want 96, the well-known ports have 128.
INCEPTION_V2: tuple[tuple[int, int, int, int, int, int | None], ...] = (
    (64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64), (0, 128, 160, 64, 96, 0),
    (224, 64, 96, 96, 128, 128), (192, 96, 128, 96, 128, 128), (160, 128, 160, 128, 160, None),
    (96, 128, 192, 160, 192, None), (0, 128, 192, 192, 256, 0),
    (352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128),
)  # fmt: skip


def inception_v2_parameters(projection: int) -> int:
    """Parameters of Inception v2 with pool projections of `projection` channels in 4c and 4d.

    Convolutions without biases, batch norms' scales and shifts, the linear layer.
    """
    convolutions, channels = [(3, 64, 7), (64, 64, 1), (64, 192, 3)], 192
    for one, three_in, three, double_in, double, projected in INCEPTION_V2:
        pool = projection if projected is None else projected
        convolutions += [(channels, three_in, 1), (three_in, three, 3)]
        convolutions += [(channels, double_in, 1), (double_in, double, 3), (double, double, 3)]
        convolutions += [(channels, alone, 1) for alone in (one, pool) if alone]
        channels = one + three + double + (pool or channels)
    return sum(a * b * kernel**2 + 2 * b for a, b, kernel in convolutions) + 1000 * (channels + 1)


def accuracy(name: str) -> str:
    """Where the notes' accuracy of network `name` is from, and what its public weights reach with one centre crop."""
    public = next(row for row in ROWS if row.network == name)
    return (
        f"Measured, not counted. The notes' figure is {NOTES[name].what}; the public weights reach top-1 "
        f"{public.top1:.1f}, top-5 {public.top5:.1f} with one centre crop of {public.size} pixels."
    )


def alexnet() -> str:
    """60 M."""
    return (
        "60 M is a round figure. The public weights have the later layout on one device (64 to 384 filters, no groups: "
        f"{cost('alexnet').parameters:,}); the paper's two halves have {cost('alexnet', 'paper').parameters:,}."
    )


def vgg(name: str) -> str:
    """15.3 G of VGG-16, which leaves the linear layers out; 19.6 G of VGG-19, which does not."""
    linear = sum(m.weight.numel() for m in build(name).modules() if isinstance(m, nn.Linear))
    return f"15.3 G is what the convolutions alone do: {cost(name).macs - linear:,}; the linear layers add {linear:,}."


def notes_googlenet() -> str:
    """The notes' 11.2 M."""
    network = build("googlenet")
    assert isinstance(network, GoogLeNet)
    without = cost("googlenet:aux=no").parameters
    first, second = (without + parameters(head) for head in (network.aux1, network.aux2))
    return (
        f"11.2 M is no count of GoogLeNet: public weights {without:,} without auxiliary heads, {first:,} or "
        f"{second:,} with one, {cost('googlenet').parameters:,} with both; paper style "
        f"{cost('googlenet:aux=no', 'paper').parameters:,} and {cost('googlenet', 'paper').parameters:,}; naive "
        f"{cost('googlenet_naive:aux=no', 'paper').parameters:,}. Inception v2 (Ioffe & Szegedy 2015, Figure 5) has "
        f"{inception_v2_parameters(96):,} where 4c and 4d put out 576 channels and {inception_v2_parameters(128):,} in "
        "ports with wider pool projections there; the notes' 74.8 and 92.2 % are that network's too."
    )


def five_million() -> str:
    """GoogLeNet's 5 M."""
    linear = parameters(build("googlenet").head)
    without = cost("googlenet:aux=no").parameters
    return (
        "5 M is a later estimate that the network's own Table 1 (6.8 M) exceeds; without the last linear layer "
        f"({linear:,}) the public weights' layout would have {without - linear:,}."
    )


def googlenet_table() -> str:
    """Table 1's sum of 6.8 M."""
    network = build("googlenet:aux=no", "paper")
    assert isinstance(network, GoogLeNet)
    module, linear = parameters(network.inception4c), network.head.weight.numel()
    return (
        f"Table 1's column sums to 6,797.7 K. Its K is 1,024 (the last layer's {linear:,} weights are its 1000 K), "
        f"which makes {6797.7 * 1024:,.0f}; the rest is in rows that do not follow from their own channels (inception "
        f"4c: {module / 1024:.0f} K, in the table 463 K)."
    )


def twelve_times() -> str:
    """12 times fewer parameters than AlexNet."""
    public = cost("alexnet").parameters / cost("googlenet:aux=no").parameters
    return f"12 is 60 M over 5 M, both estimates; the layouts of the public weights give {public:.1f}."


def googlenet_kernels() -> str:
    """1.5 G of the public weights' layout, which agrees."""
    paper = cost("googlenet:aux=no", "paper").macs
    return f"The public weights have 3x3 kernels where the paper has 5x5; with the paper's own it is {paper:,}."


def googlenet_macs() -> str:
    """1.5 G of paper style."""
    first = Convolution(224, 224, 3, 64, 7, stride=2, padding=3)
    height, width, _ = first.output
    fewer = 2 * 7 * 3 * 64
    return (
        f"Table 1 has 34 M, and 2.7 K weights, for the first 7x7 convolution, which does {first.macs:,} with "
        f"{first.weights:,}; its figures are those of 2 x 7 x 3 x 64 = {fewer:,} weights ({height * width * fewer:,}). "
        f"With its 34 M the sum is {(cost('googlenet:aux=no', 'paper').macs - first.macs) / 1e9 + 0.034:.2f} G."
    )


def resnet(name: str) -> str:
    """MACs of the public weights' layout against the paper's."""
    if name == "resnet34":
        without = cost("resnet34:shortcut=A").macs
        return f"3.6 G is the network with option A, which the paper compares with plain-34: {without:,}."
    return (
        "The public weights are v1.5: a bottleneck strides in its 3x3, not in its first 1x1 as in the paper (v1), "
        f"which does {cost(name, 'paper').macs:,}."
    )


def cut(macs: int) -> str:
    """A figure cut after its digit instead of rounded."""
    return f"{macs / 1e9:.3f} G, cut after one digit instead of rounded, is the paper's figure."


def mobilenet_v2_parameters() -> str:
    """3.4 M."""
    network = build("mobilenet_v2")
    norms = sum(parameters(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    return f"Without batch norm it is {parameters(network) - norms:,}, of which 3.4 M is cut, not rounded."


def mobilenet_v2_macs() -> str:
    """300 M."""
    macs, linear = cost("mobilenet_v2").macs, build("mobilenet_v2").head.weight.numel()
    return f"300 M is a round figure: {macs:,} with the linear layer, {macs - linear:,} without."


def efficientnet_parameters(n: int) -> str | None:
    """B2's 9.2 M; the others agree."""
    if n != 2:
        return None
    with_statistics = [_with_statistics(f"efficientnet_b{m}") for m in (2, 1)]
    return (
        f"9.2 M is B2 with the running statistics of its batch norms ({with_statistics[0]:,}), which are not trained; "
        f"B1's 7.8 M is without (with them it has {with_statistics[1]:,})."
    )


def efficientnet_macs(n: int, paper: str) -> str:
    """MACs at the picture size of the public weights, or of the paper."""
    name = f"efficientnet_b{n}"
    if n == 2:
        at = cost(name, "paper", 260).macs
        return f"The public weights are evaluated at 288 pixels; at the paper's 260 it is {at:,}, the paper's 1.0 G."
    whole = trace(name)
    share = whole.macs / 1e9 / float(paper.split()[0]) - 1
    gates = sum(x.macs for x in whole.layers if x.kind == "Conv2d" and x.output[1:] == (1, 1))
    linear = sum(x.macs for x in whole.layers if x.kind == "Linear")
    same = cost(name, "paper").macs
    return (
        f"{abs(share) * 100:.1f} % {'above' if share > 0 else 'below'} the paper's, unexplained: at the paper's own "
        f"picture size squeeze-and-excitation has only {gates:,} of the {whole.macs:,}, the linear layer {linear:,}, "
        f"and with SAME padding it is {same:,}."
    )


def _with_statistics(name: str) -> int:
    """Parameters of network `name` with the running mean and variance of its batch norms."""
    network = build(name)
    return parameters(network) + sum(2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
