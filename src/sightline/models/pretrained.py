"""Where weights come from: torchvision's public ImageNet files by network name, or a file and what is said beside it.

Public files are those of torchvision's first ImageNet weights (IMAGENET1K_V1) with the pictures' size and resampling
they were measured with. Each has the first eight digits of its SHA-256 in its name, and is checked against them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from sightline.core.download import cache_folder, download
from sightline.core.errors import UserError, closest, named
from sightline.core.hashing import sha256_file
from sightline.core.progress import SILENT, Progress
from sightline.models import STYLES, architecture, create
from sightline.models.blank import blank
from sightline.models.description import Description, Preprocessing, read_description
from sightline.models.weights import ADVICE, KeyReport, compare, misfit, read_weights

ADDRESS = "https://download.pytorch.org/models/"
IMAGENET = "imagenet"  # what asks for the public file
CENTRE = Preprocessing(resize=256, crop=224)
# These were ported from TensorFlow; torchvision's own GoogLeNet undoes the ImageNet normalisation first.
UNIT = Preprocessing(resize=256, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3)


def _bicubic(resize: int, crop: int) -> Preprocessing:
    return Preprocessing(resize=resize, crop=crop, interpolation="bicubic")


PUBLIC: dict[str, tuple[str, Preprocessing]] = {
    "alexnet": ("alexnet-owt-7be5be79.pth", CENTRE),
    "vgg11": ("vgg11-8a719046.pth", CENTRE),
    "vgg11_bn": ("vgg11_bn-6002323d.pth", CENTRE),
    "vgg13": ("vgg13-19584684.pth", CENTRE),
    "vgg13_bn": ("vgg13_bn-abd245e5.pth", CENTRE),
    "vgg16": ("vgg16-397923af.pth", CENTRE),
    "vgg16_bn": ("vgg16_bn-6c64b313.pth", CENTRE),
    "vgg19": ("vgg19-dcbb9e9d.pth", CENTRE),
    "vgg19_bn": ("vgg19_bn-c79401a0.pth", CENTRE),
    "googlenet": ("googlenet-1378be20.pth", UNIT),
    "resnet18": ("resnet18-f37072fd.pth", CENTRE),
    "resnet34": ("resnet34-b627a593.pth", CENTRE),
    "resnet50": ("resnet50-0676ba61.pth", CENTRE),
    "resnet101": ("resnet101-63fe2227.pth", CENTRE),
    "resnet152": ("resnet152-394f9c45.pth", CENTRE),
    "mobilenet_v2": ("mobilenet_v2-b0353104.pth", CENTRE),
    "efficientnet_b0": ("efficientnet_b0_rwightman-7f5810bc.pth", _bicubic(256, 224)),
    "efficientnet_b1": ("efficientnet_b1_rwightman-bac287d4.pth", _bicubic(256, 240)),
    "efficientnet_b2": ("efficientnet_b2_rwightman-c35c1473.pth", _bicubic(288, 288)),
    "efficientnet_b3": ("efficientnet_b3_rwightman-b3899882.pth", _bicubic(320, 300)),
    "efficientnet_b4": ("efficientnet_b4_rwightman-23ab8bcd.pth", _bicubic(384, 380)),
    "efficientnet_b5": ("efficientnet_b5_lukemelas-1a07897c.pth", _bicubic(456, 456)),
    "efficientnet_b6": ("efficientnet_b6_lukemelas-24a108a5.pth", _bicubic(528, 528)),
    "efficientnet_b7": ("efficientnet_b7_lukemelas-c5b4e57e.pth", _bicubic(600, 600)),
}


@dataclass(frozen=True)
class Weights:
    """A weights file, the network it is for, and what is known of it.

    `source` is what finds the file again: "imagenet", or its path.
    """

    source: str
    path: Path
    sha256: str
    arch: str
    description: Description

    @property
    def preprocess(self) -> dict[str, Any]:
        """The fields of a `data.Preprocess`: as described, else the network's own size and all else by default."""
        described = self.description.preprocess
        return described.fields() if described else {"size": architecture(self.arch).size}

    @property
    def provenance(self) -> dict[str, Any]:
        """What a Run or a Bundle tells of the file, to be joined by what became of its keys.

        `arch` and `style` are those it was made for, None where nothing says it.
        """
        made_for = {"arch": self.description.network, "style": self.description.style}
        return {"file": self.path.name, "sha256": self.sha256, **made_for}

    def choose(self, style: str | None, stem: str | None) -> tuple[str, str]:
        """Style and stem: as asked for, else as described, else torchvision's and the network's own."""
        known = self.description
        return style or known.style or STYLES[0], stem or known.stem or architecture(self.arch).stems[0]

    def check(self, *, num_classes: int, in_channels: int, style: str, stem: str) -> KeyReport:
        """What loading into that network will do, found without building it in memory.

        UserError when the file does not fit; where another style or stem of the same network fits, it says which.
        """
        tensors = read_weights(self.path)

        def against(style: str, stem: str) -> KeyReport:
            with blank():
                model = create(self.arch, num_classes=num_classes, in_channels=in_channels, style=style, stem=stem)
            return compare(model, tensors)

        report = against(style, stem)
        if not report.fits:
            others = product(STYLES, architecture(self.arch).stems)
            fitting = next((other for other in others if other != (style, stem) and against(*other).fits), None)
            raise misfit(self.path, report, _try(fitting, (style, stem)) if fitting else ADVICE)
        told = self.description.classes
        if told not in (None, report.classes):
            raise UserError(
                f"{named(self.path)} has {report.classes} classes, and {named(_neighbour(self.path).name)} beside it "
                f"says {told}: correct it"
            )
        return report


