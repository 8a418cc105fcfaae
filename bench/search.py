"""Search methods side by side: ours through one Python call, and each library as its own users call it.

    python bench/search.py [--mnist FOLDER] [--million] [--json out.json]

8,677 made vectors of 150 numbers in clusters; with --mnist the 60,000 training digits of the IDX files in FOLDER, their
784 pixels on 150 principal axes; with --million made vectors of 128 numbers, 10^4 to 10^6 of them, on the disk. All of
unit length, five neighbours, 1,000 queries held out, one thread a query. Of each the fastest setting that finds 99 % is
shown, ours among those that `tune` tried. Settings take turns, so that a slow moment of the machine meets all of them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, parser, peak_bytes, tell

from sightline.core.machine import cpu_quota
from sightline.data.binary import read_idx
from sightline.search.backends import make
from sightline.search.index import Index
from sightline.search.items import FORM, Items
from sightline.search.measure import Queries, recalls
from sightline.search.metric import prepared
from sightline.search.pca import fit
from sightline.search.tune import Trial, Tuned, tune

K, TARGET, HELD = 5, 0.99, 1000
TURNS, EACH = 7, 150  # single queries: so many turns of so many
One = Callable[[np.ndarray], Any]
Many = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Setting:
    """A built index with its parameters: `one` answers a query [D], `many` gives the rows [Q, k] of queries [Q, D]."""

    who: str
    method: str
    parameters: str
    build_s: float
    size_bytes: int | None
    one: One
    many: Many


@dataclass(frozen=True)
class Row:
    """What a setting is worth; microseconds of a query alone."""

    who: str
    method: str
    parameters: str
    recall: float
    us_median: float
    us_p99: float
    queries_per_s: float
    build_s: float
    size_bytes: int | None


def clusters(count: int, dims: int, centres: int = 101, seed: int = 0) -> Iterator[np.ndarray]:
    """Unit vectors float32 in blocks [n, dims] around drawn centres, their variance falling from axis to axis."""
    draw = np.random.default_rng(seed)
    scales = np.geomspace(1, 0.1, dims)
    middles = draw.normal(size=(centres, dims)) * scales
    for start in range(0, count, 65_536):
        size = min(65_536, count - start)
        block = middles[draw.integers(centres, size=size)] + 1.2 * draw.normal(size=(size, dims)) * scales
        yield (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float32)


def digits(folder: Path) -> np.ndarray:
    """The 60,000 training digits of MNIST on 150 principal axes, of unit length first."""
    (file,) = (file for file in folder.iterdir() if file.name.startswith("train-images"))
    pixels = read_idx(file, 3).reshape(60_000, -1).astype(np.float32)
    whole = prepared(pixels, "cosine", str)
    return np.concatenate(list(fit(whole).cut(150).blocks(whole)))


def held_out(vectors: np.ndarray) -> tuple[np.ndarray, Queries]:
    """The vectors that are searched, and the queries among them."""
    order = np.random.default_rng(1).permutation(len(vectors))
    known = np.ascontiguousarray(vectors[np.sort(order[HELD:])])
    return known, Queries.among(known, np.ascontiguousarray(vectors[order[:HELD]]), K)


def ours(known: np.ndarray, tuned: Tuned, metric: str) -> list[Setting]:
    """The settings of each of our methods that find enough soonest, alone and many at once, called through an Index."""
    reached = [one for one in tuned.trials if one.measured and (one.measured.recall >= TARGET or one.method == "exact")]
    soonest = {one.method: one for one in sorted(reached, key=lambda one: -figure(one, "latency_us_median"))}
    most = {one.method: one for one in sorted(reached, key=lambda one: figure(one, "queries_per_s"))}
    made = []
    for trial in [*soonest.values(), *(one for name, one in most.items() if one is not soonest[name])]:
        began = time.perf_counter()
        backend = make(trial.method, **trial.parameters).fit(known)
        seconds = time.perf_counter() - began
        words = ", ".join(f"{key} {value}" for key, value in trial.parameters.items())
        one, many = called(opened(known, backend, metric))
        made.append(Setting("sightline", trial.method, words, seconds, trial.size_bytes, one, many))
    return made


def figure(trial: Trial, name: str) -> float:
    """What was measured of a trial by that name."""
    return float(getattr(trial.measured, name))


def called(index: Index) -> tuple[One, Many]:
    """A query, and many of them, by the one call that an Index has for vectors."""
    return lambda query: index.search_batch(query[None], K), lambda queries: index.search_batch(queries, K)[1]


def opened(known: np.ndarray, backend: Any, metric: str = "cosine") -> Index:
    """An Index over these vectors, without pictures."""
    document = {"metric": metric, "embedding_dim": known.shape[1], "count": len(known)}
    items = Items(np.zeros(len(known), FORM), np.zeros(0, np.uint8), ())
    return Index(Path("bench"), document, known, items, backend, None)


def peers(known: np.ndarray) -> Iterator[Setting]:
    """Every setting of the libraries as their own users call them; one that is not installed is left out."""
    for library in (annoy, hnswlib, usearch, faiss_plain, faiss_autotune, scann):
        try:
            yield from library(known)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)


def annoy(known: np.ndarray) -> Iterator[Setting]:
    """Annoy, 40 trees, its own search_k and more."""
    from annoy import AnnoyIndex

    index, began = AnnoyIndex(known.shape[1], "euclidean"), time.perf_counter()
    for row, vector in enumerate(known):
        index.add_item(row, vector)
    index.build(40, n_jobs=cpu_quota())
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.save(f"{folder}/index")
        size = Path(folder, "index").stat().st_size
        for effort in (-1, 400, 800, 1600, 3200, 6400):

            def one(query: np.ndarray, effort: int = effort) -> Any:
                return index.get_nns_by_vector(query, K, effort)

            def many(queries: np.ndarray, effort: int = effort) -> np.ndarray:
                return np.array([index.get_nns_by_vector(query, K, effort) for query in queries])

            words = "40 trees" + ("" if effort < 0 else f", search_k {effort}")
            yield Setting("annoy", "annoy", words, seconds, size, one, many)


def hnswlib(known: np.ndarray) -> Iterator[Setting]:
    """hnswlib, M 16, efConstruction 200."""
    import hnswlib as library

    index, began = library.Index("l2", known.shape[1]), time.perf_counter()
    index.init_index(len(known), ef_construction=200, M=16)
    index.add_items(known, num_threads=cpu_quota())
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.save_index(f"{folder}/index")
        size = Path(folder, "index").stat().st_size
    for effort in (10, 14, 20, 28, 40, 60, 100):

        def one(query: np.ndarray, effort: int = effort) -> Any:
            return index.knn_query(query, K, num_threads=1)

        def many(queries: np.ndarray, effort: int = effort) -> np.ndarray:
            index.set_ef(effort)
            return np.asarray(index.knn_query(queries, K, num_threads=cpu_quota())[0], np.int64)

        yield Setting("hnswlib", "hnsw", f"M 16, ef {effort}", seconds, size, Told(one, index.set_ef, effort), many)


def usearch(known: np.ndarray) -> Iterator[Setting]:
    """Usearch with its defaults."""
    from usearch.index import Index as Library

    for effort in (16, 32, 64, 128):
        index, began = Library(ndim=known.shape[1], metric="l2sq", expansion_search=effort), time.perf_counter()
        index.add(np.arange(len(known)), known, threads=cpu_quota())
        seconds = time.perf_counter() - began

        def one(query: np.ndarray, index: Any = index) -> Any:
            return index.search(query, K)

        def many(queries: np.ndarray, index: Any = index) -> np.ndarray:
            return np.asarray(index.search(queries, K, threads=cpu_quota()).keys, np.int64)

        yield Setting("usearch", "hnsw", f"expansion {effort}", seconds, index.memory_usage, one, many)


def faiss_plain(known: np.ndarray) -> Iterator[Setting]:
    """FAISS's flat index, HNSW16 and IVF with as many cells as the root of the vectors, through its own Python."""
    import faiss

    efforts: dict[str, tuple[int, ...]] = {
        "Flat": (0,),
        "HNSW16": (16, 24, 40, 64, 128),
        f"IVF{2 ** round(np.log2(4 * len(known) ** 0.5)) // 4},Flat": (1, 2, 4, 8, 16, 32),
    }
    for words, tried in efforts.items():
        faiss.omp_set_num_threads(cpu_quota())
        began = time.perf_counter()
        index: Any = faiss.index_factory(known.shape[1], words)
        index.train(known)
        index.add(known)
        seconds = time.perf_counter() - began
        for effort in tried:
            yield in_faiss("faiss", words, index, effort, seconds)


