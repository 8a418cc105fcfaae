"""The course's experiment: an inception network and a residual one, trained for the same wall time on CIFAR-10.

Szegedy et al., "Going Deeper with Convolutions" (2014), against He et al., "Deep Residual Learning for Image
Recognition" (2015), both behind the small stem. Trainings and figures are those of any comparison; here stands what the
experiment asks, what its figures teach, what the papers state, and what it cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.anatomy import papers
from sightline.anatomy.trace import trace
from sightline.core.errors import named
from sightline.core.wording import SIGNIFICANT, decimal, duration, percent, scaled, whole
from sightline.evaluation.lessons import after, common_pass, lessons
from sightline.evaluation.metrics import wilson

Document = Mapping[str, Any]
NAME = "inception-vs-resnet"
TITLE = "Inception or residual?"
QUESTION = (
    "Which learns more in the same time: modules that look at a picture through several kernels side by side "
    "(GoogLeNet, Szegedy et al. 2014), or a stack so deep that it needs shortcuts to be trained at all (ResNet-50, He "
    "et al. 2015)?"
)
NETWORKS = ("googlenet", "resnet50")
BLOCKS = {
    "googlenet": ("inception3a", "One of nine inception modules: branches side by side, joined in depth"),
    "resnet50": ("layer1.1", "One of sixteen bottlenecks: narrow, convolve, widen, and add what came in"),
}
DATA, STEM = "cifar10", "small"
CIFAR_TRAIN, CIFAR_SIDE, PAPER_EPOCHS = 50_000, 32, 182
STEP = 3  # a training step's multiply-adds over those of an answer: forward, and backward to inputs and to weights


@dataclass(frozen=True)
class Length:
    """The wall time of each training, how many seeds, and the side of a picture in pixels."""

    budget: str
    seeds: int
    size: int


WHOLE = Length("30m", 3, CIFAR_SIDE)
QUICK = Length("4m", 1, 16)


def outcome(comparison: Document, *, budget_s: float, size: int, on: str) -> dict[str, Any]:
    """The experiment's document around the comparison document of `NETWORKS`, in this order.

    `on` says what they were trained on, such as "2 processors".
    """
    classes = len(comparison["dataset"]["classes"])
    anatomies = [trace(arch, size=size, stem=STEM, num_classes=classes).document() for arch in NETWORKS]
    return {
        "kind": "experiment",
        "name": NAME,
        "title": TITLE,
        "question": QUESTION,
        "setup": setup(comparison, budget_s, size, on),
        "budget_s": budget_s,
        "size": size,
        "trained_on": on,
        "findings": lessons(comparison),
        "blocks": {arch: {"name": name, "caption": caption} for arch, (name, caption) in BLOCKS.items()},
        "anatomies": anatomies,
        "pace": pace(comparison),
        "claims": claims(comparison, anatomies),
        "limits": limits(comparison, size),
        "comparison": dict(comparison),
    }


def setup(comparison: Document, budget_s: float, size: int, on: str) -> str:
    """What was done, in one sentence."""
    counts, seeds = comparison["dataset"]["counts"], len(comparison["networks"][0]["seeds"])
    runs = "once" if seeds == 1 else f"{seeds} times from different seeds"
    return (
        f"Both were trained from scratch, {runs}, on the same {whole(counts['train'])} pictures of "
        f"{named(comparison['dataset']['name'])} at {size} pixels, with the same recipe and for {duration(budget_s)} "
        f"each on {on}, and measured on the same {whole(counts['test'])} pictures that neither had seen."
    )


def pace(comparison: Document) -> dict[str, Any]:
    """What the time was spent on: passes over the pictures, pictures, multiply-adds; and both after `epoch` passes.

    `epoch` is the last that all trainings completed, None without one.
    """
    networks, pictures = comparison["networks"], comparison["dataset"]["counts"]["train"]
    epoch = common_pass(*networks)
    return {
        "epoch": epoch,
        "networks": [
            {
                "arch": network["arch"],
                "train_seconds": network["train_seconds"],
                "train_images_per_s": network["train_images_per_s"],
                "epochs": network["epochs"],
                "passes": [history["passes"] for history in network["histories"]],
                "pictures": network["epochs"] * pictures,
                "macs": network["epochs"] * pictures * STEP * network["macs"],
                "then": after(network, epoch) if epoch else None,
                "validation_top1": network["validation_top1"],
            }
            for network in networks
        ],
    }


def claims(comparison: Document, anatomies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the papers and the course's notes state of the two networks, beside what was found here.

    Each has `figure`, `source`, and by network `stated` and `here` as texts, "" where there is nothing.
    """
    rows = {(row["network"], row["figure"]): row for row in papers.table()["rows"]}
    networks = {network["arch"]: network for network in comparison["networks"]}
    built = {one["name"]: one["total"] for one in anatomies}
    side = anatomies[0]["input"][1]

    def here(figure: str) -> dict[str, str]:
        return {name: scaled(total[figure]) for name, total in built.items()}

    tops = {name: f"{percent(n['top1']['mean'])}{_in(n)}" for name, n in networks.items()}
    return [
        {
            "figure": "parameters, without auxiliary heads",
            "source": f"{papers.GOOGLENET}, sum of Table 1; ResNet-50 counted, the paper does not say",
            "stated": {
                "googlenet": rows["googlenet", "parameters, paper style, without auxiliary heads"]["paper"],
                "resnet50": f"{papers.EXACT['resnet50'][0] / 1e6:.1f} M",
            },
            "here": here("parameters_without_auxiliary"),
            "remark": f"Theirs tell 1000 classes apart, these {anatomies[0]['classes']}.",
        },
        {
            "figure": "multiply-adds of one picture",
            "source": f"{papers.GOOGLENET}, section 1; {papers.RESNET}",
            "stated": {name: rows[name, "MACs"]["paper"] for name in NETWORKS},
            "here": here("macs"),
            "remark": f"Theirs for 224 pixels, these for {side} behind a small stem, which shrinks the picture later.",
        },
        {
            "figure": "layers with weights, one behind another",
            "source": f"{papers.GOOGLENET}, section 5; {papers.RESNET}",
            "stated": {"googlenet": rows["googlenet", "layers with parameters"]["paper"], "resnet50": "50"},
            "here": {name: str(total["layers"]) for name, total in built.items()},
            "remark": "",
        },
        {
            "figure": "ImageNet top-5 error of an ensemble",
            "source": "He et al. 2015, Table 5",
            "stated": {"googlenet": "6.66\u00a0%", "resnet50": "3.57\u00a0%"},
            "here": dict.fromkeys(NETWORKS, ""),
            "remark": "Of seven networks over 144 crops, and of six, up to 152 layers deep: not measured here.",
        },
        {
            "figure": "CIFAR-10 top-1",
            "source": rows["resnet50", "CIFAR-10 top-1 %"]["source"],
            "stated": {name: f"{rows[name, 'CIFAR-10 top-1 %']['notes_say']}\u00a0%" for name in NETWORKS},
            "here": tops,
            "remark": _order(comparison),
        },
    ]


