"""Fitting: from what run.json says to a network at its best, by steps of an optimizer or on kept embeddings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from sightline.core.artifact import read_json, write_json
from sightline.core.errors import UserError, named
from sightline.core.hashing import sha256_file
from sightline.core.machine import cpu_quota
from sightline.core.progress import Progress
from sightline.data.augment import Augment, in_full, written
from sightline.data.dataset import Dataset
from sightline.data.fitting import normalised, plain_preprocess
from sightline.data.loaders import Batch, Loader, PixelSource, Prepare, as_they_are
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import kept_graph, to_onnx
from sightline.models import Network, create
from sightline.models.layers import silence_branches
from sightline.models.pretrained import locate
from sightline.models.weights import load_weights
from sightline.run import Run
from sightline.runtime import Session
from sightline.training.checkpoint import State, load_checkpoint
from sightline.training.device import make_fabric
from sightline.training.frozen import BATCH, Frozen, Passes, embeddings, origin
from sightline.training.head import Aim, Embedded, Head, fit_head
from sightline.training.inputs import Normalise, share_of
from sightline.training.journal import Journal
from sightline.training.loop import LAST, Training
from sightline.training.range_test import range_test
from sightline.training.recipe import Recipe
from sightline.training.tuning import Rest, Thaw, begins_at, freeze, freeze_all_but_head, stages


@dataclass(frozen=True)
class Material:
    """What a training works with, gathered from `began` to `ready` (time.perf_counter); `network` is changed by it.

    `dataset` holds the training pictures the Run asks for, `pixels` and what is kept beside them all there are.
    """

    run: Run
    dataset: Dataset
    recipe: Recipe
    pixels: Pixels
    preprocess: Preprocess
    network: Network
    progress: Progress
    began: float
    ready: float

    @property
    def augment(self) -> Augment:
        """The recipe's distortions."""
        return Augment(in_full(self.recipe.augment), len(self.dataset.classes))

    @property
    def aim(self) -> Aim:
        """What is wanted of a head, and what a training picture of each class weighs."""
        labels = self.dataset.labels(self.dataset.rows("train"))
        return Aim.of(self.recipe.balance, labels, len(self.dataset.classes))

    @property
    def last(self) -> Path:
        """The checkpoint that a resumed training goes on from."""
        return _last(self.run)


@dataclass(frozen=True)
class Fitted:
    """How it went. The network of the Material holds its best weights, on the CPU; `graph` is its ONNX file but for the
    weights of the head. `embed` gives the embeddings [N, D] of rows of the split named "train" or "validation".
    `rate` is the peak learning rate; a head has none.
    """

    state: State
    graph: bytes
    embed: Callable[[str, np.ndarray], np.ndarray]
    rate: float | None = None
    on_cuda: bool = False


def _last(run: Run) -> Path:
    return run.path / "checkpoints" / LAST


def gather(run: Run, dataset: Dataset, workers: int | None, progress: Progress) -> Material:
    """What `run` says, opened: its pictures decoded, its network built, with the weights it begins with."""
    began = time.perf_counter()
    arguments, recipe = run.document["arguments"], Recipe.of(**run.document["arguments"]["recipe"])
    given = Preprocess.from_dict(arguments["preprocess"]) if "preprocess" in arguments else None
    plain = given or plain_preprocess(dataset, dataset.rows("train"), arguments["size"])
    pixels = Pixels(dataset, plain, budget_bytes=arguments["cache_bytes"], workers=workers, progress=progress)
    dataset = share_of(dataset, arguments)
    preprocess = given or normalised(plain, pixels, dataset.rows("train"))
    pixels.read(dataset.rows("validation")[:1])  # is decoded now, and not in the time of the first epoch
    torch.set_num_threads(cpu_quota())
    torch.manual_seed(recipe.seed)
    network = create(
        arguments["arch"],
        num_classes=len(dataset.classes),
        in_channels=preprocess.channels,
        stem=arguments["stem"],
        style=arguments["style"],
    )
    if recipe.zero_init:
        silence_branches(network)
    last = _last(run)
    if last.exists():
        load_checkpoint(last, network, None)
    elif "weights" in arguments:
        _begin_with(network, run, progress)
    return Material(run, dataset, recipe, pixels, preprocess, network, progress, began, time.perf_counter())


def fit(material: Material) -> Fitted:
    """Train the network of `material`; one that is tuned begins with the best head for the layers as they came.

    With a head drawn at random the first steps would spoil what the layers before it know (Kumar et al., "Fine-Tuning
    can Distort Pretrained Features and Underperform Out-of-Distribution" (2022), section 3).
    """
    if material.recipe.tune == "head":
        return _fit_head(material)
    if material.recipe.tune and not material.last.exists():
        _set_head(material)
    return _fit_by_steps(material)