def faiss_autotune(known: np.ndarray) -> Iterator[Setting]:
    """What FAISS's AutoTune picks for IVF with four times the root as cells, on 1,000 of the vectors as queries."""
    import faiss

    faiss.omp_set_num_threads(1)
    words = f"IVF{2 ** round(np.log2(4 * len(known) ** 0.5))},Flat"
    began = time.perf_counter()
    index: Any = faiss.index_factory(known.shape[1], words)
    index.train(known)
    index.add(known)
    asked = known[:: len(known) // HELD][:HELD] + np.float32(1e-3)
    squares, rows = faiss.knn(asked, known, K)
    criterion: Any = faiss.IntersectionCriterion(len(asked), K)
    criterion.set_groundtruth(squares, rows)
    space: Any = faiss.ParameterSpace()
    space.initialize(index)
    space.verbose = 0
    points = space.explore(index, asked, criterion)
    optimal = [points.optimal_pts.at(place) for place in range(points.optimal_pts.size())]
    enough = next((point for point in optimal if point.perf >= TARGET), optimal[-1])
    space.set_index_parameters(index, enough.key)
    yield in_faiss("faiss AutoTune", words, index, int(index.nprobe), time.perf_counter() - began)


def in_faiss(who: str, words: str, index: Any, effort: int, seconds: float) -> Setting:
    """A FAISS index with an effort: nprobe or efSearch."""
    import faiss

    def set_effort(effort: int) -> None:
        if "IVF" in words:
            index.nprobe = effort
        elif "HNSW" in words:
            index.hnsw.efSearch = effort

    def one(query: np.ndarray) -> Any:
        return index.search(query[None], K)

    def many(queries: np.ndarray) -> np.ndarray:
        set_effort(effort)
        faiss.omp_set_num_threads(cpu_quota())
        rows = index.search(queries, K)[1]
        faiss.omp_set_num_threads(1)
        return rows

    size = len(faiss.serialize_index(index))
    shown = f"{words}, effort {effort}" if effort else words
    return Setting(
        who, words.split(",")[0].rstrip("0123456789").lower(), shown, seconds, size, Told(one, set_effort, effort), many
    )


def scann(known: np.ndarray) -> Iterator[Setting]:
    """ScaNN as its guide has it: a tree of root-N leaves, codes of two numbers, the best compared again."""
    from scann import scann_ops_pybind as library

    leaves, began = 2 ** round(np.log2(len(known) ** 0.5)), time.perf_counter()
    index = (
        library.builder(known, 10, "squared_l2")
        .tree(leaves, 8, training_sample_size=min(len(known), 250_000))
        .score_ah(2, anisotropic_quantization_threshold=0.2)
        .reorder(100)
        .build()
    )
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.serialize(folder)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    for effort in (2, 4, 8, 16, 32):
        wanted = {"final_num_neighbors": K, "pre_reorder_num_neighbors": 50, "leaves_to_search": effort}

        def one(query: np.ndarray, wanted: dict[str, int] = wanted) -> Any:
            return index.search(query, **wanted)

        def many(queries: np.ndarray, wanted: dict[str, int] = wanted) -> np.ndarray:
            return np.asarray(index.search_batched_parallel(queries, **wanted)[0], np.int64)

        yield Setting("scann", "scann", f"{leaves} leaves, {effort} searched", seconds, size, one, many)


class Told:
    """`one` of an index whose effort is set beforehand, and not in the time that is measured."""

    def __init__(self, one: One, tell: Callable[[int], Any], effort: int) -> None:
        self.one, self.tell, self.effort = one, tell, effort

    def __call__(self, query: np.ndarray) -> Any:
        return self.one(query)


def measured(settings: list[Setting], known: np.ndarray, queries: Queries) -> list[Row]:
    """What each setting is worth, all taking turns."""
    import faiss

    faiss.omp_set_num_threads(1)
    taken: list[list[float]] = [[] for _ in settings]
    many: list[list[float]] = [[] for _ in settings]
    shares = [0.0] * len(settings)
    for turn in range(TURNS):
        for number, setting in enumerate(settings):
            began = time.perf_counter()
            rows = setting.many(queries.vectors)
            many[number].append(len(queries.vectors) / (time.perf_counter() - began))
            if isinstance(setting.one, Told):
                setting.one.tell(setting.one.effort)
            if not turn:
                shares[number] = float(recalls(np.where(rows < 0, 0, rows), known, queries).mean())
            for place in range(EACH):
                query = queries.vectors[(turn * EACH + place) % len(queries.vectors)]
                began = time.perf_counter()
                setting.one(query)
                taken[number].append(time.perf_counter() - began)
    return [
        Row(
            one.who, one.method, one.parameters, share, 1e6 * statistics.median(times),
            1e6 * float(np.quantile(times, 0.99)), statistics.median(rates), one.build_s, one.size_bytes,
        )
        for one, share, times, rates in zip(settings, shares, taken, many, strict=True)
    ]  # fmt: skip


def told(rows: list[Row], tuned: Tuned, title: str) -> dict[str, Any]:
    """The fastest of each library's method that finds enough, and what was chosen, as JSON; printed too."""
    kept: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = row.who, row.method
        if (row.recall >= TARGET or row.who == "sightline") and (
            key not in kept or row.us_median < kept[key].us_median
        ):
            kept[key] = row
    shown = sorted(kept.values(), key=lambda row: row.us_median)
    for row in shown:
        words = f"{row.who} {row.method} ({row.parameters})"
        print(f"{words:<60} {row.recall:.4f} {row.us_median:9.1f} us {row.queries_per_s:10,.0f}/s", file=sys.stderr)
    chosen = tuned.chosen.to_dict()
    return {"title": title, "rows": [asdict(row) for row in shown], "chosen": chosen, "why": tuned.why,
            "tuned_s": tuned.seconds}  # fmt: skip


def as_text(table: dict[str, Any]) -> dict[str, Any]:
    """A table of settings as docs/results.md shows it, the fastest query first."""
    rows = [
        [
            row["who"], row["method"], row["parameters"], f"{row['recall']:.4f}", f"{row['us_median']:,.1f}",
            f"{row['us_p99']:,.0f}", f"{row['queries_per_s']:,.0f}", f"{row['build_s']:.1f}",
            "-" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:,.1f}",
        ]
        for row in table["rows"]
    ]  # fmt: skip
    columns = ["by", "method", "setting", "recall", "us a query", "1 in 100 over", "queries/s", "s to build", "MB"]
    note = f"`tune` took {table['tuned_s']:.0f} s and chose: {table['why']}. "
    note += "Below 99 % are settings of ours that other queries gave 99 % while tuning."
    return {"title": table["title"], "columns": columns, "rows": rows, "note": note}


