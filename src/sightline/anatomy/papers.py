"""The figures the papers and the course's notes state, ours beside them, and a sentence wherever they disagree.

Ours are counted when the table is made; `sightline.anatomy.layer` says what a MAC is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sightline.anatomy import differences
from sightline.anatomy.arithmetic import Convolution, Slide
from sightline.anatomy.cost import build, cost, parameters
from sightline.anatomy.trace import trace
from sightline.models import architecture
from sightline.models.efficientnet import SqueezeExcitation
from sightline.models.googlenet import INCEPTIONS

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
CONVENTION = "MACs count convolutions and linear layers only; the papers call them FLOPs, which are twice as many."
COURSE = "the course's arithmetic"
COURSE_NOTES = "the course's notes"
RESNET = "He et al. 2015, Table 1"
GOOGLENET = "Szegedy et al. 2014"
# Exact counts of torchvision's own networks: parameters, and MACs at the size of its weights.
EXACT = {
    "alexnet": (61_100_840, 714_188_480),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
    "googlenet": (13_004_888, 1_498_376_192),
    "mobilenet_v2": (3_504_872, 300_774_272),
    "efficientnet_b0": (5_288_548, 385_814_752),
    "efficientnet_b1": (7_794_184, 686_802_832),
    "efficientnet_b2": (9_109_994, 1_087_529_456),
    "efficientnet_b3": (12_233_232, 1_827_141_392),
    "efficientnet_b4": (19_341_616, 4_393_771_024),
    "efficientnet_b5": (30_389_784, 10_266_384_752),
    "efficientnet_b6": (43_040_704, 19_067_593_536),
    "efficientnet_b7": (66_347_960, 37_745_884_192),
}


@dataclass(frozen=True)
class Row:
    """One figure of one network: as the paper and the notes state it, as it exactly is, as we count it.

    `difference` says why they differ, `remark` what else there is to know, also where they agree.
    """

    network: str
    figure: str
    ours: float | None
    paper: str | None
    source: str
    exact: int | None = None
    notes: str | None = None
    difference: str | None = None
    remark: str | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether ours is the exact figure and rounds to what paper and notes say; None where nothing is comparable."""
        if self.ours is None:
            return None
        verdicts = [rounds_to(self.ours, text) for text in (self.paper, self.notes) if text]
        if self.exact is not None:
            verdicts.append(self.ours == self.exact)
        return all(verdicts) if verdicts else None

    def document(self) -> dict[str, Any]:
        """The row as JSON; the difference only where there is one."""
        return {
            "network": self.network,
            "figure": self.figure,
            "paper": self.paper,
            "source": self.source,
            "notes_say": self.notes,
            "exact": self.exact,
            "ours": self.ours,
            "agrees": self.agrees,
            "difference": None if self.agrees else self.difference,
            "remark": self.remark,
        }


def table() -> dict[str, Any]:
    """The document of all rows."""
    rows = [
        *_arithmetic(), *_classics(), *_googlenet(), *_resnets(), *_cifar(), *_mobile(), *_efficientnets(), *_rule(),
        *_look_alikes(),
    ]  # fmt: skip
    return {"kind": "papers", "convention": CONVENTION, "rows": [row.document() for row in rows]}


def rounds_to(value: float, text: str) -> bool:
    """Whether `value`, rounded as `text` is, is what it says: 3,857,973,248 is no "3.8 G", it is "3.9 G"."""
    stated = re.fullmatch(r"([\d,]+)(?:\.(\d+))? ?([kMG]?)", text)
    assert stated, text
    digits, fraction, unit = stated[1].replace(",", ""), stated[2] or "", stated[3]
    return f"{value / UNITS[unit]:.{len(fraction)}f}" == (f"{digits}.{fraction}" if fraction else digits)


