"""Where the classes and splits of a tree of pictures are, and every file in it.

The root may lie any number of single folders deep. Below it are class folders, or a `train` folder beside
`val|valid|validation|test` with class folders in each. A file belongs to the class of the class folder it lies in,
at any depth below it. Hidden folders, `__MACOSX` and the like hold no classes, but their files are listed too: every
file gets a verdict. A folder with no picture in it is not a class, unless it is quite empty: that is a mistake worth
telling.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sightline.core.errors import UserError, named
from sightline.data.pictures import SUFFIXES, looks_like_picture

SPLITS = ("train", "validation", "test")
SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Layout:
    """Every file under a folder, sorted by name: its path relative to the folder, its class and its split.

    `labels` are -1 and `splits` "" where a file lies in no class folder; `strays` says why, by file number.
    """

    paths: list[str]
    classes: tuple[str, ...]
    labels: list[int]
    splits: list[str]
    strays: dict[int, str]


@dataclass
class _Folder:
    """A folder of the tree: its own files, its visible subfolders, and files in folders that hold no classes."""

    path: str
    files: list[str] = field(default_factory=list)
    folders: dict[str, _Folder] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    pictures: int = 0  # files that look like pictures, here and below

    def classes(self) -> dict[str, _Folder]:
        """Subfolders that hold a picture or nothing at all."""
        return {name: f for name, f in self.folders.items() if f.pictures or not any(f.everything())}

    def everything(self) -> Iterator[str]:
        """Every file here and below."""
        yield from self.files
        yield from self.ignored
        for folder in self.folders.values():
            yield from folder.everything()


def find_layout(root: Path) -> Layout:
    """The layout of the tree under `root`; UserError when no classes can be told apart in it."""
    tree = _read(root)
    everything = sorted(tree.everything(), key=os.fsencode)
    if not everything:
        raise UserError(f"{named(root)} is empty: give a folder that holds one folder of pictures a class")
    if not tree.pictures:
        raise UserError(f"{named(root)} holds no picture among its {len(everything)} files")
    places = _places(tree)
    classes = tuple(sorted({safe(name) for name, _, _ in places}))
    if len(classes) < 2:
        found = f'only one class, "{named(classes[0])}"' if classes else "pictures in no class folder"
        raise UserError(f"{named(root)} has {found}: at least two class folders are needed to tell classes apart")
    number = {name: index for index, name in enumerate(classes)}
    owner: dict[str, tuple[int, str]] = {}
    for name, split, folder in places:
        inside = (folder.files, *(f.everything() for f in folder.folders.values()))
        owner.update((path, (number[safe(name)], split)) for part in inside for path in part)
    found_places = [owner.get(path, (-1, "")) for path in everything]
    strays = {
        i: _stray(path) for i, (path, (label, _)) in enumerate(zip(everything, found_places, strict=True)) if label < 0
    }
    return Layout(everything, classes, [p[0] for p in found_places], [p[1] for p in found_places], strays)


def safe(name: str) -> str:
    r"""`name` as Unicode text: bytes of a file name that are no UTF-8 become \xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def ignored(name: str) -> bool:
    """Whether a folder of this name never holds a class."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


def looks_like_picture_file(path: Path) -> bool:
    """By its suffix, or else by its first bytes."""
    if path.name.startswith("._"):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return looks_like_picture(file.read(32))
    except OSError:
        return False


def _read(root: Path) -> _Folder:
    """The tree under `root`; folders reached twice through links are read once."""
    seen: set[tuple[int, int]] = set()

    def visit(path: str, hidden: bool) -> _Folder:
        folder = _Folder(path)
        stat = os.stat(root / path)
        if (stat.st_dev, stat.st_ino) in seen:
            return folder
        seen.add((stat.st_dev, stat.st_ino))
        for entry in sorted(os.scandir(root / path), key=lambda e: os.fsencode(e.name)):
            name = os.path.join(path, entry.name)
            if not entry.is_dir():
                folder.files.append(name)
                folder.pictures += not hidden and entry.is_file() and looks_like_picture_file(Path(entry.path))
            elif hidden or ignored(entry.name):
                folder.ignored.extend(visit(name, True).everything())
            else:
                folder.folders[entry.name] = visit(name, False)
        folder.pictures += sum(f.pictures for f in folder.folders.values())
        return folder

    return visit("", False)


def _places(folder: _Folder) -> list[tuple[str, str, _Folder]]:
    """(class, split or "", folder) for every class folder, found by going down while there is one way to go."""
    while True:
        splits = _splits(folder)
        if splits:
            return [(name, split, f) for split, part in splits for name, f in part.classes().items()]
        classes = folder.classes()
        only = next(iter(classes.values())) if len(classes) == 1 else None
        if only is None or not any(f.pictures for f in only.folders.values()):
            return [(name, "", f) for name, f in classes.items()]
        folder = only


def _splits(folder: _Folder) -> list[tuple[str, _Folder]]:
    """The split folders in `folder`, when it holds `train` with class folders and a held-out folder beside it.

    A `train` among other names may be the vehicle.
    """
    found = [(SPLIT_FOLDERS[name.lower()], f) for name, f in folder.folders.items() if name.lower() in SPLIT_FOLDERS]
    names = {split for split, _ in found}
    trains = [f for split, f in found if split == "train" and any(c.pictures for c in f.folders.values())]
    return found if trains and len(names) > 1 else []


def _stray(path: str) -> str:
    """Why a file outside the class folders is left out."""
    hidden = next((part for part in Path(path).parts[:-1] if ignored(part)), None)
    return f"in the system folder {hidden}" if hidden else "in no class folder"