def growing(growth: list[dict[str, Any]]) -> dict[str, Any]:
    """How tuning and searching grow with the number of vectors."""
    rows = [
        [
            f"{one['count']:,}", f"{one['method']} ({', '.join(f'{k} {v}' for k, v in one['parameters'].items())})",
            f"{one['recall']:.4f}", f"{one['us_median']:,.0f}", f"{one['queries_per_s']:,.0f}",
            f"{one['exact_us']:,.0f}", f"{one['autotune']['us_median']:,.0f} ({one['autotune']['recall']:.4f})",
            f"{one['build_s']:.1f}", f"{one['tuned_s']:.0f}", f"{one['size_bytes'] / 1e6:,.0f}",
            f"{one['peak_bytes'] / 1e6:,.0f}",
        ]
        for one in growth
    ]  # fmt: skip
    columns = [
        "vectors", "chosen", "recall", "us a query", "queries/s", "exact, us", "AutoTune, us (recall)", "s to build",
        "s to tune", "MB read", "MB at most",
    ]  # fmt: skip
    note = "Memory is the most of the process that tunes; the vectors, mapped from a file, count in it."
    return {"title": "Made vectors of 128 numbers on the disk", "columns": columns, "rows": rows, "note": note}


def compared(vectors: np.ndarray, title: str, metric: str = "cosine") -> tuple[dict[str, Any], list[Row]]:
    """Every method and peer over `vectors`."""
    known, queries = held_out(vectors)
    tuned = tune(known, target_recall=TARGET, k=K)
    rows = measured([*ours(known, tuned, metric), *peers(known)], known, queries)
    return told(rows, tuned, title), rows