def _in(network: Document) -> str:
    return f" after {_short(network['epochs'])} epochs"


def _order(comparison: Document) -> str:
    """Whether the order that was found is the public recipe's, in which ResNet-50 is a little ahead."""
    top1 = {n["arch"]: n["top1"]["mean"] for n in comparison["networks"]}
    certain = comparison["pairs"][0]["p_value"] < SIGNIFICANT
    if not certain:
        return "There ResNet-50 is ahead by a quarter of a point; here no difference is certain."
    if top1["resnet50"] > top1["googlenet"]:
        return "There ResNet-50 is ahead by a quarter of a point, and here it is ahead too."
    return "There ResNet-50 is ahead by a quarter of a point, when both have all the time they need; here it is behind."


def limits(comparison: Document, size: int) -> list[str]:
    """What the figures do not show."""
    dataset, networks = comparison["dataset"], comparison["networks"]
    counts, seeds = dataset["counts"], min(len(network["seeds"]) for network in networks)
    epochs = [network["epochs"] for network in networks]
    middle = sum(network["top1"]["mean"] for network in networks) / len(networks)
    low, high = wilson(round(middle * counts["test"]), counts["test"])
    found = [
        "Wall time is this machine's: on another processor, or on a GPU, the two run at another ratio of speeds, and "
        "the other may be ahead.",
        "Both networks share one recipe that was tuned for neither; each might do better with its own.",
    ]
    if max(epochs) < PAPER_EPOCHS / 2:
        found.append(
            f"{' and '.join(map(_short, epochs))} passes over the pictures are few: on "
            f"CIFAR-10 the paper on residual networks made {PAPER_EPOCHS}. What is ahead early need not be in the end."
        )
    if counts["train"] < 0.8 * CIFAR_TRAIN:
        found.append(f"{whole(counts['train'])} training pictures are fewer than CIFAR-10's {whole(CIFAR_TRAIN)}.")
    if size < CIFAR_SIDE:
        found.append(f"The pictures were shrunk to {size} pixels, to be done sooner.")
    if seeds == 1:
        found.append("There was one seed: another training of the same network may end several points away.")
    found += [
        f"On {whole(counts['test'])} test pictures one network's accuracy is known to about "
        f"{50 * (high - low):.1f} points either way.",
        "The small stem is in neither paper, and GoogLeNet is the one that public weights need: batch norm after each "
        "convolution, and 3×3 kernels where the paper has 5×5.",
    ]
    return found


def _short(epochs: float) -> str:
    return decimal(epochs, 1).removesuffix(".0")
