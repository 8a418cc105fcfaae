"""The service itself, whatever asks it: a Bundle, warm, with an Index of the same network where there is one.

Pictures are decoded in threads, as many as there are processors, and run in micro-batches; every answer comes from the
same graph, by the same Preprocess, as `sightline evaluate` measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from sightline.bundle import Bundle, softmax
from sightline.core.errors import UserError, first_line, named
from sightline.core.machine import cpu_quota
from sightline.data.pictures import HEIC, PictureError, upright_size
from sightline.explain.heat import Heat
from sightline.runtime import Outputs
from sightline.search.index import Index
from sightline.search.thumbnails import small_picture
from sightline.serve.batcher import Batcher
from sightline.serve.intake import Sent
from sightline.serve.limits import Limits, Refused, full, late
from sightline.serve.metrics import Metrics

Result = TypeVar("Result")

THUMBNAILS = 512  # small pictures of the index that are kept in memory
STATUS = {"not an image": 415, HEIC: 415, "too many pixels": 413, "file too large": 413}  # of what cannot be read; 422


@dataclass(frozen=True, eq=False)
class Seen:
    """What the graph said of one picture sent, or why it could not be read, with an HTTP `status` of its own."""

    name: str
    outputs: Outputs | None = None
    row: int = 0
    error: str | None = None
    status: int = 200

    def output(self, name: str) -> np.ndarray:
        """The picture's own part of an output."""
        return getattr(self.outputs, name)[self.row]


