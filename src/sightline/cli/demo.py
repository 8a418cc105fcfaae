"""`sightline demo`: the whole way on real handwritten digits, in minutes and without a network connection.

Check the pictures, train two networks, compare them, index, search for look-alikes, predict new pictures, and join it
all on one page.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.output import Bars, note, print_json, print_line
from sightline.cli.parameters import Json, Seed
from sightline.core.wording import duration, size

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

NETWORKS = ("resnet20", "googlenet_small")
EPOCHS = 36
NEW = 4  # test pictures written out as if they came from elsewhere


def command(
    out: Annotated[Path, typer.Option(help="The directory to write; what is there is used again.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each network.")] = 1,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Show everything on handwritten digits: check, train two networks, compare, index, search, predict."""
    from sightline import api
    from sightline.cli import compare, data
    from sightline.core.machine import PeakMemory
    from sightline.search.index import Index

    began = time.perf_counter()
    with PeakMemory() as memory:
        note("1. the pictures: 1,797 handwritten digits that scikit-learn ships")
        dataset = api.prepare("digits", out / "digits", progress=Bars())
        note(f"2. two networks: {' and '.join(NETWORKS)}, {EPOCHS} epochs each")
        comparison = api.compare(
            dataset, NETWORKS, seeds=seeds, epochs=EPOCHS, seed=seed, out=out / "runs", progress=Bars()
        )
        best = max(comparison["networks"], key=lambda network: network["top1"]["mean"])
        note(f"3. look-alikes, by the better network: {best['arch']}")
        index = Index.open(api.index(dataset, best["runs"][0], out / "index", progress=Bars()).path)
        new = write_new(dataset, out / "new pictures")
        documents = found(index, new)
        note("4. predictions for new pictures")
        predictions = [predicted(answer) for answer in api.load(best["runs"][0]).predict(new)]
        comparison["command"] = commands(out)
        page = write_page(dataset, [comparison, *documents, *predictions], out / "report.html")
    seconds, peak_bytes = time.perf_counter() - began, memory.peak_bytes
    if json:
        joined = {"dataset": dataset.summary(), "comparison": comparison, "searches": documents}
        joined |= {"predictions": predictions, "report": str(page), "seconds": seconds, "peak_memory_bytes": peak_bytes}
        print_json({"kind": "demo", **joined})
        return
    data.show(dataset)
    compare.show(comparison)
    show_answers(documents, predictions)
    print_line(f"{duration(seconds)}, {size(peak_bytes)} of memory at most")
    print_line(f"report  {page}")


def write_new(dataset: Dataset, folder: Path) -> list[str]:
    """A few test pictures as PNG files, evenly spread over the classes; their paths."""
    rows = dataset.rows("test")
    labels = dataset.labels(rows)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for label in range(0, len(dataset.classes), max(1, len(dataset.classes) // NEW)):
        row = int(rows[labels == label][0])
        path = folder / f"a {dataset.classes[label]}.png"
        dataset.picture(row).save(path)
        paths.append(str(path))
    return paths[:NEW]


def found(index: Any, pictures: list[str]) -> list[dict[str, Any]]:
    """The search documents of `pictures`; a picture's own copy in the index is no look-alike."""
    from sightline.cli.search import answer

    document = answer(index, pictures, k=9)
    for query in document["queries"]:
        query["neighbours"] = [near for near in query["neighbours"] if near["distance"] > 1e-6][:8]
    return [document]


def predicted(answer: Any) -> dict[str, Any]:
    """The prediction document of one answer."""
    from sightline.cli.predict import document

    return {"kind": "prediction", **document(answer)}


def commands(out: Path) -> list[str]:
    """The four commands that do the same for a folder of photos."""
    return [
        "sightline data photos.zip",
        f"sightline compare photos.zip {' '.join(f'--arch {name}' for name in NETWORKS)} --out runs/photos",
        f"sightline index photos.zip --run runs/photos/{NETWORKS[0]}-s0",
        "sightline search indexes/photos picture.jpg",
    ]


def write_page(dataset: Dataset, documents: list[dict[str, Any]], out: Path) -> Path:
    """Everything on one page."""
    from sightline.cli.pages import samples_of, shown_in, thumbnails
    from sightline.report.pages import report_page

    samples = samples_of(dataset)
    names = [name for of_class in samples.values() for name in of_class]
    names += [name for document in documents for name in shown_in(document)]
    comparison, *rest = documents
    joined = [comparison, {**dataset.summary(), "samples": samples}, *rest]
    return report_page(joined, thumbnails(names), out)


def show_answers(searches: list[dict[str, Any]], predictions: list[dict[str, Any]]) -> None:
    """What was found and predicted, a line a picture."""
    for search in searches:
        for query in search["queries"]:
            print_line(f"{query['picture']} looks like: {' '.join(near['label'] for near in query['neighbours'])}")
    for prediction in predictions:
        first = prediction["classes"][0]
        print_line(f"{prediction['picture']} is a {first['class']} ({first['probability']:.1%})")
