"""Datasets by name: `digits` ships with scikit-learn; `mnist`, `fashion-mnist` and `cifar10` come from their addresses.

What is downloaded is checked against its published MD5 and kept under $SIGHTLINE_CACHE (or ~/.cache/sightline);
files put there by hand serve as well.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.download import cache_folder, download
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.data.binary import Arrays


@dataclass(frozen=True)
class Builtin:
    """Where a dataset's files are: the folder's address, and each file's MD5, of its bytes or of what gzip holds."""

    address: str
    files: dict[str, str]
    classes: tuple[str, ...] = ()
    unpacked: bool = False  # the MD5s are those of the unpacked files


BUILTINS: dict[str, Builtin | None] = {
    "digits": None,
    "mnist": Builtin(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte.gz": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
        },
        unpacked=True,
    ),
    "fashion-mnist": Builtin(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": Builtin(
        "https://www.cs.toronto.edu/~kriz/", {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}
    ),
}


def digits() -> Arrays:
    """1,797 handwritten digits of 8 x 8 pixels (UCI, from scikit-learn), grey 0..16 brought to 0..255, no split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return Arrays(images, bunch.target.astype(np.int64), np.full(len(images), ""), tuple("0123456789"))


def fetch(name: str, progress: Progress = SILENT) -> Path:
    """The folder with the files of the built-in `name`, each there and checked; downloads what is missing."""
    builtin = BUILTINS[name]
    assert builtin is not None
    folder = cache_folder() / name
    for file, md5 in builtin.files.items():
        path = folder / file
        if not path.is_file():
            try:
                download(builtin.address + file, path, progress=progress)
            except UserError as error:
                raise UserError(f"{error}; or put {file} from {builtin.address} into {named(folder)}") from None
        if _md5(path, builtin.unpacked) != md5:
            raise UserError(f"{named(path)} is not the published file (MD5 differs): remove it and run again")
    return folder


def _md5(path: Path, unpacked: bool) -> str:
    try:
        with gzip.open(path) if unpacked else path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
