"""What an image holds of a Run: the Bundle, and of an Index what the service reads, with a small picture of each row.

The pictures themselves stay where they are. So does the Index's own copy of the network, but for its card: the service
embeds with the Bundle beside it, which is the same.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sightline.bundle import CARD, Bundle
from sightline.core.artifact import write_json
from sightline.core.errors import UserError
from sightline.core.progress import Progress
from sightline.core.threads import in_threads
from sightline.search.index import BUNDLE, DOCUMENT, Index
from sightline.search.thumbnails import FOLDER, small_picture, thumbnail_of


def copy_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the files that the Bundle's card names, and the card, into `folder`, which is made."""
    folder.mkdir()
    for name in (CARD, *bundle.card["files"]):
        shutil.copyfile(bundle.path / name, folder / name)


def copy_index(index: Index, folder: Path, progress: Progress) -> int:
    """Write what the service reads of the Index into `folder`, which is made; how many rows' pictures are not there."""
    place = folder / index.place.name
    shutil.copytree(index.place, place, ignore=shutil.ignore_patterns(BUNDLE), copy_function=shutil.copyfile)
    (place / BUNDLE).mkdir()
    shutil.copyfile(index.place / BUNDLE / CARD, place / BUNDLE / CARD)
    write_json(folder / DOCUMENT, {**index.document, "root": ""})  # where the pictures lie here is nobody's business
    Index.open(folder)
    (folder / FOLDER).mkdir()
    rows = range(len(index))
    missing = 0
    with progress.task("small pictures", len(rows)) as advance:
        for row, jpeg in zip(rows, in_threads(lambda row: _small(index, row), rows), strict=True):
            if jpeg is None:
                missing += 1
            else:
                thumbnail_of(folder, row).write_bytes(jpeg)
            advance()
    return missing


def _small(index: Index, row: int) -> bytes | None:
    """The small picture of a row; None where it is not to be had."""
    try:
        return small_picture(index, row)
    except UserError:
        return None
