"""The Bundle: a network ready to be used, with all it takes to use it right and to notice when something is wrong.

A directory: `bundle.json` (the card: what it is, class names, Preprocess, metrics, checksums of the files and of
itself), `model.onnx` (what runs), `model.safetensors` (what training goes on from), `golden.npz` (pictures and the
logits the trained network gave for them), and of a training `experience.npz` (by which it may say "unknown"). Opening
verifies every checksum and runs the golden pictures again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.arrays import archived
from sightline.core.artifact import directory, read_json, write_bytes, write_json
from sightline.core.errors import UserError, named
from sightline.core.hashing import sha256_bytes, sha256_file
from sightline.core.threads import in_threads
from sightline.data.pictures import MAX_PIXELS, PictureError, open_picture
from sightline.data.preprocess import Preprocess
from sightline.experience import Experience, Rule
from sightline.runtime import Outputs, Session

FORMAT = 1
CARD, GRAPH, WEIGHTS, GOLDEN = "bundle.json", "model.onnx", "model.safetensors", "golden.npz"
EXPERIENCE = "experience.npz"
GOLDEN_IMAGES = 8  # at most; opening runs them
MAX_DIFFERENCE = 1e-3
AGAIN = "get the bundle again, or make it again by training"

Picture = str | Path | bytes


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network says of one picture, or why it could not be read; arrays not asked for are empty."""

    name: str
    logits: np.ndarray | None = None
    embedding: np.ndarray | None = None
    feature_map: np.ndarray | None = None
    error: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one picture with their probabilities in [0, 1], best first; or the error.

    `unknown` says why they are no answer, "unsure" or "unlike", where a Rule says so.
    """

    name: str
    classes: tuple[tuple[str, float], ...]
    error: str | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Bundle:
    """An opened, verified Bundle; `card` is the whole of bundle.json."""

    path: Path
    arch: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    card: dict[str, Any]
    session: Session

    @classmethod
    def open(cls, path: str | Path, *, threads: int | None = None) -> Bundle:
        """The Bundle at `path`, every checksum verified and the golden pictures run again.

        UserError that names the file when one is missing or differs, or when this machine's answers differ.
        """
        path = Path(path)
        card = read_card(path)
        for name in dict.fromkeys((GRAPH, WEIGHTS, GOLDEN, *card["files"])):
            _verify(path / name, card["files"].get(name))
        bundle = cls(
            path=path,
            arch=card["arch"],
            classes=tuple(card["classes"]),
            preprocess=Preprocess.from_dict(card["preprocess"]),
            card=card,
            session=Session(path / GRAPH, threads),
        )
        images, logits = read_golden(path / GOLDEN)
        difference = disagreement(bundle.run(images).logits, logits)
        if difference:
            raise UserError(
                f"{named(path / GRAPH)} does not answer here as it did when it was made ({difference}): "
                "install the onnxruntime version named in its bundle.json, or make the bundle again"
            )
        return bundle

    @property
    def model_hash(self) -> str:
        """The SHA-256 of model.onnx: two Bundles of one hash answer alike."""
        return str(self.card["files"][GRAPH])

    @cached_property
    def experience(self) -> Experience:
        """What it was seen to know; UserError when it was not trained, or without validation pictures."""
        if EXPERIENCE not in self.card["files"]:
            raise UserError(
                f"{named(self.path)} cannot say what it does not know: that takes a network trained with validation "
                "pictures"
            )
        return Experience.open(self.path / EXPERIENCE)

    def run(self, images: np.ndarray) -> Outputs:
        """The network's outputs for preprocessed uint8 `images` [N, S, S, channels]."""
        return self.session.run(images)

    def stream(
        self, pictures: Iterable[Picture], *, batch_size: int = 32, workers: int | None = None,
        only: Sequence[str] = ("logits", "embedding"),
    ) -> Iterator[Answer]:  # fmt: skip
        """One Answer a picture, in order, in bounded memory; a picture that cannot be read becomes an error.

        Pictures are read in `workers` threads (the processor quota when None) while the graph runs.
        """
        with closing(in_threads(self._decode, enumerate(pictures), workers, ahead=batch_size)) as decoded:
            while batch := list(islice(decoded, batch_size)):
                yield from self._answer(batch, only)

    def predict(self, pictures: Iterable[Picture], *, top: int = 5, rule: Rule | None = None) -> Iterator[Prediction]:
        """The `top` likeliest classes of each picture, in order; `rule`, from `experience`, may call them unknown."""
        for answer in self.stream(pictures, only=("logits", "embedding") if rule else ("logits",)):
            if answer.logits is None:
                yield Prediction(answer.name, (), answer.error)
                continue
            probabilities, unknown = softmax(answer.logits), None
            if rule and answer.embedding is not None:
                (distance,) = self.experience.distances(answer.embedding[None])
                unknown = rule.unknown(float(probabilities.max()), float(distance))
            best = np.argsort(-probabilities, kind="stable")[:top]
            classes = tuple((self.classes[i], float(probabilities[i])) for i in best)
            yield Prediction(answer.name, classes, unknown=unknown)

    def pixels(self, picture: Picture, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """What enters the graph of a picture, uint8 [S, S, channels].

        PictureError when it cannot be read, or has more than `max_pixels`.
        """
        try:
            return self.preprocess(open_picture(picture, max_pixels))
        except (PictureError, MemoryError):  # the second is no fault of the picture's
            raise
        except Exception as error:  # whatever a decoder does to one file, the others go on
            raise PictureError(named(f"not readable ({type(error).__name__}: {error})")) from None

    def _decode(self, numbered: tuple[int, Picture]) -> tuple[str, np.ndarray | None, str | None]:
        """Name, pixels and error of one picture; one of the last two is None."""
        number, picture = numbered
        name = f"picture {number + 1}" if isinstance(picture, bytes) else str(picture)
        try:
            return name, self.pixels(picture), None
        except PictureError as error:
            return name, None, error.reason
        except MemoryError:
            return name, None, "not readable (not enough memory)"

    def _answer(self, batch: list[tuple[str, np.ndarray | None, str | None]], only: Sequence[str]) -> Iterator[Answer]:
        """The graph's answers for those of a batch that were read, errors for the others."""
        pixels = [image for _, image, _ in batch if image is not None]
        outputs = self.session.run(np.stack(pixels), only=only)._asdict() if pixels else {}
        row = 0
        for name, image, error in batch:
            if image is None:
                yield Answer(name, error=error)
                continue
            yield Answer(name, **{output: outputs[output][row] for output in only})
            row += 1


def write_bundle(
    out: Path, card: dict[str, Any], *, graph: bytes, weights: bytes, golden_images: np.ndarray,
    golden_logits: np.ndarray, experience: Experience | None = None, replace: bool = False,
) -> None:  # fmt: skip
    """Write a Bundle directory, whole or not at all.

    `card` holds arch, style, stem, classes, preprocess and so on; format and checksums are added here.
    `golden_images` uint8 [n, S, S, channels] and `golden_logits` float32 [n, classes]: the first 8 are kept.
    """
    golden = io.BytesIO()
    np.savez(golden, images=golden_images[:GOLDEN_IMAGES], logits=golden_logits[:GOLDEN_IMAGES])
    files = {GRAPH: graph, WEIGHTS: weights, GOLDEN: golden.getvalue()}
    if experience:
        files[EXPERIENCE] = experience.to_bytes()
    whole = {"format": FORMAT, **card, "files": {name: sha256_bytes(data) for name, data in files.items()}}
    with directory(out, replace=replace) as temporary:
        for name, data in files.items():
            write_bytes(temporary / name, data)
        write_json(temporary / CARD, {**whole, "sha256": _checksum(whole)})


def allowed(expected: np.ndarray) -> float:
    """How far logits may lie from those `expected`: 1e-3, and float32's own grain, 1e-5 of the largest."""
    return MAX_DIFFERENCE + 1e-5 * float(np.abs(expected).max(initial=0))


def disagreement(logits: np.ndarray, expected: np.ndarray) -> str:
    """How `logits` [N, C] differ from `expected`, or "" when they agree.

    They agree within what is `allowed`, with the same first class.
    """
    if logits.shape != expected.shape:
        return f"shape {logits.shape}, not {expected.shape}"
    difference = float(np.abs(logits - expected).max(initial=0))
    if not difference <= allowed(expected):  # also when not a number
        return f"logits differ by {difference:.2g}, allowed is {MAX_DIFFERENCE:g}"
    # Where two classes tie within the difference, either may come first.
    chosen = np.take_along_axis(expected, logits.argmax(1)[:, None], axis=1)[:, 0]
    changed = int((expected.max(1) - chosen > 2 * difference).sum())
    return f"{changed} of {len(logits)} pictures get another class" if changed else ""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def model_hash(path: Path) -> str:
    """`Bundle.model_hash` of the Bundle at `path`, which is not opened; UserError when there is none."""
    return str(read_card(path)["files"][GRAPH])


def read_card(path: Path) -> dict[str, Any]:
    """bundle.json, its own checksum verified."""
    card = read_json(path / CARD, "bundle")
    if card.get("format") != FORMAT:
        raise UserError(f"{named(path / CARD)} has format {card.get('format')!r}, this version reads {FORMAT}: {AGAIN}")
    if card.pop("sha256", None) != _checksum(card):
        raise UserError(f"damaged bundle: {named(path / CARD)} does not match its own checksum; {AGAIN}")
    return card


def _checksum(card: dict[str, Any]) -> str:
    """The SHA-256 of the card's content, however it is spaced."""
    return sha256_bytes(json.dumps(card, sort_keys=True).encode())


def _verify(file: Path, expected: str | None) -> None:
    try:
        found = sha256_file(file)
    except OSError:
        raise UserError(f"damaged bundle: {named(file)} is missing or unreadable; {AGAIN}") from None
    if found != expected:
        raise UserError(f"damaged bundle: {named(file)} does not match its checksum; {AGAIN}")


def read_golden(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The golden pictures uint8 [n, S, S, channels] in a Bundle's golden.npz, and their logits [n, C]."""
    try:
        images, logits = archived(file, "images", "logits")
    except ValueError:
        raise UserError(f"damaged bundle: {named(file)} does not hold golden pictures; {AGAIN}") from None
    return images, logits
