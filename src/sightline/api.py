"""The verbs as Python functions, with the command line's defaults; they take paths or nouns and return nouns.

run = sightline.train("photos.zip", "resnet18", epochs=20)
for prediction in sightline.load(run).predict(["new.jpg"]):
    print(prediction.classes[0])
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from sightline.bundle import Bundle, model_hash, read_card
from sightline.core.artifact import check_vacant
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.core.wording import seconds, unbalanced
from sightline.experience import UNLIKE_SHARE
from sightline.run import Run, place

if TYPE_CHECKING:
    from sightline.search.index import Index

__all__ = [
    "compare",
    "evaluate",
    "export",
    "index",
    "learning_curve",
    "load",
    "prepare",
    "quantise",
    "reproduce",
    "resume_scratch",
    "train",
    "train_scratch",
    "write_onnx",
]

EPOCHS, AUTO_BUDGET = 20, "5m"  # of a training whose length nobody gave; the second of `tune="auto"`


def prepare(source: Any, out: Path | None = None, *, progress: Progress = SILENT, **options: Any) -> Any:
    """The Dataset made from `source`: a folder, zip, tar, URL, IDX or CIFAR archive, built-in name, or a Dataset."""
    from sightline.data.dataset import Dataset
    from sightline.data.prepare import prepare as make

    return source if isinstance(source, Dataset) else make(source, out, progress=progress, **options)


def train(
    data: Any,
    arch: str | None = None,
    *,
    weights: str | Path | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train `arch` on `data` for `epochs` (20 unless a `budget` such as "10m" is given) and return the Run.

    Where `weights` are tuned at every depth (`tune` is "auto", as it is unless given), a budget of 5m is the default.
    `weights` to begin with are "imagenet" or a file; a file that says its network needs no `arch`. `out` is a new
    directory, runs/ARCH-DATA unless given. `options` are `recipe` (a preset's name), the fields of `training.Recipe`
    that differ from it (lr, seed ...), and those of `training.train` (size, stem, style, device ...). From then on the
    process sizes torch's threads by the processors it may use.
    """
    from sightline.training import train as carry_out

    if out is not None:
        check_vacant(Path(out))
    dataset, network, recipe, rest = _asked(data, arch, weights, epochs, budget, options, progress)
    out = Path(out) if out else _fresh(Path("runs") / f"{network}-{dataset.name}-s{recipe.seed}")
    return carry_out(dataset, network, recipe, out, progress=progress, **rest)


