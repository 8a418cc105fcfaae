"""What a request brings: pictures as raw bytes, as files of a form, or in JSON as base64, within the limits.

Nothing here is ever fetched from an address that a request names, or written to a disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from sightline.core.errors import named
from sightline.serve.limits import Limits, Refused, full

RAW = ("application/octet-stream", "application/x-image", "binary/octet-stream", "")
FORM, JSON = "multipart/form-data", "application/json"
TOP = 5  # classes that are named unless another number is asked for
SOON_S = 0.02  # an answer that takes no longer is not worth watching whether its client is still there
NAME = 100  # characters of a file's name that are said again
T = TypeVar("T")
MISSING = 'send the bytes of a picture, files in a form, or JSON such as {"images": ["<base64>"]}'


@dataclass(frozen=True)
class Sent:
    """One picture of a request: the bytes of a file, and what to call it in the answer."""

    name: str
    data: bytes


class Room:
    """Bytes of requests that are held in memory, of all of them together; Refused (503) beyond the limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """What takes room for so many bytes more; all of them are given back when the block is left."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self._held + count > self._limits.held_bytes:
                raise full()
            self._held += count
            taken += count

        try:
            yield take
        finally:
            self._held -= taken


async def received(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """The whole body; Refused when it is too large (413) or takes too long to come (408)."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limits.body_bytes:
        raise too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.receive_s):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise too_large(limits)
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the request did not arrive within {limits.receive_s:g} seconds: send it faster") from None
    except ClientDisconnect:
        raise Refused(400, "the client left before its request was whole") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limits: Limits) -> Refused:
    """The body has more bytes than a request may have."""
    return Refused(413, f"larger than {limits.body_bytes:,} bytes: send smaller or fewer pictures")


async def while_there(request: Request, work: Awaitable[T]) -> T:
    """What `work` comes to; Refused (400), and it cancelled, if the client leaves. The body was received before."""
    asking = asyncio.current_task()
    assert asking
    left = False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = asking.cancel()

    watching: list[asyncio.Task[None]] = []
    begin = asyncio.get_running_loop().call_later(SOON_S, lambda: watching.append(asyncio.create_task(watch())))
    try:
        return await work
    except asyncio.CancelledError:
        if left and not asking.uncancel():
            raise Refused(400, "the client left before its answer") from None
        raise
    finally:
        begin.cancel()
        for task in watching:
            task.cancel()


async def pictures(request: Request, body: bytes, limits: Limits) -> list[Sent]:
    """The pictures in `body`, as its content type says; at least one.

    Refused when the type is none that is taken (415), there is none or too many (400, 413), or the form or JSON is
    broken (400).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        found = await _of_form(request, body, limits)
    elif kind == JSON:
        found = of_json(parsed(body), limits)
    elif kind in RAW or kind.startswith("image/"):
        found = [Sent("picture", body)] if body else []
    else:
        raise Refused(415, f'"{named(kind)[:NAME]}" is no type that is taken: {MISSING}')
    if not found:
        raise Refused(400, f"no picture in the request: {MISSING}")
    _check_count(len(found), limits)
    return found


async def _of_form(request: Request, body: bytes, limits: Limits) -> list[Sent]:
    """The files of a form, whatever its fields are called."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, whole(), max_files=limits.files, max_fields=16)
        parser.spool_max_size = limits.body_bytes  # in memory, where it is already
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        many = "Too many files" in str(error)
        raise Refused(413 if many else 400, f"the form cannot be read: {named(str(error))[:200]}") from None
    found = []
    for _, file in form.multi_items():
        if isinstance(file, UploadFile):
            found.append(Sent(named(file.filename or "picture")[:NAME], await file.read()))
            await file.close()  # one copy less in memory
    return found


def parsed(body: bytes) -> Any:
    """`body` as JSON; Refused (400) when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the request says it is JSON and is not") from None


def of_json(document: Any, limits: Limits) -> list[Sent]:
    """The pictures of {"images": [base64 or {"name", "data"}]} or {"image": base64}.

    Refused (400) for other JSON; (413) for too many.
    """
    if not isinstance(document, dict):
        raise Refused(400, f"JSON of another shape: {MISSING}")
    images = document.get("images", [document["image"]] if "image" in document else [])
    if not isinstance(images, list):
        raise Refused(400, f"JSON of another shape: {MISSING}")
    _check_count(len(images), limits)
    found = []
    for number, image in enumerate(images, 1):
        said = image if isinstance(image, dict) else {"data": image}
        name = said.get("name")
        called = named(name)[:NAME] if isinstance(name, str) else f"picture {number}"
        found.append(Sent(called, base64_of(said.get("data"), number)))
    return found


def of_instances(document: Any, limits: Limits) -> tuple[list[Sent], int]:
    """The pictures of {"instances": [{"b64": base64}, ...]}, and how many classes "parameters" ask for.

    Refused (400) for another shape, or none; (413) for too many.
    """
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list) or not instances:
        raise Refused(400, 'JSON of another shape: send {"instances": [{"b64": "<base64>"}]}')
    _check_count(len(instances), limits)
    sent = []
    for number, instance in enumerate(instances, 1):
        inner = instance.get("image_bytes", instance) if isinstance(instance, dict) else instance
        text = inner.get("b64") if isinstance(inner, dict) else inner
        sent.append(Sent(f"picture {number}", base64_of(text, number)))
    parameters = document.get("parameters")
    top = parameters.get("top", TOP) if isinstance(parameters, dict) else TOP
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise Refused(400, "parameters.top is a number of classes, at least 1")
    return sent, top


def _check_count(count: int, limits: Limits) -> None:
    """Refused (413) when a request brings too many pictures."""
    if count > limits.files:
        raise Refused(413, f"{count} pictures: send up to {limits.files} at a time")


def base64_of(text: Any, number: int) -> bytes:
    """The bytes of picture `number`, of base64 or a data address of it; Refused (400) when it is neither."""
    if isinstance(text, str):
        inner = text.partition(",")[2] if text.startswith("data:") else text
        try:
            return base64.b64decode("".join(inner.split()), validate=True)  # many encoders break lines
        except (binascii.Error, ValueError):
            pass
    raise Refused(400, f"picture {number} is not base64: {MISSING}")