def wrapper(vectors: np.ndarray) -> float:
    """Microseconds that our call takes beyond FAISS's own Python call on the same index, of a query; medians."""
    known, queries = held_out(vectors)
    backend = make("ivf", cells=128, effort=3).fit(known)
    index, bare = opened(known, backend), backend._index  # type: ignore[attr-defined]
    index.search_batch(queries.vectors[:1], K)
    taken: tuple[list[float], list[float]] = [], []
    asked = [query[None] for query in queries.vectors]
    for turn in range(10 * TURNS):
        for place, query in enumerate(asked):
            began = time.perf_counter()
            if (turn + place) % 2:  # by turns, and no query twice in a row: its vectors would lie in the cache
                index.search_batch(query, K)
            else:
                bare.search(query, K)
            taken[(turn + place) % 2].append(time.perf_counter() - began)
    return 1e6 * (statistics.median(taken[1]) - statistics.median(taken[0]))


def grown(count: int, folder: str, budget_s: float) -> dict[str, Any]:
    """What tuning makes of so many vectors on the disk, beside FAISS's AutoTune; in a process of its own."""
    file = Path(folder) / f"{count}.npy"
    vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, 128))
    start = 0
    for block in clusters(count, 128, centres=1000):
        vectors[start : start + len(block)] = block
        start += len(block)
    vectors.flush()
    del vectors
    mapped = np.load(file, mmap_mode="r")
    began = time.perf_counter()
    tuned = tune(mapped, target_recall=TARGET, k=K, budget_s=budget_s)
    peak = peak_bytes()
    seconds = time.perf_counter() - began
    chosen = tuned.chosen
    assert chosen.measured
    exact = tuned.trials[0].measured
    assert exact
    result = {
        "count": count, "method": chosen.method, "parameters": chosen.parameters, "recall": chosen.measured.recall,
        "us_median": chosen.measured.latency_us_median, "queries_per_s": chosen.measured.queries_per_s,
        "build_s": chosen.build_seconds, "size_bytes": chosen.size_bytes, "tuned_s": seconds, "peak_bytes": peak,
        "exact_us": exact.latency_us_median,
    }  # fmt: skip
    known, queries = held_out(mapped)
    theirs = measured(list(faiss_autotune(known)), known, queries)[0]
    return {**result, "autotune": asdict(theirs)}


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--mnist", type=Path, help="a folder with MNIST's IDX files")
    arguments.add_argument("--million", action="store_true", help="10^4 to 10^6 vectors of 128 numbers too")
    arguments.add_argument("--budget", type=float, default=900, help="seconds for tuning a million (default 900)")
    options = arguments.parse_args()
    vectors = np.concatenate(list(clusters(8677, 150)))
    first, rows = compared(vectors, "8,677 made vectors of 150 numbers")
    tables = [first]
    enough = [row for row in rows if row.who == "sightline" and row.recall >= TARGET]
    best = min(enough, key=lambda row: row.us_median)
    fast = [row for row in rows if row.who != "sightline" and row.recall >= TARGET]
    peer = min(fast, key=lambda row: row.us_median)
    trees = min((row for row in fast if row.who == "annoy"), key=lambda row: row.us_median)
    batch = max(fast, key=lambda row: row.queries_per_s)
    most = max(enough, key=lambda row: row.queries_per_s)

    def us(row: Row) -> str:
        return f"{row.us_median:.1f} us ({row.who}, {row.recall:.4f})"

    over = wrapper(vectors)
    ten = tune(np.concatenate(list(clusters(10_000, 150))), target_recall=TARGET, k=K).seconds
    figures = [
        Figure("a query, ours / Annoy with 40 trees", us(best), us(trees), best.us_median / trees.us_median, "<= 0.5"),
        Figure("a query, ours / the best peer", us(best), us(peer), best.us_median / peer.us_median, "<= 1.1"),
        Figure("our call / FAISS's own Python call, beyond it", "", "", over, "<= 3", " us"),
        Figure("many at once, the best peer / ours", f"{most.queries_per_s:,.0f}/s",
               f"{batch.queries_per_s:,.0f}/s ({batch.who})", batch.queries_per_s / most.queries_per_s, "<= 1.1"),
        Figure("tuning 10,000 vectors", f"{ten:.1f} s", "", ten, "<= 60", " s"),
    ]  # fmt: skip
    if options.mnist:
        tables.append(compared(digits(options.mnist), "MNIST's 60,000 digits, 784 pixels on 150 axes", "euclidean")[0])
    growth = []
    if options.million:
        with tempfile.TemporaryDirectory() as folder:
            for count in (10_000, 100_000, 1_000_000):
                context = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=context) as alone:
                    growth.append(alone.submit(grown, count, folder, options.budget).result())
                print(json.dumps(growth[-1]), file=sys.stderr)
        last = growth[-1]
        theirs = last["autotune"]["us_median"]
        figures.append(
            Figure("10^6 vectors, a query, ours / AutoTune's", f"{last['us_median']:.0f} us ({last['recall']:.4f})",
                   f"{theirs:.0f} us ({last['autotune']['recall']:.4f})", last["us_median"] / theirs, "<= 1.1")
        )  # fmt: skip
    shown = [as_text(table) for table in tables] + ([growing(growth)] if growth else [])
    tell(
        "search", "Search methods", figures,
        f"{HELD:,} queries, {K} neighbours; {TURNS} turns of {EACH} single ones on one thread, "
        f"builds and batches on {cpu_quota()}; OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}",
        options.json, tables=shown,
    )  # fmt: skip


if __name__ == "__main__":
    main()
