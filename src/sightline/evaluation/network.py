"""A network in a comparison: the Runs that differ in nothing but their seed, and what they measure together.

Each figure is measured for every seed. Over several seeds it comes with Student's 95 % interval of their mean, which
says how far another training may land; of a single one a share comes with Wilson's interval, which says how far
another set of test pictures may land.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.bundle import softmax
from sightline.core.progress import SILENT, Progress
from sightline.core.shares import wilson
from sightline.evaluation.answers import Answers, answer, pixels_for
from sightline.evaluation.collapse import Spread
from sightline.evaluation.metrics import Metrics, bins, measure, t_interval

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset
    from sightline.run import Run

SPEED_BATCH = 32
SPEED_BATCHES = 7
SPEED_LIMIT_S = 10
NOT_THE_NETWORK = ("seed", "data", "device", "cache_bytes")  # arguments that may differ among the seeds of one network


@dataclass(frozen=True, eq=False)
class Network:
    """`figures` is its entry in the comparison document.

    `probabilities` float64 [N, C] are the mean over its seeds for each test picture, with their manifest `rows` int64
    [N] and `labels` int64 [N].
    """

    figures: dict[str, Any]
    rows: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def name(self) -> str:
        """What the comparison calls it."""
        return str(self.figures["arch"])

    @property
    def said(self) -> np.ndarray:
        """The class of the highest mean probability, int64 [N]."""
        return self.probabilities.argmax(axis=1)


def grouped(runs: Iterable[tuple[Run, Bundle]]) -> dict[str, list[tuple[Run, Bundle]]]:
    """Runs with their Bundles by network: those that differ in nothing but seed, place and device are together.

    A network is called by its architecture; where one was trained in several ways, also by what differs, such as
    "resnet20 (lr=0.1)".
    """
    groups: dict[str, list[tuple[Run, Bundle]]] = {}
    for run, bundle in runs:
        groups.setdefault(how_trained(run), []).append((run, bundle))
    names = _names([members[0][0] for members in groups.values()])
    return dict(zip(names, groups.values(), strict=True))


def measure_network(
    name: str, members: Sequence[tuple[Run, Bundle]], dataset: Dataset, progress: Progress = SILENT
) -> Network:
    """What the Runs of one network, with their Bundles, measure together on the splits of `dataset`."""
    runs, first = [run for run, _ in members], members[0][1]
    tests = [answer(bundle, dataset, "test", progress, keep=run.path) for run, bundle in members]
    metrics = [measure(test.logits, test.labels, dataset.classes) for test in tests]
    probabilities = [softmax(test.logits) for test in tests]
    top1 = _shares([m.top1 for m in metrics], metrics[0].count)
    train, validation = (_top1(members, dataset, split, progress) for split in ("train", "validation"))
    figures = {
        "arch": name,
        "seeds": [run.seed for run in runs],
        "runs": [str(run.path) for run in runs],
        "parameters": first.card["parameters"],
        "macs": first.card["macs"],
        "size_bytes": (first.path / "model.onnx").stat().st_size,
        "top1": top1,
        "top5": _shares([m.top5 for m in metrics], metrics[0].count),
        "balanced_accuracy": _figure([m.balanced_accuracy for m in metrics], None, None, highest=1),
        "log_loss": _figure([m.log_loss for m in metrics], metrics[0].log_loss_interval, "t"),
        "ece": _figure([m.ece for m in metrics], None, None, highest=1),
        "train_top1": train,
        "validation_top1": validation,
        "gap": {
            "train_minus_test": _difference(train, top1),
            "train_minus_validation": _difference(train, validation),
            "validation_minus_test": _difference(validation, top1),
        },
        "epochs": _mean([_passes(run) for run in runs]),
        **{
            key: _mean([run.document["results"].get(key) for run in runs])
            for key in ("train_seconds", "train_images_per_s", "peak_memory_bytes")
        },
        "run_images_per_s": images_per_second(first, dataset, tests[0].rows),
        "per_class": _mean_per_class(metrics),
        "confusion": np.sum([m.confusion for m in metrics], axis=0).tolist(),
        "calibration": _calibration(probabilities, tests),
        "collapsed": [
            {"seed": run.seed, **asdict(spread)}
            for run, test in zip(runs, tests, strict=True)
            if (spread := Spread.of(test.logits.argmax(axis=1), test.labels)).collapsed
        ],
        "histories": [{"seed": run.seed, "passes": _passes(run), "rows": _epochs(run)} for run in runs],
    }
    return Network(figures, tests[0].rows, tests[0].labels, np.mean(probabilities, axis=0))


def how_trained(run: Run) -> str:
    """One text for Runs that differ in nothing but seed, place and device; another for each way of training."""
    return repr(sorted(_way(run).items()))


def _way(run: Run) -> dict[str, Any]:
    """Everything that makes a training what it is, but its seed: the arguments, the recipe's among them."""
    arguments = dict(run.document["arguments"])
    arguments.update(arguments.pop("recipe", {}))
    if "weights" in arguments:
        arguments["weights"] = arguments["weights"]["sha256"]  # wherever the file lay
    if "asked_budget_s" in arguments:  # a depth of --tune auto, which gets what others leave of it
        arguments["budget_s"] = arguments.pop("asked_budget_s")
    return {key: value for key, value in arguments.items() if key not in NOT_THE_NETWORK}


