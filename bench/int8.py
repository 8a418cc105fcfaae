"""8-bit integers against float32: equal first classes, cosine of the embeddings, size and speed.

    python bench/int8.py SMALL WEIGHTS PHOTOS [--json out.json]

SMALL are CIFAR-10's pictures, on which a ResNet-20 is trained for a minute; WEIGHTS a MobileNet v2's for ImageNet,
PHOTOS of its classes, half of them to calibrate. What is measured is on pictures that calibrated nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from figures import Figure, parser, tell

import sightline
from sightline.bundle import Bundle


def measured(name: str, bundle: Bundle) -> tuple[list[Figure], dict[str, Any]]:
    """The figures of a Bundle in integers, and its parity."""
    parity = bundle.card["int8"]
    share, cosine, count = parity["agreement"], parity["cosine"], parity["pictures"]
    speed, size = (
        parity["images_per_s"] / parity["float_images_per_s"],
        parity["size_bytes"] / parity["float_size_bytes"],
    )
    figures = [
        Figure(f"{name}: same first class", f"{share:.1%} of {count}", "", share, ">= 0.99"),
        Figure(f"{name}: cosine of the embeddings", f"{cosine:.4f}", "", cosine, ">= 0.99"),
        Figure(f"{name}: bytes, integers / float32", f"{parity['size_bytes'] / 1e6:.2f} MB",
               f"{parity['float_size_bytes'] / 1e6:.2f} MB", size, "<= 1"),
        Figure(f"{name}: images/s, integers / float32", f"{parity['images_per_s']:.0f}/s",
               f"{parity['float_images_per_s']:.0f}/s", speed, ">= 1"),
    ]  # fmt: skip
    return figures, {"network": name, **parity}


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("small", help="CIFAR-10's pictures")
    arguments.add_argument("weights", type=Path, help="a MobileNet v2's weights for ImageNet")
    arguments.add_argument("photos", help="a folder or archive of photos of ImageNet's classes")
    options = arguments.parse_args()
    figures, parities = [], []
    with tempfile.TemporaryDirectory() as folder:
        small = sightline.prepare(options.small, Path(folder) / "small")
        run = sightline.train(small, "resnet20", recipe="fast", budget="60s", out=Path(folder) / "run")
        photos = sightline.prepare(options.photos, Path(folder) / "photos")
        public = sightline.export(options.weights, out=Path(folder) / "public")
        for name, source, data in (("resnet20", run, small), ("mobilenet_v2", public, photos)):
            found, parity = measured(name, sightline.quantise(source, data, force=True))
            figures += found
            parities.append(parity)
    told = ", ".join(f"{one['network']}: {len(one['kept'])} layers kept in float32 beside the last" for one in parities)
    tell("int8", "8-bit integers", figures, told, options.json, parities=parities)


if __name__ == "__main__":
    main()
