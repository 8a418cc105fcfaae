"""What many views and many networks bring: combinations made by `exporting`, measured and compared by `evaluation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.bundle import Bundle
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.data.dataset import Dataset
from sightline.evaluation.answers import answer, check_classes, opened
from sightline.evaluation.combination import Table, best, fit_weights
from sightline.evaluation.comparison import foreign
from sightline.exporting.averaging import Average
from sightline.exporting.combined import check, combine
from sightline.exporting.views import spoken
from sightline.run import Run


@dataclass(frozen=True)
class Ensembling:
    """What to combine: `views` at `scales` of each network, how to average, whether to fit the networks' weights."""

    views: str
    scales: tuple[int, ...]
    average: Average
    fitted: bool

    @property
    def look(self) -> dict[str, Any]:
        """What `combine` is to show each network."""
        return {"views": self.views, "scales": self.scales}

    def name(self, of: str) -> str:
        """What the row of this look at `of` is called."""
        said = spoken(self.views, self.scales)
        return f"{of} ({said})" if said else of


def compare_combinations(
    sources: Sequence[Run | Bundle], dataset: Dataset, split: str, ensembling: Ensembling, *, save: Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:  # fmt: skip
    """The combination document of `sources` on a split of `dataset`; its last row is written as a Bundle to `save`.

    The rows: each network's single view, each with the views wished for, the mean of all networks' single views, that
    of all their views, and the latter with fitted weights. UserError, before anything is measured, for networks of
    other classes than the data's and for those that cannot be combined.
    """
    names, paths = _names(sources), [str(source.path) for source in sources]
    bundles, keeps = zip(*map(opened, sources), strict=True)
    for bundle in bundles:
        check_classes(bundle, dataset)
    check(bundles, average=ensembling.average, **ensembling.look)
    if ensembling.fitted and not len(dataset.rows("validation")):
        raise UserError(f"{named(dataset.name)} has no validation pictures to fit weights on: leave --fit-weights out")
    table = Table(dataset, split, progress)
    singles = [table.add(*of) for of in zip(names, ([path] for path in paths), bundles, keeps, strict=True)]
    validation = {}
    for name, path, single, bundle, keep in zip(names, paths, singles, bundles, keeps, strict=True):
        if ensembling.name(name) != name:
            made = combine([bundle], average=ensembling.average, **ensembling.look)
            bundle, keep = made.bundle, None
            table.add(ensembling.name(name), [path], bundle, against=single)
        if ensembling.fitted:
            validation[name] = answer(bundle, dataset, "validation", progress, keep=keep)
    fitted = fit_weights(validation, ensembling.average) if ensembling.fitted else None
    for name, how in _ensembles(ensembling, len(bundles), fitted).items():
        made = combine(bundles, average=ensembling.average, **how)
        table.add(name, paths, made.bundle, against=best(singles))
    document = table.document(foreign(sources, dataset), fitted)
    if save:
        reached = {key: document["rows"][-1][key] for key in ("n", "top1", "log_loss")}
        document["bundle"] = str(made.save(save, {split: reached}).path)
    return document


def _ensembles(ensembling: Ensembling, count: int, fitted: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The combinations of all `count` networks by their names, each with `combine`'s options for it."""
    if count == 1:
        return {}
    mean = f"mean {'logits ' if ensembling.average == 'logits' else ''}of {count} networks"
    found = {mean: {}, ensembling.name(mean): ensembling.look}
    if fitted:
        found[ensembling.name(f"fitted {mean}")] = {**ensembling.look, "weights": list(fitted["weights"].values())}
    return found


def _names(sources: Sequence[Run | Bundle]) -> list[str]:
    """What the rows call the networks: their directories, by the whole path where two are called alike.

    UserError when one is given twice.
    """
    places = [source.path.resolve() for source in sources]
    for source, place in zip(sources, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{named(source.path)} is given twice: give each network once")
    names = [place.name for place in places]
    return [str(place) if names.count(place.name) > 1 else place.name for place in places]