def _arithmetic() -> Iterator[Row]:
    five, squeeze = Convolution(28, 28, 192, 32, 5), Convolution(28, 28, 192, 16, 1)
    after = Convolution(28, 28, 16, 32, 5)
    full = Convolution(6, 6, 3, 5, 3, padding="valid")
    depthwise, pointwise = Convolution(6, 6, 3, 3, 3, padding="valid", groups=3), Convolution(4, 4, 3, 5, 1)
    narrow, middle = Convolution(48, 48, 256, 64, 1), Convolution(48, 48, 64, 64, 3)
    wide, big = Convolution(48, 48, 64, 256, 1), Convolution(48, 48, 256, 256, 3)
    _, one, _, three, _, branch, pool = INCEPTIONS["inception3a"]
    separable = depthwise.macs + pointwise.macs
    for network, figure, ours, stated in (
        ("3x3 pool, stride 1, no padding", "output of 28", Slide(3, padding="valid").output(28), 26),
        ("5x5, 32 filters, on 28x28x192", "MACs", five.macs, 120_422_400),
        ("1x1, 16 filters, on 28x28x192", "MACs", squeeze.macs, 2_408_448),
        ("5x5, 32 filters, on 28x28x16", "MACs", after.macs, 10_035_200),
        ("1x1 reduction, then 5x5", "MACs", squeeze.macs + after.macs, 12_443_648),
        ("inception 3a", f"channels out, {one} + {three} + {branch} + {pool}", one + three + branch + pool, 256),
        ("3x3, 5 filters, on 6x6x3, valid", "MACs", full.macs, 2_160),
        ("depthwise 3x3 on 6x6x3", "MACs", depthwise.macs, 432),
        ("1x1, 5 filters, on 4x4x3", "MACs", pointwise.macs, 240),
        ("depthwise separable on 6x6x3", "MACs", separable, 672),
        ("bottleneck on 48x48x256", "channels inside", narrow.output[2], 64),
    ):
        yield Row(network, figure, ours, f"{stated:,}", COURSE, stated)
    fewer = five.macs / (squeeze.macs + after.macs)
    yield Row("1x1 reduction, then 5x5", "times fewer MACs", fewer, "10", COURSE)
    yield Row("depthwise separable on 6x6x3", "MACs, of the full convolution's", separable / full.macs, "0.311", COURSE)
    law = 1 / full.filters + 1 / full.kernel**2
    yield Row("depthwise separable on 6x6x3", "1/filters + 1/kernel² = 1/5 + 1/9", law, "0.311", COURSE)
    yield Row("bottleneck on 48x48x256", "MACs", narrow.macs + middle.macs + wide.macs, None, COURSE)
    yield Row("two 3x3 on 48x48x256", "MACs", 2 * big.macs, None, COURSE)


def _classics() -> Iterator[Row]:
    alexnet, vgg = "Krizhevsky et al. 2012", "Simonyan & Zisserman 2014"
    yield _parameters("alexnet", "60 M", f"{alexnet}, abstract", differences.alexnet())
    for figure, notes in (("top-1 %", "63.3"), ("top-5 %", "84.6")):
        yield Row("alexnet", figure, None, notes, f"{alexnet}, Table 2", None, notes, differences.accuracy("alexnet"))
    for name, size, macs, top1, top5 in (
        ("vgg16", "138 M", "15.3 G", "74.4", "91.9"),
        ("vgg19", "144 M", "19.6 G", "74.5", "92.0"),
    ):
        yield _parameters(name, size, f"{vgg}, Table 2")
        yield _macs(name, macs, "He et al. 2015, section 4.1", differences.vgg(name))
        for figure, notes in (("top-1 %", top1), ("top-5 %", top5)):
            yield Row(name, figure, None, notes, f"{vgg}, Table 3", None, notes, differences.accuracy(name))


