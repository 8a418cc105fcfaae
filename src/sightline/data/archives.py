"""Opening an archive safely: nothing outside its folder, no links or devices, limits on count, size and ratio.

What is counted is what is really written, not what the archive says of itself. An archive that breaks a rule is
refused as a whole; what was written so far lies in the caller's temporary directory, which vanishes with the error.
"""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sightline.core.errors import UserError, first_line, named
from sightline.core.progress import SILENT, Advance, Progress

BLOCK = 1 << 20
HEADER = 4 << 20  # bytes; a tar header is a name and a few words, whatever size it claims
# The last four: what zipfile and tarfile let through of headers whose numbers make no sense.
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
    ValueError, IndexError, OverflowError, MemoryError,
)  # fmt: skip
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: files, bytes in all, levels of folders, and bytes out per byte in.

    The ratio counts only once more than `free_bytes` were written: small files of one colour pack very well.
    """

    files: int = 5_000_000
    size_bytes: int = 512 << 30
    depth: int = 64
    ratio: int = 100
    free_bytes: int = 64 << 20


LIMITS = Limits()


@dataclass(frozen=True)
class _Member:
    """One file of an archive: its name as the archive has it, and its bytes to come."""

    name: str
    file: IO[bytes] | None  # None: a folder


def extract(archive: Path, target: Path, *, limits: Limits = LIMITS, progress: Progress = SILENT) -> None:
    """Write the files of a zip or tar (.gz, .xz, .bz2) under the existing empty directory `target`.

    Raises UserError when it is no such archive, is damaged or encrypted, or breaks one of the rules above.
    """
    if not archive.is_file():
        raise UserError(f"{named(archive)} is not there")
    try:
        with archive.open("rb") as file:
            zipped = file.read(4) in (b"PK\3\4", b"PK\5\6")
        with progress.task(f"Opening {named(archive.name)}", None, "files") as advance:
            _write(_zip(archive) if zipped else _tar(archive), archive, target, limits, advance)
    except BROKEN as error:
        raise UserError(f"{named(archive)} is damaged or no zip or tar archive: {first_line(error)}") from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # gzip and bz2 say so; a place before the file's beginning
            raise
        raise UserError(f"{named(archive)} is damaged: {first_line(error)}") from None
    except NotImplementedError as error:
        raise UserError(f"{named(archive)} is packed in a way we cannot read: {first_line(error)}") from None


def _write(members: Iterator[_Member], archive: Path, target: Path, limits: Limits, advance: Advance) -> None:
    packed = max(1, archive.stat().st_size)
    written = files = 0
    for member in members:
        place = target / _checked(member.name, archive, limits)
        files += 1
        if files > limits.files:
            raise UserError(
                f"{named(archive)} holds more than {limits.files:,} files: unpack it yourself if you trust it"
            )
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.file is None:
                place.mkdir(exist_ok=True)
                continue
            with place.open("xb") as out:
                while block := member.file.read(BLOCK):
                    written += len(block)
                    _check_size(written, packed, archive, limits)
                    out.write(block)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise UserError(f'{named(archive)} holds "{named(member.name)}" twice: pack it again') from None
        advance(1)


def _check_size(written: int, packed: int, archive: Path, limits: Limits) -> None:
    if written > limits.size_bytes or (written > limits.free_bytes and written > limits.ratio * packed):
        raise UserError(
            f"{named(archive)} unpacks to more than {written >> 20:,} MB from {packed:,} bytes: "
            "it looks like an archive bomb; unpack it yourself if you trust it"
        )


def _checked(name: str, archive: Path, limits: Limits) -> PurePosixPath:
    """`name` as a relative path that stays inside; UserError for any other."""
    path = PurePosixPath(name.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in name[1:2]
    if outside or "\0" in name:
        raise UserError(f'{named(archive)} would write outside its folder ("{named(name)}"): do not trust it')
    if len(path.parts) > limits.depth or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in path.parts):
        raise UserError(f'{named(archive)} holds a name too long or too deep ("{named(name[:80])}..."): pack it again')
    return path


def _zip(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _link(archive, info.filename)
            if info.flag_bits & 1:
                raise UserError(f"{named(archive)} is encrypted: unpack it yourself and give the folder")
            if info.is_dir():
                yield _Member(info.filename, None)
                continue
            with file.open(info) as content:
                yield _Member(info.filename, content)


def _tar(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as packed, _Tar.open(fileobj=packed, mode="r:*") as file:
        for info in file:
            if info.isdir():
                yield _Member(info.name, None)
            elif info.isreg():
                content = file.extractfile(info)
                assert content is not None
                yield _Member(info.name, content)
            else:
                raise _link(archive, info.name)
            file.members = []  # type: ignore[attr-defined]  # or a million members stay in memory


class _Tar(tarfile.TarFile):
    """Reads headers through `_Bounded`: a gigabyte of zeros packs into a header of a few megabytes."""

    def __init__(self, name: Any = None, mode: Any = "r", fileobj: Any = None, **options: Any) -> None:
        bounded: Any = _Bounded(fileobj)  # of a file's methods only those that reading asks for
        super().__init__(name, mode, bounded, **options)


class _Bounded:
    """An open file that refuses to read more than a header at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self.tell, self.seek, self.close, self._read = file.tell, file.seek, file.close, file.read

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end."""
        if count > HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self._read(count)


def _link(archive: Path, name: str) -> UserError:
    return UserError(f'{named(archive)} holds a link or device ("{named(name)}"): pack it again with plain files only')
