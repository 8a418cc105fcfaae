"""What an image installs: the libraries of a run-time install, at the versions that are installed here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LAMBDA = ("mangum>=0.19", "awslambdaric>=3")  # what answers events instead of requests
IMAGE = {
    "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
}  # fmt: skip


def pinned(*more: str) -> list[str]:
    """The requirements of Sightline, and `more`, with all that they require on Linux: "name==version", sorted.

    What is not installed here, as it is for Linux alone, stays as it was asked for.
    """
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in more] + list(_required("sightline", ""))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in done:
                continue
            done.add((name, extra))
            try:
                found[name] = f"{name}=={metadata.version(name)}"
                waiting += _required(name, extra)
            except metadata.PackageNotFoundError:
                found[name] = f"{name}{requirement.specifier}"
    return [found[name] for name in sorted(found)]


def _required(name: str, extra: str) -> Iterator[Requirement]:
    """What an installed distribution requires in the image, with one of its extras or without."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({**IMAGE, "extra": extra}):
            yield requirement