def _googlenet() -> Iterator[Row]:
    without = cost("googlenet:aux=no").parameters
    paper = cost("googlenet:aux=no", "paper")
    public = trace("googlenet")
    pools = [layer for layer in public.layers if layer.kind in ("MaxPool2d", "AvgPool") and not layer.block]
    yield Row(
        "googlenet", "parameters, with both auxiliary heads", cost("googlenet").parameters, None, GOOGLENET,
        EXACT["googlenet"][0], "11.2 M", differences.notes_googlenet(),
    )  # fmt: skip
    yield Row(
        "googlenet", "parameters, without auxiliary heads", without, "5 M",
        "Szegedy et al. 2015 (Rethinking the Inception Architecture), section 1", 6_624_904, None,
        differences.five_million(),
    )  # fmt: skip
    yield Row(
        "googlenet", "parameters, paper style, without auxiliary heads", paper.parameters, "6.8 M",
        f"{GOOGLENET}, sum of Table 1", None, None, differences.googlenet_table(),
    )  # fmt: skip
    yield Row(
        "googlenet", "times fewer parameters than AlexNet", cost("alexnet", "paper").parameters / paper.parameters,
        "12", f"{GOOGLENET}, section 1", None, None, differences.twelve_times(),
    )  # fmt: skip
    yield replace(_macs("googlenet", "1.5 G", f"{GOOGLENET}, section 1"), remark=differences.googlenet_kernels())
    yield Row(
        "googlenet", "MACs, paper style", paper.macs, "1.5 G", f"{GOOGLENET}, section 1", None, None,
        differences.googlenet_macs(),
    )  # fmt: skip
    layers = public.total()["layers"]
    yield Row("googlenet", "layers with parameters", layers, "22", f"{GOOGLENET}, section 5", 22)
    yield Row("googlenet", "layers with pooling", layers + len(pools), "27", f"{GOOGLENET}, section 5", 27)
    for figure, notes in (("top-1 %", "74.8"), ("top-5 %", "92.2")):
        yield Row("googlenet", figure, None, None, GOOGLENET, None, notes, differences.accuracy("googlenet"))


