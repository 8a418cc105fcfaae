"""Tuning: which search method, with which parameters, finds enough of the true neighbours soonest on these vectors.

Some vectors are held out as queries and every method is built over the others. Its effort is raised until the recall,
on its confidence bound, reaches the target; the fastest that does is chosen, unless exact search is nearly as fast. Of
many vectors a sample says first which methods are worth building over all. The fastest few are timed again, by turns
with exact search, before one is chosen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import UserError
from sightline.core.kept import kept as keep
from sightline.core.progress import SILENT, Advance, Progress
from sightline.core.wording import percent
from sightline.search.backends import BACKENDS, make
from sightline.search.backends.backend import Absent, Backend
from sightline.search.measure import QUERIES, Measured, Queries, by_turns, measured

TARGET_RECALL, NEIGHBOURS = 0.99, 5
GAIN = 1.2  # times as fast as exact search a method must be
HELD_OUT = 0.2  # of few vectors, at most
ENOUGH = 300  # queries without a miss say that 99 % are found; up to half of few vectors make as many
SAMPLE = 20_000  # vectors that say which methods to build over more than twice as many
FINALISTS = 3
KEPT, KEPT_OF_MANY = 8, 1  # built indexes that are timed again, at most: each may hold all vectors in memory
BLOCK = 65_536  # vectors copied at once
MOST_BYTES = 256 << 20  # of vectors, beyond which those that are not held out are copied to the disk
MANY = "ivf"
SEED = 0
NOTHING: Mapping[str, None] = {}


@dataclass(frozen=True)
class Trial:
    """A method with its parameters, and what it is worth; `measured` is None where `why` says so.

    `build_seconds` is for all efforts of one build; `size_bytes` what is read while searching.
    """

    method: str
    library: str
    parameters: dict[str, int]
    build_seconds: float | None = None
    size_bytes: int | None = None
    measured: Measured | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        figures = self.measured.to_dict() if self.measured else {}
        return {
            "method": self.method, "library": self.library, "parameters": self.parameters,
            "build_seconds": self.build_seconds, "size_bytes": self.size_bytes, **figures,
            **({"why": self.why} if self.why else {}),
        }  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """The `chosen` trial among all `trials`, the exact search first, and `why` in a sentence."""

    chosen: Trial
    trials: tuple[Trial, ...]
    why: str
    target_recall: float
    k: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "target_recall": self.target_recall, "k": self.k, "seconds": self.seconds, "why": self.why,
            "chosen": self.chosen.to_dict(), "trials": [trial.to_dict() for trial in self.trials],
        }  # fmt: skip


def tune(
    vectors: np.ndarray,
    *,
    target_recall: float = TARGET_RECALL,
    k: int = NEIGHBOURS,
    budget_s: float | None = None,
    scratch: Path | None = None,
    progress: Progress = SILENT,
) -> Tuned:
    """The search method for `vectors` float32 [N, D], which may be memory-mapped; N >= 2.

    `k` neighbours are asked for (fewer where there are fewer). With `budget_s` no build begins that would not end
    within that many seconds. Files that are gone afterwards lie in `scratch`, where the system wants them unless given.
    UserError for a target outside (0, 1].
    """
    check_target(target_recall)
    search = _Search(target_recall, k, budget_s or np.inf, scratch, progress)
    if len(vectors) > 2 * SAMPLE:
        search.over(_drawn(vectors, SAMPLE), list(BACKENDS))
        search.paces = {trial.method: trial.build_seconds / SAMPLE for trial in search.trials if trial.build_seconds}
        finalists = search.finalists()
        scouted, search.trials = search.trials, []
        search.over(vectors, ["exact", *finalists], finalists)
        passed = {trial.method for trial in search.trials}
        search.trials += [
            Trial(trial.method, trial.library, {}, why=trial.why or search.passed_over(trial.method, scouted))
            for trial in {trial.method: trial for trial in scouted}.values()
            if trial.method not in passed
        ]
    else:
        search.over(vectors, list(BACKENDS))
    return search.outcome()


def check_target(recall: float) -> None:
    """UserError when `recall` is none."""
    if not 0 < recall <= 1:
        raise UserError(f"--target-recall {recall:g}: a recall is above 0 and at most 1")


@dataclass
class _Search:
    target: float
    k: int
    budget_s: float
    scratch: Path | None
    progress: Progress
    trials: list[Trial] = field(default_factory=list)
    built: list[tuple[int, Backend]] = field(default_factory=list)
    settled: list[Trial] = field(default_factory=list)
    kept: int = KEPT
    paces: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def over(
        self, vectors: np.ndarray, methods: list[str], settled: Mapping[str, dict[str, int] | None] = NOTHING
    ) -> None:
        """Try `methods` over `vectors`, exact search first; of one with `settled` parameters no other ones."""
        held = np.sort(np.random.default_rng(SEED).permutation(len(vectors))[: self._held(len(vectors))])
        self.kept = KEPT if vectors.nbytes <= MOST_BYTES else KEPT_OF_MANY
        with _without(vectors, held, self.scratch) as known, self.progress.task("Tuning", None, "trials") as advance:
            queries = Queries.among(known, np.ascontiguousarray(vectors[held]), min(self.k, len(known)))
            for method in methods:
                builds, own = BACKENDS[method].builds(*known.shape), settled.get(method)
                alike = builds == BACKENDS[method].builds(SAMPLE, known.shape[1])  # or they grow with the vectors
                self._try(method, [own] if own and alike else builds, known, queries, advance)
            self._settle(queries)

    def _held(self, count: int) -> int:
        return max(1, min(QUERIES, max(int(HELD_OUT * count), min(ENOUGH, count // 2))))

    def _try(
        self, method: str, builds: list[dict[str, int]], known: np.ndarray, queries: Queries, advance: Advance
    ) -> None:
        """Build `method` in each of these ways, as far as the budget goes."""
        library, pace = BACKENDS[method].LIBRARY, self.paces.get(method, 0.0)
        for parameters in builds:
            if method != "exact" and self._elapsed() + pace * len(known) > self.budget_s:
                self.trials.append(Trial(method, library, parameters, why="no time left"))
                return
            began = time.perf_counter()
            try:
                backend = make(method, **parameters).fit(known)
            except Absent as error:
                self.trials.append(Trial(method, library, {}, why=str(error)))
                return
            seconds = time.perf_counter() - began
            size = _size(backend, known, self.scratch)
            for found in self._efforts(backend, known, queries):
                self.trials.append(Trial(method, library, backend.parameters, seconds, size, found))
                advance(1, method=method, recall=f"{found.recall:.3f}")
            if method == "exact" or self.trials[-1] in self._fit():
                self._keep(len(self.trials) - 1, backend)

    def _keep(self, place: int, backend: Backend) -> None:
        """Keep exact search and the fastest built, to be timed again."""
        self.built.append((place, backend))
        others = sorted(self.built[1:], key=lambda one: _latency(self.trials[one[0]]))
        self.built = [self.built[0], *others[: self.kept]]

    def _settle(self, queries: Queries) -> None:
        """Time what was kept by turns."""
        if len(self.built) > 1:
            times = by_turns([backend for _, backend in self.built], queries)
            for (place, _), (median, slowest) in zip(self.built, times, strict=True):
                trial = self.trials[place]
                assert trial.measured
                again = replace(trial.measured, latency_us_median=median, latency_us_p99=slowest)
                self.trials[place] = replace(trial, measured=again)
        settled = {place for place, _ in self.built}
        self.settled, self.built = [self.trials[place] for place in sorted(settled)], []

    def _efforts(self, backend: Backend, known: np.ndarray, queries: Queries) -> Iterator[Measured]:
        """What `backend` is worth with more and more effort, until it finds enough or takes too long."""
        for effort in backend.EFFORTS or (0,):
            if backend.EFFORTS:
                backend.effort = effort
            found = measured(backend, known, queries)
            yield found
            exact = self.trials[0].measured
            slow = exact is not None and found.latency_us_median > exact.latency_us_median
            if found.recall_low >= self.target or slow or self._elapsed() > self.budget_s:
                return

    def _elapsed(self) -> float:
        return time.perf_counter() - self.began

    def _fit(self) -> list[Trial]:
        """The trials that reach the target, fastest first."""
        reached = [trial for trial in self.trials if trial.measured and trial.measured.recall_low >= self.target]
        return sorted(reached, key=_latency)

    def finalists(self) -> dict[str, dict[str, int] | None]:
        """The methods to build over all vectors, those soonest built first, with what served the sample best.

        The few that were fastest, and inverted lists in any case: they gain most from being many.
        """
        best = {trial.method: trial for trial in reversed(self._fit()) if trial.method != "exact"}
        ranked = sorted(best.values(), key=_latency)[:FINALISTS]
        found = {MANY: None, **{trial.method: _built_with(trial) for trial in ranked}}
        return dict(sorted(found.items(), key=lambda one: self.paces.get(one[0], 0.0)))

    def passed_over(self, method: str, scouted: list[Trial]) -> str:
        """Why a method that was tried on a sample was not built over all."""
        own = [trial.measured for trial in scouted if trial.method == method and trial.measured]
        enough = any(one.recall_low >= self.target for one in own)
        return f"{'slower' if enough else 'found too little'} among {SAMPLE:,} of the vectors"

    def outcome(self) -> Tuned:
        """The fastest that reaches the target, or exact search."""
        exact = self.trials[0]
        best = min((trial for trial in self.settled if trial.method != "exact"), key=_latency, default=None)
        gain = _latency(exact) / _latency(best) if best else 0.0
        if best and best.measured and gain >= GAIN:
            why = (
                f"{_spoken(best)} finds {best.measured.recall:.2%} of the true {best.measured.k} neighbours (at least "
                f"{best.measured.recall_low:.2%}) and is {gain:.1f} times as fast as exact search"
            )
            chosen = best
        elif best:
            chosen = exact
            why = f"exact search is enough: {_spoken(best)}, the fastest that finds as much as asked for, is "
            why += f"{gain:.2f} times as fast"
        else:
            chosen, why = (
                exact,
                f"exact search: nothing else was seen to find {percent(self.target)} of the true neighbours",
            )
        return Tuned(chosen, tuple(self.trials), why, self.target, self.k, self._elapsed())


def _latency(trial: Trial) -> float:
    return trial.measured.latency_us_median if trial.measured else np.inf


def _built_with(trial: Trial) -> dict[str, int]:
    """The parameters that a trial was built with, without its effort."""
    return {name: value for name, value in trial.parameters.items() if name != "effort"}


def _spoken(trial: Trial) -> str:
    return f"{trial.method} ({', '.join(f'{name} {value}' for name, value in trial.parameters.items())})"


def _size(backend: Backend, known: np.ndarray, scratch: Path | None) -> int:
    """Bytes that are read while searching."""
    with tempfile.TemporaryDirectory(prefix=".v0.", dir=scratch) as folder:
        backend.save(Path(folder))
        files = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return files + (known.nbytes if backend.READS_VECTORS else 0)


def _drawn(vectors: np.ndarray, count: int) -> np.ndarray:
    """So many of `vectors`, in memory."""
    rows = np.random.default_rng(SEED).permutation(len(vectors))[:count]
    return np.ascontiguousarray(vectors[np.sort(rows)])


@contextmanager
def _without(vectors: np.ndarray, held: np.ndarray, scratch: Path | None) -> Iterator[np.ndarray]:
    """`vectors` but for the rows `held`, ascending: of many a file in `scratch` that is mapped, and gone afterwards."""
    kept = np.ones(len(vectors), bool)
    kept[held] = False
    if vectors.nbytes <= MOST_BYTES:
        yield np.ascontiguousarray(vectors[kept])
        return
    with tempfile.TemporaryDirectory(prefix=".v0.", dir=scratch) as folder:
        shape = (len(vectors) - len(held), vectors.shape[1])
        starts = range(0, len(vectors), BLOCK)
        parts = (vectors[start : start + BLOCK][kept[start : start + BLOCK]] for start in starts)
        yield keep(Path(folder) / "known.npy", shape, np.float32, lambda: parts, "vectors while tuning")
