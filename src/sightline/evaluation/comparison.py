"""Comparing finished Runs on the same test pictures, and measuring one: the documents that reports and --json show.

Two networks are compared by McNemar's exact test on the pictures only one of them gets right. Several seeds of a
network see the same pictures, so their answers are no independent trials and must not be pooled: the probabilities are
averaged over each network's seeds, and the test is about those two averaged answers, one each a picture. Its p-values
are not corrected for the number of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from sightline.bundle import softmax
from sightline.core.errors import UserError, named
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.evaluation.answers import answer, check_classes
from sightline.evaluation.findings import findings
from sightline.evaluation.metrics import mcnemar, measure
from sightline.evaluation.mistakes import disagreements, worst
from sightline.evaluation.network import Network, grouped, measure_network

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset
    from sightline.run import Run

PAIRING = "McNemar's exact test, one answer a picture: each network's probabilities averaged over its seeds"


def compare(runs: Sequence[Run], dataset: Dataset, progress: Progress = SILENT) -> dict[str, Any]:
    """The comparison document of finished `runs` on the test pictures of the Dataset they were trained on.

    Runs that differ in nothing but the seed count as one network; Runs that hold the very same network count once.
    Raises UserError when there is no Run, one is not finished or was trained on other data, or there are no test
    pictures.
    """
    if not runs:
        raise UserError("nothing to compare: give at least one finished run")
    opened = checked(runs, dataset)
    networks = [measure_network(name, members, dataset, progress) for name, members in grouped(opened).items()]
    figures = [network.figures for network in networks]
    pairs = [_pair(a, b) for a, b in combinations(networks, 2)]
    about = described(dataset)
    return {
        "kind": "comparison",
        "dataset": about,
        "networks": figures,
        "pairing": PAIRING,
        "pairs": pairs,
        "mistakes": [mistake for network in networks for mistake in _mistakes(network, dataset)],
        "disagreements": [one for a, b in combinations(networks, 2) for one in _disagreements(a, b, dataset)],
        "findings": findings(figures, pairs, about),
        "machine": describe(),
        "versions": versions(),
    }


def evaluate(run: Run, dataset: Dataset, split: str = "test", progress: Progress = SILENT) -> dict[str, Any]:
    """The evaluation document: what one finished Run measures on a split of `dataset`, its own or another.

    Other data may hold pictures the Run was trained on; a note says so. UserErrors as `answer`'s.
    """
    bundle = run.bundle()
    answers = answer(bundle, dataset, split, progress, keep=run.path)
    metrics = measure(answers.logits, answers.labels, dataset.classes)
    own = run.fingerprint == dataset.fingerprint
    notes = [f"{dataset.name} is not the data this run was made from: it may hold pictures it was trained on"]
    return {
        "kind": "evaluation",
        "run": str(run.path),
        "arch": run.arch,
        "seed": run.seed,
        "split": split,
        "dataset": described(dataset),
        "own_data": own,
        "notes": [] if own else notes,
        **metrics.to_dict(),
        "seconds": answers.seconds,
        "mistakes": worst(
            run.arch, answers.rows, answers.labels, softmax(answers.logits), dataset.classes, dataset.name_of
        ),
        "machine": describe(),
        "versions": versions(),
    }


def checked(runs: Sequence[Run], dataset: Dataset) -> list[tuple[Run, Bundle]]:
    """`runs` with their Bundles, everything that could fail later checked now; the very same network only once.

    UserErrors as `compare`'s.
    """
    if len(dataset.rows("test")) == 0:
        raise UserError(f"{named(dataset.name)} has no test pictures: there is nothing to compare on")
    opened: dict[str, tuple[Run, Bundle]] = {}
    for run in runs:
        if run.fingerprint != dataset.fingerprint:
            raise UserError(
                f"{named(run.path)} was trained on {named(run.document['data'].get('name', 'other data'))} "
                f"({named(run.fingerprint[:12])}), not on this {named(dataset.name)} ({dataset.fingerprint[:12]}): "
                "compare runs of the same data"
            )
        bundle = run.bundle()
        check_classes(bundle, dataset)
        opened.setdefault(bundle.model_hash, (run, bundle))
    return list(opened.values())


def described(dataset: Dataset) -> dict[str, Any]:
    """What a document says of its Dataset."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "counts": {split: len(dataset.rows(split)) for split in ("train", "validation", "test")},
    }


def _pair(a: Network, b: Network) -> dict[str, Any]:
    """Who gets which test pictures right, and the p-value of the difference."""
    right_a, right_b = a.said == a.labels, b.said == b.labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return {
        "a": a.name,
        "b": b.name,
        "both": int((right_a & right_b).sum()),
        "only_a": only_a,
        "only_b": only_b,
        "neither": int((~right_a & ~right_b).sum()),
        "p_value": mcnemar(only_a, only_b),
        "top1_difference": (only_a - only_b) / len(right_a),
    }


def _mistakes(network: Network, dataset: Dataset) -> list[dict[str, Any]]:
    return worst(network.name, network.rows, network.labels, network.probabilities, dataset.classes, dataset.name_of)


def _disagreements(a: Network, b: Network, dataset: Dataset) -> list[dict[str, Any]]:
    both = (a.probabilities, b.probabilities)
    return disagreements((a.name, b.name), a.rows, a.labels, both, dataset.classes, dataset.name_of)