def _names(runs: Sequence[Run]) -> list[str]:
    """A name for each of `runs`, no two of them trained alike: its architecture, and what else tells it from others."""
    ways = [_way(run) for run in runs]
    names = [
        _name(run, way, [other for other in ways if other["arch"] == run.arch])
        for run, way in zip(runs, ways, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} #{names[:place].count(name) + 1}"
        for place, name in enumerate(names)
    ]


def _name(run: Run, way: dict[str, Any], twins: Sequence[dict[str, Any]]) -> str:
    differing = [key for key in way if key != "preprocess" and any(other.get(key) != way[key] for other in twins)]
    details = ", ".join(f"{key}={_told(run, key, way[key])}" for key in differing if way[key] is not None)
    return f"{run.arch} ({details})" if details else run.arch


def _told(run: Run, key: str, value: Any) -> str:
    """A value in a few words: of distortions their names, of weights the name of their file."""
    if key == "weights":
        return Path(run.document["arguments"]["weights"]["source"]).name
    return "+".join(name for entry in value for name in entry) or "none" if isinstance(value, list) else str(value)


def _epochs(run: Run) -> list[dict[str, Any]]:
    """What was measured after each epoch; a head that was fitted has seen none."""
    return [row for row in run.history() if "l2" not in row]


def _top1(members: Sequence[tuple[Run, Bundle]], dataset: Dataset, split: str, progress: Progress) -> dict[str, Any]:
    """Top-1 on a split that may be empty; of the training pictures on those that a Run was trained on."""
    if not len(dataset.rows(split)):
        return _figure([], None, None)
    right = []
    for run, bundle in members:
        answers = answer(bundle, dataset, split, progress, keep=run.path)
        taken = dataset.part(run.document["arguments"].get("share", 1.0), run.seed).rows(split)
        right.append((answers.logits.argmax(axis=1) == answers.labels)[np.isin(answers.rows, taken)])
    return _shares([float(one.mean()) for one in right], len(right[0]))


def _shares(values: list[float], count: int) -> dict[str, Any]:
    """A share of `count` pictures over the seeds."""
    return _figure(values, wilson(round(values[0] * count), count), "wilson", highest=1)


def _figure(
    values: list[float], single: tuple[float, float] | None, kind: str | None, highest: float = math.inf
) -> dict[str, Any]:
    """Mean and 95 % interval over the seeds, in [0, highest]; of one seed the interval is `single`, a `kind`."""
    interval, kind = (t_interval(values), "t") if len(values) > 1 else (single, kind)
    low, high = (max(0.0, interval[0]), min(highest, interval[1])) if interval else (None, None)
    mean = float(np.mean(values)) if values else None
    return {"mean": mean, "low": low, "high": high, "values": values, "interval": kind}


def _difference(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    return None if one["mean"] is None or other["mean"] is None else one["mean"] - other["mean"]


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean over the seeds of a figure of their Runs; None where no Run has it."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _passes(run: Run) -> float | None:
    """How often each training picture was seen; on a budget the last pass may be cut short. None for a fitted head."""
    if run.history() and not _epochs(run):
        return None
    results, recipe = run.document["results"], run.document["arguments"].get("recipe", {})
    pictures, batch = run.document["data"].get("counts", {}).get("train"), recipe.get("batch_size")
    if not (pictures and batch and "steps" in results) or recipe.get("tune"):
        return results.get("epochs")
    return results["steps"] / max(1, pictures // batch)


def images_per_second(bundle: Bundle, dataset: Dataset, rows: np.ndarray) -> float:
    """Images a second through the graph in batches of 32, decoding excluded.

    The median of several batches, fewer where they take long.
    """
    pixels = pixels_for(bundle, dataset).read(np.resize(rows, SPEED_BATCH))
    bundle.session.run(pixels[: bundle.session.at_once], only=("logits",))  # the first run allocates
    seconds: list[float] = []
    while len(seconds) < SPEED_BATCHES and sum(seconds) < SPEED_LIMIT_S:
        began = time.perf_counter()
        bundle.session.run(pixels, only=("logits",))
        seconds.append(time.perf_counter() - began)
    return SPEED_BATCH / float(np.median(seconds))


def _mean_per_class(metrics: Sequence[Metrics]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, meaned over the seeds."""
    return [
        {
            "class": scores[0].name,
            "precision": float(np.mean([s.precision for s in scores])),
            "recall": float(np.mean([s.recall for s in scores])),
            "f1": float(np.mean([s.f1 for s in scores])),
            "support": scores[0].support,
        }
        for scores in zip(*(m.per_class for m in metrics), strict=True)
    ]


def _calibration(probabilities: Sequence[np.ndarray], tests: Sequence[Answers]) -> list[dict[str, Any]]:
    """Confidence and accuracy by bin, over the answers of all seeds."""
    said = [p.argmax(axis=1) for p in probabilities]
    right = np.concatenate([chosen == test.labels for chosen, test in zip(said, tests, strict=True)])
    confidences = np.concatenate([p.max(axis=1) for p in probabilities])
    return [
        {"confidence": one.confidence, "accuracy": one.accuracy, "count": one.count} for one in bins(confidences, right)
    ]