def _fit_by_steps(material: Material) -> Fitted:
    """Train by the loop; what lies before the first trained layer is computed once for every picture."""
    run, recipe, network, preprocess = material.run, material.recipe, material.network, material.preprocess
    shape = preprocess.channels, preprocess.size
    fabric = make_fabric(run.document["arguments"]["device"], recipe.precision)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    begin = begins_at(network, recipe.tune, *shape)
    freeze(network, begin)
    thaw = Thaw(stages(network, *shape) if recipe.tune == "gradual" else [])
    train, validation = (_source(material, begin, split) for split in ("train", "validation"))
    part = Rest(network, begin) if begin else network
    usual = recipe if recipe.lr != "auto" else recipe.model_copy(update={"lr": recipe.usual_rate})
    model, optimizer = fabric.setup(part, usual.make_optimizer(part, thaw.share))
    batch = recipe.batch_size or 1
    weights = torch.from_numpy(material.aim.weights).float().to(fabric.device)
    training = Training(
        fabric=fabric,
        network=network,
        model=model,
        optimizer=optimizer,
        recipe=usual,
        loader=Loader(
            *train,
            batch,
            shuffle=True,
            even=recipe.balance == "sampling",
            seed=recipe.seed,
            prepare=_prepare(material, begin, fabric),
        ),
        validation=Loader(*validation, batch),
        normalise=torch.nn.Identity() if begin else Normalise(preprocess).to(fabric.device),
        checkpoints=material.last.parent,
        progress=material.progress,
        report=Journal(run).write,
        thaw=thaw,
        class_weights=weights if recipe.balance == "weights" else None,
    )
    found = _found_rate(material, training) if recipe.lr == "auto" else recipe.lr
    training.recipe = recipe.model_copy(update={"lr": found})
    training.prepared, training.ahead = material.ready - material.began, time.perf_counter() - material.ready
    state = training.run()
    load_checkpoint(training.best, network, None)
    graph = to_onnx(network.to("cpu").eval(), preprocess)
    return Fitted(state, graph, _embedder(graph, material.pixels), found, fabric.device.type == "cuda")


def _embedder(graph: bytes, pixels: Pixels) -> Callable[[str, np.ndarray], np.ndarray]:
    """What gives the embeddings that `graph` has for rows of a split."""
    session = Session(graph)

    def embed(split: str, rows: np.ndarray) -> np.ndarray:
        batches = (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
        return np.concatenate([session.run(pixels.read(batch), only=("embedding",)).embedding for batch in batches])

    return embed


def _found_rate(material: Material, training: Training) -> float:
    """The rate that a range test finds, kept beside the checkpoints for when the run is resumed."""
    path = material.last.parent / "range_test.json"
    if not path.exists():
        write_json(path, range_test(training, training.recipe.usual_rate).to_dict())
    return float(read_json(path, "range test")["rate"])


def _prepare(material: Material, begin: int, fabric: Fabric) -> Prepare:
    """What the loader's thread does to a batch of training pictures: on a CUDA device there, else on the processor."""
    augment = material.augment
    if begin:
        return as_they_are
    if fabric.device.type != "cuda":
        return augment

    def there(images: torch.Tensor, labels: torch.Tensor, seed: tuple[int, int, int]) -> Batch:
        return augment(fabric.to_device(images), fabric.to_device(labels), seed)

    return there


def _source(material: Material, begin: int, split: str) -> tuple[PixelSource, np.ndarray, np.ndarray]:
    """Where a loader reads, which rows of it, and their labels: pictures, or what the layers before `begin` make."""
    rows = material.dataset.rows(split)
    labels = material.dataset.labels(rows)
    if begin == 0:
        return material.pixels, rows, labels
    normalise, before = Normalise(material.preprocess), material.network.trunk[:begin]

    def maps(images: np.ndarray) -> np.ndarray:
        x = normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
        for module in before:
            x = module.eval()(x)
        return x.permute(0, 2, 3, 1).contiguous().numpy()

    source = {**origin(material.run), "begin": begin}
    frozen = Frozen(material.pixels, torch.inference_mode()(maps), source, **_distorting(material))
    count = material.recipe.views if split == "train" else 1
    views = Passes([frozen.of(split, view) for view in range(count)])
    return views, views.rows(frozen.places(rows, split)), np.tile(labels, count)


def _fit_head(material: Material) -> Fitted:
    """Fit the head alone."""
    freeze_all_but_head(material.network)
    head, graph, frozen = _set_head(material)
    seconds = time.perf_counter() - material.ready
    pictures = material.recipe.views * len(material.dataset.rows("train"))
    speed = {"images_per_s": pictures / seconds, "waiting_frac": 0.0}
    history = [{"epoch": number, "lr": None, **trial, **speed} for number, trial in enumerate(head.trials, 1)]
    state = State(epoch=len(history), best_epoch=head.best + 1, seconds=seconds, history=history)
    Journal(material.run).write_all(state)
    return Fitted(state, graph, lambda split, rows: frozen.of(split)[frozen.places(rows, split)])


def _set_head(material: Material) -> tuple[Head, bytes, Frozen]:
    """Fit the head to embeddings that the runtime computes once, of every view, and put it into the network.

    Also `kept_graph`'s graph of the network, and the embeddings.
    """
    network, dataset, recipe = material.network.eval(), material.dataset, material.recipe
    graph, session = kept_graph(network, material.preprocess, origin(material.run))
    frozen = embeddings(material.run, material.pixels, session, **_distorting(material))
    embedded = {}
    for split, views in (("train", recipe.views), ("validation", 1)):
        rows = dataset.rows(split)
        found = [frozen.of(split, view)[frozen.places(rows, split)] for view in range(views)]
        embedded[split] = Embedded(np.concatenate(found), np.tile(dataset.labels(rows), views))
    head = fit_head(embedded["train"], embedded["validation"], material.aim, views=recipe.views)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return head, graph, frozen


def _distorting(material: Material) -> dict[str, Any]:
    """How views after the first are made, as Frozen takes it, and who watches."""
    recipe = material.recipe
    return {
        "distort": material.augment.distort,
        "how": written(recipe.augment),
        "seed": recipe.seed,
        "progress": material.progress,
    }


def _begin_with(network: Network, run: Run, progress: Progress) -> None:
    """Put the weights that `run` begins with into `network`."""
    arguments = run.document["arguments"]
    source, sha256 = arguments["weights"]["source"], arguments["weights"]["sha256"]
    path = locate(source, arguments["arch"], progress=progress)
    if sha256_file(path) != sha256:
        raise UserError(
            f"{named(path)} changed since {named(run.path)} began ({sha256[:12]} then), and the run has no checkpoint "
            "yet: put the file back, or train a new run"
        )
    load_weights(network, path)
