"""Published ImageNet accuracies of the zoo's networks, beside parameters and multiply-adds counted here.

Top-1 and top-5 in percent of the 50,000 validation pictures, one crop, one network. Copied from timm's
results-imagenet.csv (Apache-2.0): the weights of torchvision's first recipe (tv_in1k) where it lists them, the paper's
recipe (AutoAugment, aa_in1k) for EfficientNet. It has no AlexNet and no GoogLeNet: theirs are from torchvision's
documentation of the public weights. The MobileNets' are from their papers, which state top-1 alone: timm's are of far
longer trainings (MobileNet v1 for 3,600 epochs reaches 75.4 %) and would set recipes, not networks, side by side.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sightline.anatomy.trace import trace

TIMM = "timm, results-imagenet.csv"
TORCHVISION = "torchvision's documentation"
HOWARD, SANDLER = "Howard et al. 2017, Table 6", "Sandler et al. 2018, Table 4"


@dataclass(frozen=True)
class Published:
    """What was published of one network: `row` names it at its source, `size` is the side of its input in pixels."""

    network: str
    row: str
    size: int
    top1: float
    top5: float | None
    source: str = TIMM


@dataclass(frozen=True)
class Noted:
    """What the course's notes say of a network, and what that figure is."""

    top1: float
    top5: float
    what: str


ROWS = (
    Published("alexnet", "AlexNet_Weights.IMAGENET1K_V1", 224, 56.522, 79.066, TORCHVISION),
    Published("vgg11", "vgg11.tv_in1k", 224, 69.050, 88.630),
    Published("vgg13", "vgg13.tv_in1k", 224, 69.950, 89.262),
    Published("vgg16", "vgg16.tv_in1k", 224, 71.594, 90.398),
    Published("vgg19", "vgg19.tv_in1k", 224, 72.400, 90.878),
    Published("vgg11_bn", "vgg11_bn.tv_in1k", 224, 70.374, 89.802),
    Published("vgg13_bn", "vgg13_bn.tv_in1k", 224, 71.560, 90.372),
    Published("vgg16_bn", "vgg16_bn.tv_in1k", 224, 73.354, 91.490),
    Published("vgg19_bn", "vgg19_bn.tv_in1k", 224, 74.230, 91.848),
    Published("googlenet", "GoogLeNet_Weights.IMAGENET1K_V1", 224, 69.778, 89.530, TORCHVISION),
    Published("resnet18", "resnet18.tv_in1k", 224, 69.752, 89.082),
    Published("resnet34", "resnet34.tv_in1k", 224, 73.298, 91.422),
    Published("resnet50", "resnet50.tv_in1k", 224, 76.156, 92.866),
    Published("resnet101", "resnet101.tv_in1k", 224, 77.404, 93.552),
    Published("resnet152", "resnet152.tv_in1k", 224, 78.330, 94.046),
    Published("mobilenet_v1:width=0.25", "0.25 MobileNet-224", 224, 50.6, None, HOWARD),
    Published("mobilenet_v1:width=0.5", "0.5 MobileNet-224", 224, 63.7, None, HOWARD),
    Published("mobilenet_v1:width=0.75", "0.75 MobileNet-224", 224, 68.4, None, HOWARD),
    Published("mobilenet_v1", "1.0 MobileNet-224", 224, 70.6, None, HOWARD),
    Published("mobilenet_v2", "MobileNetV2", 224, 72.0, None, SANDLER),
    Published("mobilenet_v2:width=1.4", "MobileNetV2 (1.4)", 224, 74.7, None, SANDLER),
    Published("efficientnet_b0", "tf_efficientnet_b0.aa_in1k", 224, 76.882, 93.270),
    Published("efficientnet_b1", "tf_efficientnet_b1.aa_in1k", 240, 78.840, 94.202),
    Published("efficientnet_b2", "tf_efficientnet_b2.aa_in1k", 260, 80.074, 94.906),
    Published("efficientnet_b3", "tf_efficientnet_b3.aa_in1k", 300, 81.648, 95.724),
    Published("efficientnet_b4", "tf_efficientnet_b4.aa_in1k", 380, 83.040, 96.298),
    Published("efficientnet_b5", "tf_efficientnet_b5.aa_in1k", 456, 83.696, 96.712),
    Published("efficientnet_b6", "tf_efficientnet_b6.aa_in1k", 528, 84.124, 96.890),
    Published("efficientnet_b7", "tf_efficientnet_b7.aa_in1k", 600, 84.424, 96.908),
)
NOTES = {
    "alexnet": Noted(63.3, 84.6, "of seven networks averaged (Krizhevsky et al. 2012, Table 2)"),
    "vgg16": Noted(74.4, 91.9, "at side 384, trained at 256 to 512 (Simonyan & Zisserman 2014, Table 3)"),
    "vgg19": Noted(74.5, 92.0, "at side 384, trained at 256 to 512 (Simonyan & Zisserman 2014, Table 3)"),
    "googlenet": Noted(74.8, 92.2, "Inception v2's single crop (Ioffe & Szegedy 2015, Figure 4), not GoogLeNet's"),
}


def table() -> dict[str, Any]:
    """The document of all rows: accuracies as published, parameters (without auxiliary heads) and MACs counted here.

    `notes` says what the course's notes have for the network, and how that was measured; None where they say nothing.
    """
    return {"kind": "published", "rows": [_row(published) for published in ROWS]}


def _row(published: Published) -> dict[str, Any]:
    noted = NOTES.get(published.network)
    total = trace(published.network, size=published.size).total()
    return {
        **asdict(published),
        "parameters": total["parameters_without_auxiliary"],
        "macs": total["macs"],
        "notes": asdict(noted) if noted else None,
    }
