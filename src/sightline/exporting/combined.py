"""Many views and many networks as one graph: it takes one picture and answers with the average of their answers.

The views are cut out of the picture inside the graph. `logits` are the logarithm of the mean probabilities, or the mean
logits. `embedding` is the mean over the views; of several networks each one's at unit length times the root of its
weight, side by side, so that a cosine is the weighted mean of theirs. `feature_map` is what the first network makes of
the first view, the centre at the first scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import safetensors.numpy

from sightline.bundle import GRAPH, WEIGHTS, Bundle, write_bundle
from sightline.core.errors import UserError, named
from sightline.core.hashing import sha256_bytes
from sightline.core.machine import versions
from sightline.exporting.assembly import OPSET
from sightline.exporting.averaging import Average, averaged
from sightline.exporting.dense import check_dense
from sightline.exporting.member import Member, golden_pictures
from sightline.exporting.views import shared_picture, spoken
from sightline.runtime import Session


@dataclass(frozen=True, eq=False)
class Combination:
    """A combination in memory; `bundle` runs it. Its card says what it is made of under "combination"."""

    members: tuple[Member, ...]
    graph: bytes
    bundle: Bundle

    def save(self, out: Path, metrics: dict[str, Any]) -> Bundle:
        """Write it as a verified Bundle at `out`, with the `metrics` it reached; UserError when `out` exists.

        model.safetensors holds the members' weights with "0.", "1." ... before their keys, model.onnx all it takes to
        run.
        """
        weights = {
            f"{number}.{key}": value
            for number, member in enumerate(self.members)
            for key, value in safetensors.numpy.load_file(member.bundle.path / WEIGHTS).items()
        }
        images = golden_pictures(self.members[0].bundle, self.bundle.preprocess)
        card = {**self.bundle.card, "metrics": metrics}
        write_bundle(
            out, card, graph=self.graph, weights=safetensors.numpy.save(weights), golden_images=images,
            golden_logits=self.bundle.run(images).logits,
        )  # fmt: skip
        return Bundle.open(out)


def combine(
    bundles: Sequence[Bundle], *, views: str = "1", scales: Sequence[int] = (), average: Average = "probabilities",
    weights: Sequence[float] | None = None,
) -> Combination:  # fmt: skip
    """The networks of `bundles`, each shown what `views` and `scales` say (`views_of`), their answers averaged.

    `weights`, none below 0, count equally unless given; a network of weight 0 is left out. UserError when the networks
    know different classes, for views that do not fit them, and when the graph would be too large for an ONNX file.
    """
    check(bundles, views=views, scales=scales, average=average)
    shares = np.full(len(bundles), 1.0) if weights is None else np.asarray(weights, float)
    taken = [(bundle, share) for bundle, share in zip(bundles, shares / shares.sum(), strict=True) if share > 0]
    first = taken[0][0]
    preprocess, plans = shared_picture([bundle.preprocess for bundle, _ in taken], views, scales)
    members = tuple(Member.of(bundle, plan, share) for (bundle, share), plan in zip(taken, plans, strict=True))
    graph = averaged(members, preprocess, average)
    card = {
        "arch": _title(members, views, scales),
        "classes": list(first.classes),
        "preprocess": preprocess.to_dict(),
        "embedding_dim": sum(bundle.card["embedding_dim"] for bundle, _ in taken),
        "parameters": sum(bundle.card["parameters"] for bundle, _ in taken),
        "macs": sum(member.macs for member in members),
        "metrics": {},
        "combination": {
            "views": views,
            "scales": sorted({view.scale for plan in plans for view in plan}),
            "average": average,
            "members": [member.document() for member in members],
        },
        "opset": OPSET,
        "versions": versions(),
        "files": {GRAPH: sha256_bytes(graph)},
    }
    bundle = Bundle(first.path, card["arch"], first.classes, preprocess, card, Session(graph))
    return Combination(members, graph, bundle)


def check(
    bundles: Sequence[Bundle], *, views: str = "1", scales: Sequence[int] = (), average: str = "probabilities"
) -> None:
    """UserError where `combine` would raise one, but for a graph too large, before any graph is made."""
    if average not in get_args(Average):
        raise UserError(f'unknown average "{named(average)}": use {" or ".join(get_args(Average))}')
    first = bundles[0]
    for bundle in bundles:
        if bundle.classes != first.classes:
            raise UserError(
                f"{named(first.path)} and {named(bundle.path)} do not know the same classes in the same order: combine "
                "networks of the same classes"
            )
    _, plans = shared_picture([bundle.preprocess for bundle in bundles], views, scales)
    for bundle, plan in zip(bundles, plans, strict=True):
        for side in {view.side for view in plan} - {bundle.preprocess.size}:
            check_dense(bundle, side)


def _title(members: Sequence[Member], views: str, scales: Sequence[int]) -> str:
    """Such as "resnet20 + 2 x resnet56 (10 views at 224 and 256)"."""
    counts = Counter(member.bundle.arch for member in members)
    networks = " + ".join(f"{count} x {arch}" if count > 1 else arch for arch, count in counts.items())
    said = spoken(views, scales)
    return f"{networks} ({said})" if said else networks