def _resnets() -> Iterator[Row]:
    for layers, macs in ((18, "1.8 G"), (34, "3.6 G"), (50, "3.8 G"), (101, "7.6 G"), (152, "11.3 G")):
        name = f"resnet{layers}"
        yield _parameters(name, None, RESNET)
        yield _macs(name, macs, RESNET, differences.resnet(name))
        if layers >= 50:
            ours = cost(name, "paper").macs
            yield Row(name, "MACs, paper style", ours, macs, RESNET, None, None, differences.cut(ours))
    for name, twin, macs in (("plain18", "resnet18", "1.8 G"), ("plain34", "resnet34", "3.6 G")):
        # Three 1x1 projections with batch norm, 64 to 128 to 256 to 512 channels
        projections = sum(a * b + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
        yield Row(name, "parameters", cost(name).parameters, None, RESNET, EXACT[twin][0] - projections)
        yield Row(name, "MACs", cost(name).macs, macs, RESNET)
    for name, error in (("plain18", "27.94"), ("plain34", "28.54")):
        yield Row(name, "top-1 error %", None, error, "He et al. 2015, Table 2", None, None, differences.TRAINED)
    ensemble = "The error of six networks averaged, at several sizes and fully convolutional: measured, not counted."
    yield Row("resnet, ensemble", "top-5 error %", None, "3.57", "He et al. 2015, Table 5", None, "3.57", ensemble)


def _cifar() -> Iterator[Row]:
    for layers, size, error in (
        (20, "0.27 M", "8.75"), (32, "0.46 M", "7.51"), (44, "0.66 M", "7.17"), (56, "0.85 M", "6.97"),
        (110, "1.7 M", "6.43"), (1202, "19.4 M", "7.93"),
    ):  # fmt: skip
        name, source = f"resnet{layers}", "He et al. 2015, Table 6"
        yield Row(name, "parameters", parameters(build(name)), size, source)
        yield Row(name, "CIFAR-10 test error %", None, error, source, None, None, differences.TRAINED)
    for name, figure, error in (
        ("plain56", "CIFAR-10 training and test error", "above plain20's"),
        ("plain110", "CIFAR-10 test error %", "above 60"),
    ):
        yield Row(name, figure, None, error, "He et al. 2015, Figure 6", None, None, differences.TRAINED)
    for name, top1 in (("resnet50", "95.62"), ("googlenet", "95.35"), ("mobilenet_v2", "93.69")):
        source = f"a public recipe of 70 epochs, in {COURSE_NOTES}"
        yield Row(name, "CIFAR-10 top-1 %", None, None, source, None, top1, differences.TRAINED)


def _mobile() -> Iterator[Row]:
    one, two = "Howard et al. 2017, Table 4", "Sandler et al. 2018, Table 4"
    yield Row("mobilenet_v1", "parameters", cost("mobilenet_v1").parameters, "4.2 M", one)
    yield Row("mobilenet_v1", "MACs", cost("mobilenet_v1").macs, "569 M", one)
    yield _parameters("mobilenet_v2", "3.4 M", two, differences.mobilenet_v2_parameters())
    yield _macs("mobilenet_v2", "300 M", two, differences.mobilenet_v2_macs())


def _efficientnets() -> Iterator[Row]:
    source = "Tan & Le 2019, Table 2"
    for n, (size, macs) in enumerate((
        ("5.3 M", "0.39 G"), ("7.8 M", "0.70 G"), ("9.2 M", "1.0 G"), ("12 M", "1.8 G"), ("19 M", "4.2 G"),
        ("30 M", "9.9 G"), ("43 M", "19 G"), ("66 M", "37 G"),
    )):  # fmt: skip
        name = f"efficientnet_b{n}"
        yield _parameters(name, size, source, differences.efficientnet_parameters(n))
        yield _macs(name, macs, source, differences.efficientnet_macs(n, macs))


def _rule() -> Iterator[Row]:
    """Compound scaling: what a step of phi does to B0, as the seventh root of what seven steps do."""
    figures = (
        ("times the blocks (depth)", "1.2", "4"),
        ("times the channels (width)", "1.1", "4"),
        ("times the picture's side (resolution)", "1.15", "4"),
        ("times the MACs", "2", "3.3"),
    )
    for (figure, stated, section), before, after in zip(figures, _scaled(0), _scaled(7), strict=True):
        ours = (after / before) ** (1 / 7)
        yield Row("efficientnet, each step of phi", figure, ours, stated, f"Tan & Le 2019, section {section}")


def _scaled(phi: int) -> tuple[int, int, int, int]:
    """Blocks, channels before the linear layer, the picture's side and MACs of EfficientNet at `phi`."""
    name = f"efficientnet:phi={phi}"
    network = build(name)
    blocks = sum(isinstance(module, SqueezeExcitation) for module in network.modules())
    return blocks, network.head.in_features, architecture(name).size, cost(name).macs


def _look_alikes() -> Iterator[Row]:
    """The notes' look-alike search over photos."""
    what, why = "look-alikes of 8,677 Caltech-101 pictures", differences.SEARCHED
    yield Row(what, "resnet50's features, minutes", None, None, COURSE_NOTES, None, "16.58", why)
    for dims, accuracy, seconds in (
        (1, "15.43", "5.9"), (2, "26.15", "6.2"), (3, "32.4", "7.3"), (4, "40.07", "6.6"), (5, "45.93", "6.8"),
        (10, "63.93", "14.8"), (20, "77.81", "13.2"), (50, "85.21", "23.6"), (75, "86.38", "40.4"),
        (100, "86.91", "37.9"), (150, "87.03", "51.9"), (200, "87.05", "63.8"),
    ):  # fmt: skip
        yield Row(what, f"PCA to {dims}, 5 neighbours, accuracy %", None, None, COURSE_NOTES, None, accuracy, why)
        yield Row(what, f"PCA to {dims}, 5 neighbours, seconds", None, None, COURSE_NOTES, None, seconds, why)
    yield Row(what, "PCA to 150, Annoy of 40 trees, filled in seconds", None, None, COURSE_NOTES, None, "0.35", why)
    yield Row(what, "PCA to 150, Annoy of 40 trees, µs a query", None, None, COURSE_NOTES, None, "19.9", why)


def _parameters(name: str, paper: str | None, source: str, difference: str | None = None) -> Row:
    return Row(name, "parameters", cost(name).parameters, paper, source, EXACT[name][0], None, difference)


def _macs(name: str, paper: str, source: str, difference: str | None = None) -> Row:
    return Row(name, "MACs", cost(name).macs, paper, source, EXACT[name][1], None, difference)
