"""From scratch to an accuracy: a network on small pictures, each recipe as short as it can be to get there.

    python bench/time_to_accuracy.py PICTURES [--arch resnet20] [--goal 0.7] [--seeds 5] [--begin fast=4 ...]
        [--longest 12] [--out runs/time_to_accuracy] [--json out.json]

A recipe's schedule ends with its last epoch, so each is trained at several lengths: its shortest is the fewest epochs
after which the median of the seeds is right on `goal` of the test pictures. Looked for from --begin on, upwards where
that is too short and downwards else; a length is given up when it is certain that its median falls short, and a recipe
beyond --longest epochs, as one that takes longer than what was tried. The time is
training's, validation included, median of the seeds; decoding the pictures, which a cache keeps, and the export, alike
for all, are left out. What is in --out is kept: the same command goes on after a break, and should be given an idle
machine throughout.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, parser, tell

import sightline
from sightline.data.dataset import Dataset
from sightline.run import Run

RECIPES = {"fast": "the fast recipe", "usual": "one-cycle SGD, the usual recipe", "paper": "the paper's recipe"}
BEGIN = {"fast": 4, "usual": 9, "paper": 12}


@dataclass(frozen=True)
class Length:
    """What the trainings of one length brought: a share right on test and seconds for each seed that was tried."""

    epochs: int
    accuracies: list[float]
    seconds: list[float]

    def reaches(self, goal: float, seeds: int) -> bool | None:
        """Whether the median of `seeds` trainings is at least `goal`; None while that is open."""
        short = sum(accuracy < goal for accuracy in self.accuracies)
        if short > seeds // 2:
            return False
        return True if len(self.accuracies) == seeds else None


@dataclass(frozen=True)
class Search:
    """The shortest length of each recipe for `dataset`; runs go to `out`."""

    dataset: Dataset
    arch: str
    goal: float
    seeds: int
    longest: int
    out: Path

    def shortest(self, recipe: str, begin: int) -> Length:
        """The Length of the fewest epochs that reaches the goal, or the longest that does not."""
        length = self.tried(recipe, begin)
        step = -1 if length.reaches(self.goal, self.seeds) else 1
        while 1 <= length.epochs + step <= self.longest:
            following = self.tried(recipe, length.epochs + step)
            if step < 0 and not following.reaches(self.goal, self.seeds):
                return length
            length = following
            if step > 0 and length.reaches(self.goal, self.seeds):
                return length
        return length

    def tried(self, recipe: str, epochs: int) -> Length:
        """As many trainings of `epochs` epochs as it takes to be certain of their median."""
        length = Length(epochs, [], [])
        while length.reaches(self.goal, self.seeds) is None:
            run = self.trained(recipe, epochs, len(length.seconds))
            length.accuracies.append(sightline.evaluate(run)["top1"])
            length.seconds.append(run.document["results"]["train_seconds"])
        said = ", ".join(f"{accuracy:.1%}" for accuracy in length.accuracies)
        print(f"{recipe}, {epochs} epochs: {said}; {statistics.median(length.seconds):.0f} s", flush=True)
        return length

    def trained(self, recipe: str, epochs: int, seed: int) -> Run:
        """The finished Run, where it is already; one of a recipe that was changed since is to be removed by hand."""
        folder = f"{self.arch}-{self.dataset.name}-{self.dataset.fingerprint[:8]}"
        path = self.out / folder / f"{recipe}-{epochs}-epochs-seed{seed}"
        if path.exists() and Run.open(path).status == "done":
            return Run.open(path)
        if path.exists():
            raise SystemExit(f"{path} was interrupted, its time says nothing: remove it")
        return sightline.train(self.dataset, self.arch, recipe=recipe, epochs=epochs, seed=seed, out=path)


def main() -> None:
    """Search, measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("pictures", help="a folder or archive of small pictures, such as CIFAR-10")
    arguments.add_argument("--arch", default="resnet20")
    arguments.add_argument("--goal", type=float, default=0.7, help="share of the test pictures")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--begin", nargs="*", default=[], metavar="RECIPE=EPOCHS", help="the first length to try")
    arguments.add_argument("--longest", type=int, default=12, help="epochs beyond which a recipe is given up")
    arguments.add_argument("--out", type=Path, default=Path("runs/time_to_accuracy"), help="where the runs go")
    options = arguments.parse_args()
    begin = BEGIN | {recipe: int(epochs) for recipe, _, epochs in (word.partition("=") for word in options.begin)}
    dataset = sightline.prepare(options.pictures)
    search = Search(dataset, options.arch, options.goal, options.seeds, options.longest, options.out)
    found = {recipe: search.shortest(recipe, begin[recipe]) for recipe in RECIPES}
    seconds = {recipe: statistics.median(length.seconds) for recipe, length in found.items()}
    said = {
        recipe: f"{'' if length.reaches(options.goal, options.seeds) else 'more than '}{length.epochs} epochs, "
        f"{seconds[recipe]:.0f} s, {statistics.median(length.accuracies):.1%}"
        for recipe, length in found.items()
    }
    figures = [
        Figure(f"fast / {RECIPES[peer]}", said["fast"], said[peer], seconds["fast"] / seconds[peer], "<= 0.5")
        for peer in ("usual", "paper")
    ]
    train, test = (len(dataset.rows(split)) for split in ("train", "test"))
    pictures = f"{train:,} training pictures, {test:,} test pictures"
    n = f"median of {options.seeds} seeds, or of those that decide it; {pictures}"
    title = f"Time to {options.goal:.0%} on test from scratch, {options.arch}, each recipe at its shortest length"
    tell("time_to_accuracy", title, figures, n, options.json)


if __name__ == "__main__":
    main()
