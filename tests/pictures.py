"""Real pictures for tests: crops of the two photographs scikit-learn ships, and the messy archives people have."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

SIDE = 64


def crops(name: str, count: int) -> list[Image.Image]:
    """Up to 60 squares of 64 pixels that do not overlap, from "china.jpg" (a temple) or "flower.jpg"."""
    photo = load_sample_image(name)
    places = [(y, x) for y in range(0, photo.shape[0] - SIDE, SIDE) for x in range(0, photo.shape[1] - SIDE, SIDE)]
    chosen = np.random.default_rng(0).permutation(len(places))[:count]
    return [Image.fromarray(photo[y : y + SIDE, x : x + SIDE]) for y, x in (places[i] for i in chosen)]


def jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def write_folder(root: Path, count: int = 20) -> Path:
    """A clean class folder of two classes, `count` pictures each."""
    for name in ("china", "flower"):
        (root / name).mkdir(parents=True)
        for number, picture in enumerate(crops(f"{name}.jpg", count)):
            (root / name / f"{number:02}.jpg").write_bytes(jpeg(picture))
    return root


def write_messy_zip(path: Path, count: int = 40) -> Path:
    """The course's case: PetImages.zip, deep root, 0 KB jpgs, strays, a truncated file, a copy, odd names."""
    with zipfile.ZipFile(path, "w") as archive:
        for folder, name in (("Cat", "china.jpg"), ("Dog", "flower.jpg")):
            files = [jpeg(picture) for picture in crops(name, count)]
            for number, data in enumerate(files):
                archive.writestr(f"kaggle/PetImages/{folder}/{number}.jpg", data)
            archive.writestr(f"kaggle/PetImages/{folder}/empty.jpg", b"")
            archive.writestr(f"kaggle/PetImages/{folder}/Thumbs.db", b"\xd0\xcf\x11\xe0 not a picture")
            archive.writestr(f"kaggle/PetImages/{folder}/half a füle\n.jpg", files[0][: len(files[0]) // 2])
            archive.writestr(f"kaggle/PetImages/{folder}/copy of 1.jpg", files[1])
        archive.writestr("kaggle/PetImages/leftover.tar", b"ustar")
    return path