class Service:
    """Answers of `bundle`, of look-alikes in `index`; `running` while its block lasts."""

    def __init__(self, bundle: Bundle, index: Index | None = None, limits: Limits = Limits()) -> None:
        """Warm; UserError when the index was made by another network, or a full batch does not fit the memory."""
        if index:
            index.check_made_by(bundle)
        self.bundle, self.index, self.limits = bundle, index, limits
        self.heat = _heat(bundle)
        self.metrics = Metrics()
        self.batcher = Batcher(bundle.session, limits, self.metrics.ran)
        self.metrics.gauge(lambda: self.batcher.admitted)
        self.draining = False
        self._thumbnails = lru_cache(THUMBNAILS)(self._draw)
        self._decoders = ThreadPoolExecutor(cpu_quota(), thread_name_prefix="decode")
        self._warm()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ready to answer."""
        async with self.batcher:
            yield
        self._decoders.shutdown()

    def box(self, data: bytes) -> list[float]:
        """The part of the picture in `data` that the network sees: left, top, right, bottom, as shares of its sides."""
        width, height = upright_size(data)
        left, top, right, bottom = self.bundle.preprocess.kept(width, height)
        return [left / width, top / height, right / width, bottom / height]

    def _warm(self) -> None:
        """Run a batch of one and a full one, so that the first request finds the memory it needs."""
        shape, batch = self.bundle.session.input_shape, self.limits.batch
        self.bundle.run(np.zeros((1, *shape), np.uint8))
        try:
            self.bundle.run(np.zeros((batch, *shape), np.uint8))
        except Exception as error:  # ONNX Runtime's errors share no class
            raise UserError(
                f"{named(self.bundle.arch)} cannot answer {batch} pictures at once here ({first_line(error)[:200]}): "
                "give it more memory, or smaller batches (--max-batch)"
            ) from None

    @property
    def ready(self) -> bool:
        """Whether requests should come here: it is warm, and not about to end."""
        return self.batcher.alive and not self.draining

    async def see(self, sent: Sequence[Sent], only: Sequence[str], deadline: float) -> list[Seen]:
        """What the graph says of each picture; Refused when there is no room, no time, or none could be read."""
        with self.batcher.admit(len(sent)):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    each = [self._see(one, only) for one in sent]
                    answers = await asyncio.gather(*each, return_exceptions=True)  # all, so that none is left running
            except TimeoutError:
                raise late() from None
        seen = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            seen.append(answer)
        failed = [one for one in seen if one.error]
        self.metrics.pictures("answered", len(seen) - len(failed))
        self.metrics.pictures("unreadable", len(failed))
        if len(failed) == len(seen):
            first = failed[0]
            raise Refused(first.status, f"{first.name}: {first.error}")
        return seen

    async def _see(self, sent: Sent, only: Sequence[str]) -> Seen:
        began = time.monotonic()
        try:
            with self.batcher.coming():
                pixels = await asyncio.get_running_loop().run_in_executor(self._decoders, self._pixels, sent.data)
        except PictureError as error:
            return Seen(sent.name, error=error.reason, status=STATUS.get(error.reason, 422))
        except MemoryError:  # no fault of the picture's
            raise full() from None
        decoded = time.monotonic()
        self.metrics.stage("decode", decoded - began)
        outputs, row = await self.batcher.answer(pixels, only)
        self.metrics.stage("graph", time.monotonic() - decoded)
        return Seen(sent.name, outputs, row)

    async def aside(self, deadline: float, work: Callable[..., Result], *arguments: Any) -> Result:
        """`work` done where pictures are decoded, in a place of its own; Refused when there is no room, or no time."""
        with self.batcher.admit(1):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await asyncio.get_running_loop().run_in_executor(self._decoders, work, *arguments)
            except TimeoutError:
                raise late() from None

    def _pixels(self, data: bytes) -> np.ndarray:
        return self.bundle.pixels(data, self.limits.pixels)

    def classes(self, seen: Seen, top: int) -> list[dict[str, Any]]:
        """The `top` likeliest classes with their probabilities."""
        probabilities = softmax(seen.output("logits"))
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [{"name": self.bundle.classes[i], "probability": float(probabilities[i])} for i in best]

    def label(self, name: str | None, seen: Seen) -> int:
        """The number of the class of this name, the likeliest without one; Refused (422) when there is none."""
        if name is None:
            return int(seen.output("logits").argmax())
        if name not in self.bundle.classes:
            raise Refused(422, f'no class "{named(name)[:100]}": the model card names them')
        return self.bundle.classes.index(name)

    def probability(self, seen: Seen, label: int) -> float:
        """Of class number `label`."""
        return float(softmax(seen.output("logits"))[label])

    def explain(self, seen: Seen, label: int) -> np.ndarray:
        """What each place adds to the logit of class number `label`, float32 [h, w]."""
        assert self.heat
        return self.heat(seen.output("feature_map"), label)

    def look_alikes(self, seen: Sequence[Seen], k: int) -> list[dict[str, Any]]:
        """The `k` nearest pictures of the index to each one, as `answers.Similar`; Refused (422) when none has any."""
        said = [{"name": one.name, **({"error": one.error} if one.error else self._nearest(one, k))} for one in seen]
        if all("error" in one for one in said):
            raise Refused(422, f"{said[0]['name']}: {said[0]['error']}")
        return said

    def _nearest(self, seen: Seen, k: int) -> dict[str, Any]:
        """The nearest pictures, fewer than `k` where the index holds fewer; an error where nothing can be near."""
        assert self.index
        try:
            found = self.index.search(seen.output("embedding"), min(k, len(self.index)))
        except UserError:
            return {"error": "nothing looks alike: its embedding is zero and has no direction"}
        neighbours = [
            {"row": one.row, "name": os.path.basename(one.picture), "class": one.label, "split": one.split,
             "distance": one.distance, "picture": f"pictures/{one.row}"}
            for one in found
        ]  # fmt: skip
        return {"neighbours": neighbours}

    def thumbnail(self, row: int) -> bytes:
        """A small JPEG of a picture of the index; Refused (404) when there is no such row, or its file is gone."""
        assert self.index
        if not 0 <= row < len(self.index):
            raise Refused(404, f"the index has no row {row}: its rows are 0 to {len(self.index) - 1}")
        try:
            return self._thumbnails(row)
        except UserError:
            raise Refused(404, f"the picture of row {row} is not here") from None

    def _draw(self, row: int) -> bytes:
        assert self.index
        return small_picture(self.index, row, self.limits.pixels)

    @property
    def called(self) -> dict[str, str]:
        """Which network answers, as `answers.Model`."""
        return {"name": self.bundle.arch, "version": self.bundle.model_hash[:12]}

    def card(self) -> dict[str, Any]:
        """The model card, as `answers.Card`."""
        card, index = self.bundle.card, self.index
        figures = ("parameters", "macs", "embedding_dim", "style", "stem", "opset", "versions")
        return {
            "model": self.called,
            "arch": self.bundle.arch,
            "classes": list(self.bundle.classes),
            "trained_on": card.get("data"),
            "metrics": card.get("metrics", {}),
            "figures": {name: card.get(name) for name in figures},
            "preprocess": card["preprocess"],
            "limits": asdict(self.limits),
            "explains": self.heat is not None,
            "index": {"name": index.document["name"], "pictures": len(index)} if index else None,
        }


def _heat(bundle: Bundle) -> Heat | None:
    try:
        return Heat.of(bundle)
    except UserError:  # a network of another form: all else is served
        return None
