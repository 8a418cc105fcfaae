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
DEPTH = 200


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


def find_layout(root: Path, name: str | Path) -> Layout:
    """The layout of the tree under `root`, called `name` in the UserError when no classes can be told apart in it."""
    tree = _read(root)
    paths = sorted(tree.everything(), key=os.fsencode)
    if not paths:
        raise UserError(f"{named(name)} is empty: give a folder that holds one folder of pictures a class")
    if not tree.pictures:
        raise UserError(f"{named(name)} holds no picture among its {len(paths)} files")
    places = _places(tree)
    classes = tuple(sorted({safe(label) for label, _, _ in places}))
    if len(classes) < 2:
        found = f'only one class, "{named(classes[0])}"' if classes else "its pictures in no class folder"
        raise UserError(f"{named(name)} has {found}: give one folder of pictures a class, two or more")
    number = {label: index for index, label in enumerate(classes)}
    owner = {path: (number[safe(label)], split) for label, split, f in places for path in _owned(f)}
    found_at = [owner.get(path, (-1, "")) for path in paths]
    strays = {row: _stray(path) for row, path in enumerate(paths) if path not in owner}
    return Layout(paths, classes, [label for label, _ in found_at], [split for _, split in found_at], strays)


def walk(root: Path) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Every folder at and under `root`, above before below, as its relative path and its entries sorted by name.

    Links to folders are followed; a folder reached twice is read once. UserError when one cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            stat = os.stat(os.path.join(root, here))
            entries = sorted(os.scandir(os.path.join(root, here)), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise UserError(f"cannot read {named(os.path.join(root, here))}: {error.strerror}") from None
        if (stat.st_dev, stat.st_ino) in seen:
            continue
        if here.count(os.sep) > DEPTH:
            raise UserError(f"folders in {named(root)} are nested more than {DEPTH} deep: flatten them")
        seen.add((stat.st_dev, stat.st_ino))
        yield here, entries
        waiting += [os.path.join(here, entry.name) for entry in reversed(entries) if is_folder(entry)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link that leads in a circle is a file that cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def safe(name: str) -> str:
    r"""`name` as Unicode text: bytes of a file name that are no UTF-8 become \xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def ignored(name: str) -> bool:
    """Whether a folder of this name never holds a class."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


def _read(root: Path) -> _Folder:
    """The tree under `root`."""
    tree = {"": _Folder()}
    for here, entries in walk(root):
        folder = tree.get(here)
        hidden = folder is None  # below a folder that holds no classes
        above = tree[_nearest(here, tree)] if folder is None else folder
        for entry in entries:
            path = os.path.join(here, entry.name)
            if is_folder(entry):
                if not hidden and not ignored(entry.name):
                    tree[path] = above.folders[entry.name] = _Folder()
                continue
            (above.ignored if hidden else above.files).append(path)
            above.pictures += not hidden and _may_be_picture(entry)
    for here in sorted(tree, key=lambda path: -path.count(os.sep)):
        if here:
            tree[os.path.dirname(here)].pictures += tree[here].pictures
    return tree[""]


def _nearest(path: str, tree: dict[str, _Folder]) -> str:
    while path not in tree:
        path = os.path.dirname(path)
    return path


def _may_be_picture(entry: os.DirEntry[str]) -> bool:
    """By its suffix, or else by its first bytes."""
    if entry.name.startswith("._"):
        return False
    try:
        if not entry.is_file():
            return False
        if os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            return True
        with open(entry.path, "rb") as file:
            return looks_like_picture(file.read(32))
    except OSError:
        return False


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


def _owned(folder: _Folder) -> Iterator[str]:
    """The files of a class folder: all but those in hidden folders."""
    yield from folder.files
    for inside in folder.folders.values():
        yield from _owned(inside)


def _stray(path: str) -> str:
    """Why a file outside the class folders is left out."""
    hidden = next((part for part in Path(path).parts[:-1] if ignored(part)), None)
    return f"in the system folder {safe(hidden)}" if hidden else "in no class folder"