def _try(fitting: tuple[str, str], given: tuple[str, str]) -> str:
    pairs = zip(("--style", "--stem"), fitting, given, strict=True)
    return "they fit with " + " ".join(f"{flag} {found}" for flag, found, asked in pairs if found != asked)


def find_weights(
    source: str | Path, arch: str | None = None, *, style: str | None = None, stem: str | None = None,
    progress: Progress = SILENT,
) -> Weights:  # fmt: skip
    """The weights that `source` means: "imagenet" for the public file of the network `arch`, or a path.

    Nothing is downloaded that `style` and `stem`, where given, rule out. What is known of a file is said in the .json
    of its name beside it, or follows from its being a public one. UserError when there are none, when the network stays
    unknown, and when a public file is not what its name says.
    """
    path = locate(source, arch, style=style, stem=stem, progress=progress)
    neighbour, public = _neighbour(path), _by_file(path.name)
    description = read_description(neighbour) if neighbour.is_file() else public or Description()
    arch = description.fitted(arch) if arch else description.network
    if arch is None:
        raise UserError(
            f"{named(path)} does not say which network it is for: name it with --arch, or describe it in "
            f"{named(neighbour.name)} beside it"
        )
    architecture(arch)
    sha256 = sha256_file(path)
    if public and not sha256.startswith(_digits(path.name)):
        raise UserError(f"{named(path)} is not the published file, its SHA-256 differs: remove it and get it again")
    return Weights(str(source) if source == IMAGENET else str(path), path, sha256, arch, description)


def locate(
    source: str | Path, arch: str | None, *, style: str | None = None, stem: str | None = None,
    progress: Progress = SILENT,
) -> Path:  # fmt: skip
    """The file that `source` means, downloaded into the cache if it is a public one that is not there."""
    path = place(source, arch, style=style, stem=stem)
    if source == IMAGENET and not path.is_file():
        try:
            download(ADDRESS + path.name, path, sha256=_digits(path.name), progress=progress)
        except UserError as error:
            raise UserError(
                f"{error}; or put {path.name} from {ADDRESS} into {named(path.parent)}, or give its path as --weights"
            ) from None
    return path


def place(source: str | Path, arch: str | None, *, style: str | None = None, stem: str | None = None) -> Path:
    """The path of the file that `source` means; a public one may still have to be downloaded.

    UserError when there is no such file, or no public one that fits the network in that style and with that stem.
    """
    if source == IMAGENET:
        return cache_folder() / "weights" / _public_file(arch, style, stem)
    path = Path(os.path.abspath(source))
    if not path.is_file():
        near = closest(str(source), [IMAGENET])
        raise UserError(f"no weights file at {named(source)}{near or ': give a file, or imagenet for the public ones'}")
    return path


def _public_file(arch: str | None, style: str | None, stem: str | None) -> str:
    """The name of the file with the public weights of the network, whose shapes they must have."""
    if arch is None:
        raise UserError(f"say whose public weights: name the network with --arch, one of {', '.join(PUBLIC)}")
    architecture(arch)
    base = arch.partition(":")[0]
    if base not in PUBLIC:
        raise UserError(f"{base} has no public ImageNet weights: there are some for {', '.join(PUBLIC)}")
    with blank():
        asked = create(arch, num_classes=1, style=style or STYLES[0], stem=stem)
        public = create(base, num_classes=1)
    if not compare(asked, public.state_dict()).fits:
        raise UserError(
            f"the public ImageNet weights of {base} do not fit {named(arch)} as asked for: leave its options, --style "
            "and --stem out"
        )
    return PUBLIC[base][0]


def _by_file(name: str) -> Description | None:
    """What is known of a public file, wherever it lies."""
    for arch, (file, preprocess) in PUBLIC.items():
        if file == name:
            return Description(arch=arch, style="torchvision", classes=1000, preprocess=preprocess)
    return None


def _digits(name: str) -> str:
    """The digits of the SHA-256 in a public file's name."""
    return Path(name).stem.rpartition("-")[2]


def _neighbour(path: Path) -> Path:
    return path.with_suffix(".json")