def learning_curve(
    data: Any,
    arch: str | None = None,
    *,
    seeds: int = 1,
    weights: str | Path | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> dict[str, Any]:
    """Train on 5, 10, 25, 50 and 100 % of the training pictures, `seeds` times, and say whether more would help.

    Hand-engineered features are measured on the same pictures. The Runs go to `out`/ARCH-nPICTURES-sSEED
    (runs/curve-ARCH-DATA unless given); those that are there are kept or resumed. Of `weights` the head is tuned unless
    `tune` is given: that looks at each picture once, for all trainings. All else is as in `train`. Returns the
    learning-curve document, with `path`, the directory of the Runs.
    """
    from sightline.training.curve import learning_curve as carry_out

    if weights is not None:
        options["tune"] = options.get("tune") or "head"
        epochs = epochs or (EPOCHS if options["tune"] == "auto" and budget is None else None)
    dataset, network, recipe, rest = _asked(data, arch, weights, epochs, budget, options, progress)
    out = Path(out) if out else Path("runs") / f"curve-{network}-{dataset.name}"
    document = carry_out(dataset, network, recipe, out, seeds=seeds, progress=progress, **rest)
    return {**document, "path": str(out)}


def compare(
    data: Any,
    archs: Sequence[str],
    *,
    seeds: int = 1,
    epochs: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    runs: Sequence[str | Path | Run] = (),
    neighbours: Sequence[str | Path | Run | Bundle] = (),
    progress: Progress = SILENT,
    **options: Any,
) -> dict[str, Any]:
    """Train each of `archs` with `seeds` seeds, add the finished `runs`, and compare all on the test pictures.

    Of each Run or Bundle among `neighbours` the classifier by the nearest training pictures in its embedding is added.
    The Runs go to `out`/ARCH-sSEED (runs/compare-DATA unless given); those that are there are kept or resumed.
    Returns the comparison document, with `path`, the directory of the Runs.
    """
    from sightline.evaluation.comparison import checked
    from sightline.evaluation.comparison import compare as measure
    from sightline.neighbours import neighbours_run
    from sightline.training.campaign import campaign

    if options.get("weights") is not None:
        raise UserError("a comparison trains from scratch: train from weights first, and give those runs with --run")
    recipe, rest = _recipe(epochs, budget, archs, options)
    earlier = [_run(run) for run in runs]
    embedders = [one if isinstance(one, Bundle) else load(one) for one in neighbours]
    dataset = prepare(data, progress=progress)
    checked(earlier, dataset)  # before hours of training
    _note_imbalance(dataset, recipe, progress)
    out = Path(out) if out else Path("runs") / f"compare-{dataset.name}"
    trained = campaign(dataset, archs, recipe, out, seeds=seeds, progress=progress, **rest)
    nearest = [
        neighbours_run(bundle, dataset, out / f"neighbours-{bundle.model_hash[:12]}", progress=progress)
        for bundle in embedders
    ]
    return {**measure([*trained, *earlier, *nearest], dataset, progress=progress), "path": str(out)}


def reproduce(
    experiment: str,
    data: Any = None,
    *,
    quick: bool = False,
    budget: str | None = None,
    seeds: int | None = None,
    size: int | None = None,
    out: str | Path | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> dict[str, Any]:
    """Carry out an experiment: "inception-vs-resnet", GoogLeNet and ResNet-50 for the same wall time on CIFAR-10.

    `data` are other pictures to take. `budget` is each training's ("30m"), with `seeds` (3) and `size` (32 pixels);
    `quick` is a look in ten minutes (4m, 1, 16). The Runs go to `out`, runs/inception-vs-resnet-DATA unless given; the
    same call again goes on with them. `options` are `compare`'s. Returns the experiment document, with `path`, the
    directory of the Runs.
    """
    from sightline import inception_vs_resnet as asked

    if experiment != asked.NAME:
        raise UserError(f'unknown experiment "{named(experiment)}": there is {asked.NAME}')
    length = asked.QUICK if quick else asked.WHOLE
    budget, seeds, size = budget or length.budget, seeds or length.seeds, size or length.size
    recipe, _ = _recipe(None, budget, asked.NETWORKS, dict(options))  # before what may be a long download
    if recipe.growing:
        raise UserError(
            "the experiment counts operations on pictures of one size: leave out --recipe fast, where they grow"
        )
    try:
        dataset = prepare(data or asked.DATA, progress=progress)
    except UserError as error:
        if data:
            raise
        raise UserError(f"{error}; or name pictures that are here with --data") from None
    out = Path(out) if out else Path("runs") / f"{asked.NAME}-{dataset.name}{'-quick' if quick else ''}"
    comparison = compare(
        dataset, asked.NETWORKS, seeds=seeds, budget=budget, size=size, stem=asked.STEM, out=out, progress=progress,
        **options,
    )  # fmt: skip
    path, first = comparison.pop("path"), Run.open(comparison["networks"][0]["runs"][0])
    on = first.document["results"]["device"]
    return {**asked.outcome(comparison, budget_s=seconds(budget), size=size, on=on), "path": path}


def train_scratch(
    data: Any,
    arch: str = "lenet",
    *,
    out: str | Path | None = None,
    size: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train `arch` on `data` in NumPy alone and return the Run, which every verb takes.

    `out` is a new directory, runs/ARCH-DATA unless given; `options` are the fields of `from_scratch.recipe.Recipe`
    (epochs, optimizer, lr, momentum, weight_decay, schedule, batch_size, seed).
    """
    from sightline.from_scratch.recipe import Recipe
    from sightline.from_scratch.training import train as carry_out
    from sightline.scratch.architectures import usual_size

    if out is not None:
        check_vacant(Path(out))
    usual_size(arch)  # a network that is not there is said before long work
    recipe = Recipe(**options)
    dataset = prepare(data, progress=progress)
    place = Path(out) if out else _fresh(Path("runs") / f"{arch}-{dataset.name}-s{recipe.seed}")
    return carry_out(dataset, arch, recipe, place, size=size, progress=progress)


def resume_scratch(run: str | Path | Run, *, progress: Progress = SILENT) -> Run:
    """Continue a training in NumPy where its last checkpoint stands."""
    from sightline.from_scratch.training import resume as carry_on

    return carry_on(_run(run), progress=progress)


def evaluate(
    run: str | Path | Run | Bundle | Sequence[str | Path | Run | Bundle],
    data: Any = None,
    *,
    split: str = "test",
    views: str | int = "1",
    scales: Sequence[int] = (),
    average: str | None = None,
    fit_weights: bool = False,
    save: str | Path | None = None,
    reject: float | None = None,
    unlike: float = UNLIKE_SHARE,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Measure a finished `run` (or Bundle) on a split of `data`, its own Dataset unless given; the evaluation document.

    Of several, or with `views` (1, 2, 5, 10, dense) or `scales` (pixels), the combination document: a row for each
    alone and for each combination, the answers averaged by "probabilities" (unless told) or "logits" and, with
    `fit_weights`, by weights fitted on the validation pictures. `save` is a new directory for the last row's Bundle.

    Of one alone with `reject`, a share of wrong answers it shall keep to, also how it does when it says "unknown" where
    it is unsure and to the share `unlike` of pictures that look least like what it knows.
    """
    from sightline.evaluation.comparison import evaluate as measure

    sources = [_network(one) for one in ([run] if isinstance(run, str | Path | Run | Bundle) else run)]
    if not sources:
        raise UserError("nothing to measure: give at least one run")
    options = {"--average": average, "--fit-weights": fit_weights, "--save": save}
    asked = [option for option, value in options.items() if value]
    alone = len(sources) == 1 and str(views) == "1" and not scales
    if alone and asked:
        raise UserError(f"{asked[0]} needs something to combine: give several runs, or --views or --scales")
    if reject is not None and not alone:
        raise UserError("--reject is for one network and one view: a combination has no validation answers of its own")
    if fit_weights and (len(sources) == 1 or split == "validation"):
        why = "there is one network" if len(sources) == 1 else "they would be measured on what they were fitted on"
        raise UserError(f"no weights to fit, {why}: give several runs, and another split than validation")
    if save is not None:
        check_vacant(Path(save))
    dataset = prepare(_own_data(sources) if data is None else data, progress=progress)
    if alone:
        return measure(sources[0], dataset, split, progress, reject=reject, unlike=unlike)
    from sightline.combining import Ensembling, compare_combinations

    ensembling = Ensembling(str(views), tuple(scales), average or "probabilities", fit_weights)  # type: ignore[arg-type]
    return compare_combinations(
        sources, dataset, split, ensembling, save=Path(save) if save else None, progress=progress
    )


def export(
    weights: str | Path,
    arch: str | None = None,
    *,
    out: str | Path,
    classes: str | Path | Sequence[str] | None = None,
    style: str | None = None,
    stem: str | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """A verified Bundle at `out` straight from `weights` ("imagenet", or a file), without training.

    A file that says its network needs no `arch`. `classes` are the names in order, or a file of them; "0", "1" ... if
    not given.
    """
    from sightline.exporting.classes import read_class_names
    from sightline.exporting.pretrained import export_weights
    from sightline.models.pretrained import find_weights

    check_vacant(Path(out))  # before what may be a long download
    names = read_class_names(Path(classes)) if isinstance(classes, str | Path) else classes
    found = find_weights(weights, arch, style=style, stem=stem, progress=progress)
    return export_weights(found, Path(out), style=style, stem=stem, classes=names)


def quantise(
    run: str | Path | Run | Bundle,
    data: Any = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> Bundle:
    """The Bundle of a Run (or Bundle) in 8-bit integers, at `out`, beside its own as `int8` unless given.

    Calibrated on the validation and measured on the test pictures of `data`, its own Dataset unless given; the Bundle's
    card has what was measured under "int8". UserError when fewer than 99 % of the pictures keep their first class,
    unless `force`.
    """
    from sightline.exporting.int8 import pictures_of
    from sightline.exporting.int8 import quantise as carry_out

    source = _network(run)
    place = Path(out) if out else int8_of(source)
    if out or not (place / "bundle.json").is_file() or "int8" not in read_card(place):  # nothing else is replaced
        check_vacant(place)
    dataset = prepare(_own_data([source]) if data is None else data, progress=progress)
    bundle = source if isinstance(source, Bundle) else load(source)
    calibration, test = pictures_of(bundle, dataset)
    return carry_out(bundle, calibration, test, place, force=force, progress=progress)[0]


def write_onnx(run: str | Path | Run, file: str | Path, *, opset: int | None = None, batch: int | None = None) -> Path:
    """The graph of a Run or Bundle as a new file for other runtimes, in `opset`, for batches of `batch` pictures."""
    from sightline.exporting.elsewhere import write_graph

    return write_graph(load(run), Path(file), opset=opset, batch=batch)


def int8_of(source: Run | Bundle | Path) -> Path:
    """Where the Bundle in 8-bit integers of a Run or Bundle (or its directory) lies, unless another was given."""
    if isinstance(source, Run):
        return source.path / "int8"
    path = (source if isinstance(source, Path) else source.path).resolve()
    return path.with_name(f"{path.name}-int8")


def is_network(name: str) -> bool:
    """Whether `name` is a Run (a directory or a name under runs/) or a Bundle's directory."""
    return place(name) is not None or (Path(name) / "bundle.json").exists()


def load(source: str | Path | Run, *, threads: int | None = None, int8: bool = False) -> Bundle:
    """The Bundle of a Run (a directory or a name under runs/), or a Bundle's own directory; verified.

    With `int8` the one that `quantise` made of it; UserError when there is none, or it was made of an earlier one.
    """
    if int8:
        whole = Path(source) if _is_bundle(source) else _run(source)
        made, own = int8_of(whole), whole.path / "bundle" if isinstance(whole, Run) else whole
        command = f"make it with `sightline export {_called(source)} --int8`"
        if not made.exists():
            raise UserError(f"no bundle at {named(made)}: {command}")
        bundle = Bundle.open(made, threads=threads)
        if bundle.card.get("int8", {}).get("of") != model_hash(own):
            raise UserError(f"{named(made)} is not {named(own)} in 8-bit integers: {command}")
        return bundle
    if _is_bundle(source):
        return Bundle.open(source, threads=threads)
    return _run(source).bundle(threads=threads)


def index(
    data: Any,
    run: str | Path | Run | None = None,
    out: str | Path | None = None,
    *,
    arch: str | None = None,
    weights: str | Path | None = None,
    pixels: bool = False,
    tune_budget: str | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Index:
    """An Index over the pictures of `data`, in indexes/DATA unless `out` is given.

    The pictures are embedded by `run`, by the network `arch` with `weights` ("imagenet", or a file, which may say its
    network), or are their own `pixels`. `tune_budget` ("5m") is what choosing a search method may take; `options` are
    those of `search.build.build` (split, pca, whiten, metric, method, target_recall, k).
    UserError unless one of them is given.
    """
    from sightline.embedder import pixels_of, ready_made
    from sightline.search.build import build

    if [run is not None, weights is not None, pixels].count(True) != 1 or (arch and weights is None):
        raise UserError("index needs what embeds the pictures: --run, or --weights (with --arch), or --pixels; one")
    budget_s = seconds(tune_budget) if tune_budget else None
    known = load(run) if run is not None else ready_made(weights, arch, progress) if weights is not None else None
    dataset = prepare(data, progress=progress)
    out = Path(out) if out else Path("indexes") / dataset.name
    with nullcontext(known) if known else pixels_of(dataset) as network:
        return build(dataset, network, out, tune_budget_s=budget_s, progress=progress, **options)


def _called(source: str | Path | Run) -> str:
    return named(source.path if isinstance(source, Run) else source)


def _network(source: str | Path | Run | Bundle) -> Run | Bundle:
    """A Run (a directory or a name under runs/), or a Bundle."""
    if isinstance(source, Bundle):
        return source
    return Bundle.open(source) if _is_bundle(source) else _run(source)


def _is_bundle(source: str | Path | Run) -> TypeGuard[str | Path]:
    """Whether it is a Bundle's directory."""
    return isinstance(source, str | Path) and (Path(source) / "bundle.json").exists()


def _own_data(sources: Sequence[Run | Bundle]) -> str:
    """The Dataset that all the Runs among `sources` were trained on; UserError when there is none, or several."""
    data = {source.fingerprint: source.document["data"]["path"] for source in sources if isinstance(source, Run)}
    if len(data) != 1:
        why = "the runs were trained on different data" if data else "a bundle does not say what it was trained on"
        raise UserError(f"{why}: name the data to measure on after it")
    return str(next(iter(data.values())))


def _run(run: str | Path | Run) -> Run:
    return run if isinstance(run, Run) else Run.open(run)


def _asked(
    data: Any, arch: str | None, weights: str | Path | None, epochs: int | None, budget: str | None,
    options: dict[str, Any], progress: Progress,
) -> tuple[Any, str, Any, dict[str, Any]]:  # fmt: skip
    """The Dataset, the network's name, the Recipe and the other options of one training, as `train` is asked."""
    from sightline.models.pretrained import IMAGENET, find_weights, place

    if weights is not None and options.get("tune") in (None, "auto") and epochs is None:
        budget = budget or AUTO_BUDGET
    recipe, rest = _recipe(epochs, budget, [arch] if arch else [], options)
    if recipe.tune == "head":
        _note_steps({"epochs": epochs, "budget_s": budget, **options}, progress)
    if arch is None and weights is None:
        raise UserError("train needs a network: name it with --arch, or begin with --weights")
    wanted = {"style": rest.get("style"), "stem": rest.get("stem")}
    if weights == IMAGENET:
        place(weights, arch, **wanted)  # what can be told before a download is, and missing data too
    elif weights is not None:
        rest["weights"] = find_weights(weights, arch)
    dataset = prepare(data, progress=progress)
    _note_imbalance(dataset, recipe, progress)
    if weights == IMAGENET:
        rest["weights"] = find_weights(weights, arch, **wanted, progress=progress)
    return dataset, str(arch) if weights is None else rest["weights"].arch, recipe, rest


def _recipe(
    epochs: int | None, budget: str | None, archs: Sequence[str], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The Recipe among `options`, and the options that are not its fields; names checked before any long work.

    A field that is None is the preset's.
    """
    from sightline.models import architecture
    from sightline.training.presets import USUAL, preset
    from sightline.training.recipe import Recipe

    for arch in archs:
        architecture(arch)
    if epochs is not None and budget is not None:
        raise UserError("give either --epochs or --budget, not both")
    fields = preset(options.pop("recipe", USUAL))
    rest = {name: value for name, value in options.items() if name not in Recipe.model_fields}
    fields |= {name: value for name, value in options.items() if name not in rest and value is not None}
    if budget is not None:
        return Recipe.of(**fields | {"epochs": None, "budget_s": seconds(budget)}), rest
    return Recipe.of(**{"epochs": EPOCHS} | fields | ({"epochs": epochs} if epochs is not None else {})), rest


def _note_steps(options: dict[str, Any], progress: Progress) -> None:
    """Say so when `options` are given that change nothing, as a head alone is not trained by steps."""
    from sightline.training.recipe import OF_STEPS, option_of

    idle = [option_of(name) for name in OF_STEPS if options.get(name) is not None]
    if idle:
        progress.note(f"a head alone is fitted to its optimum, without steps: {', '.join(idle)} change nothing")


def _note_imbalance(dataset: Any, recipe: Any, progress: Progress) -> None:
    """Say so when classes differ much in size and nothing was asked to make up for it."""
    said = unbalanced(dataset.imbalance)
    if said and recipe.balance == "none":
        progress.note(
            f"unbalanced: {said}; --balance weights lets rare pictures count more, sampling comes back to them"
        )


def _fresh(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 ... that does not exist."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{n}") for n in itertools.count(2)))
    return next(name for name in names if not name.exists())
