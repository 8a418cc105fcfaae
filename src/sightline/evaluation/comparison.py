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

from sightline.bundle import Bundle, softmax
from sightline.core.errors import UserError, named
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.evaluation.answers import answer, check_classes, opened
from sightline.evaluation.findings import findings
from sightline.evaluation.metrics import measure, pair
from sightline.evaluation.mistakes import disagreements, worst
from sightline.evaluation.network import Network, grouped, how_trained, measure_network
from sightline.evaluation.rejection import rejection
from sightline.experience import UNLIKE_SHARE

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.run import Run

PAIRING = "McNemar's exact test, one answer a picture: each network's probabilities averaged over its seeds"


def compare(runs: Sequence[Run], dataset: Dataset, progress: Progress = SILENT) -> dict[str, Any]:
    """The comparison document of finished `runs` on the test pictures of the Dataset they were trained on.

    Runs that differ in nothing but the seed count as one network; copies of a Run count once.
    Raises UserError when there is no Run, one is not finished or was trained on other data, or there are no test
    pictures.
    """
    if not runs:
        raise UserError("nothing to compare: give at least one finished run")
    groups = grouped(checked(runs, dataset))
    networks = [measure_network(name, members, dataset, progress) for name, members in groups.items()]
    figures = [network.figures for network in networks]
    pairs = [_pair(a, b) for a, b in combinations(networks, 2)]
    data = about(dataset)
    return {
        "kind": "comparison",
        "dataset": data,
        "networks": figures,
        "pairing": PAIRING,
        "pairs": pairs,
        "mistakes": [mistake for network in networks for mistake in _mistakes(network, dataset)],
        "disagreements": [one for a, b in combinations(networks, 2) for one in _disagreements(a, b, dataset)],
        "findings": findings(figures, pairs, data),
        "machine": describe(),
        "versions": versions(),
    }


def evaluate(
    source: Run | Bundle, dataset: Dataset, split: str = "test", progress: Progress = SILENT, *,
    reject: float | None = None, unlike: float = UNLIKE_SHARE,
) -> dict[str, Any]:  # fmt: skip
    """The evaluation document: what a finished Run, or a Bundle, measures on a split of `dataset`, its own or another.

    With `reject` also how it does when it says "unknown" so that at most that share of its answers is wrong, and to
    the share `unlike` of pictures that look least like what it knows. Other data may hold pictures it was trained on; a
    note says so. UserErrors as `answer`'s and `Experience.rule`'s, and for a rule measured where it was chosen.
    """
    bundle, keep = opened(source)
    notes = foreign([source], dataset)
    if reject is not None and split == "validation" and not notes:
        raise UserError(
            "--reject would be measured on the pictures it was chosen on: take another split than validation"
        )
    rule = None if reject is None else bundle.experience.rule(reject, unlike)
    answers = answer(bundle, dataset, split, progress, keep=keep)
    metrics = measure(answers.logits, answers.labels, dataset.classes)
    return {
        "kind": "evaluation",
        "run": str(source.path),
        "arch": bundle.arch,
        "seed": getattr(source, "seed", None),
        "split": split,
        "dataset": about(dataset),
        "own_data": not notes,
        "notes": notes,
        **metrics.to_dict(),
        **({"rejection": rejection(bundle, dataset, answers, rule, progress)} if rule else {}),
        "seconds": answers.seconds,
        "mistakes": worst(
            bundle.arch, answers.rows, answers.labels, softmax(answers.logits), dataset.classes, dataset.name_of
        ),
        "machine": describe(),
        "versions": versions(),
    }


def checked(runs: Sequence[Run], dataset: Dataset) -> list[tuple[Run, Bundle]]:
    """`runs` with their Bundles, everything that could fail later checked now; copies of a Run only once.

    UserErrors as `compare`'s.
    """
    if len(dataset.rows("test")) == 0:
        raise UserError(f"{named(dataset.name)} has no test pictures: there is nothing to compare on")
    found: dict[tuple[str, str], tuple[Run, Bundle]] = {}
    for run in runs:
        if run.fingerprint != dataset.fingerprint:
            raise UserError(
                f"{named(run.path)} was trained on {named(run.document['data'].get('name', 'other data'))} "
                f"({named(run.fingerprint[:12])}), not on this {named(dataset.name)} ({dataset.fingerprint[:12]}): "
                "compare runs of the same data"
            )
        bundle = run.bundle()
        check_classes(bundle, dataset)
        found.setdefault((bundle.model_hash, how_trained(run)), (run, bundle))
    return list(found.values())


def about(dataset: Dataset) -> dict[str, Any]:
    """What a document says of the Dataset it is about."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "imbalance": dataset.imbalance,
        "counts": {split: len(dataset.rows(split)) for split in ("train", "validation", "test")},
    }


def foreign(sources: Sequence[Run | Bundle], dataset: Dataset) -> list[str]:
    """A note for each of `sources` that may have been trained on pictures of `dataset` that are now measured on."""
    notes = []
    for source in sources:
        if isinstance(source, Bundle):
            notes.append(
                f"{named(source.path)} does not say what it was trained on: it may be pictures of {dataset.name}"
            )
        elif source.fingerprint != dataset.fingerprint:
            notes.append(
                f"{dataset.name} is not the data {named(source.path)} was made from: it may hold pictures it was "
                "trained on"
            )
    return notes


def _pair(a: Network, b: Network) -> dict[str, Any]:
    """Who gets which test pictures right, and the p-value of the difference."""
    return {"a": a.name, "b": b.name, **pair(a.said == a.labels, b.said == b.labels)}


def _mistakes(network: Network, dataset: Dataset) -> list[dict[str, Any]]:
    return worst(network.name, network.rows, network.labels, network.probabilities, dataset.classes, dataset.name_of)


def _disagreements(a: Network, b: Network, dataset: Dataset) -> list[dict[str, Any]]:
    both = (a.probabilities, b.probabilities)
    return disagreements((a.name, b.name), a.rows, a.labels, both, dataset.classes, dataset.name_of)
