"""A comparison document over made answers, with curves and costs as real networks have them."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from sightline.evaluation.findings import findings
from tests.report.digits import targets

FIGURES = {  # parameters, MACs, seconds, training images/s, running images/s, peak bytes, skill
    "resnet20": (272_474, 40_813_184, 74.2, 412.0, 3180.0, 742_000_000, 5.2),
    "googlenet": (6_166_250, 1_528_106_240, 492.7, 61.3, 388.4, 1_310_000_000, 5.6),
    "resnet50": (23_520_842, 1_297_829_888, 492.9, 48.7, 412.0, 1_890_000_000, 5.9),
    "plain20": (269_722, 40_550_000, 61.0, 468.0, 3410.0, 690_000_000, 4.1),
}


def comparison(
    archs: tuple[str, ...] = ("resnet20", "googlenet"),
    num_classes: int = 10,
    seeds: int = 3,
    num_pictures: int = 600,
    class_names: list[str] | None = None,
) -> dict[str, Any]:
    """A comparison document over made answers: every figure is computed from the same random logits."""
    random = np.random.default_rng(7)
    classes = class_names or (
        [str(i) for i in range(10)] if num_classes == 10 else [f"class {i:03d}" for i in range(num_classes)]
    )
    labels = targets()[:num_pictures] if len(classes) == 10 else np.arange(num_pictures) % len(classes)
    hardness = random.gamma(1.6, 1.0, num_pictures)
    answers = {arch: _probabilities(random, labels, len(classes), FIGURES[arch][-1], hardness) for arch in archs}
    networks = [_network(random, arch, seeds, classes, labels, answers[arch]) for arch in archs]
    pairs = [_pair(a, b, labels, answers) for i, a in enumerate(archs) for b in archs[i + 1 :]]
    about = {
        "name": "digits",
        "fingerprint": "9c1e4b7a" * 8,
        "classes": classes,
        "counts": {"train": 1197, "validation": 240, "test": num_pictures},
    }
    return {
        "kind": "comparison",
        "dataset": about,
        "networks": networks,
        "pairing": "McNemar's exact test, one answer a picture: each network's probabilities averaged over its seeds",
        "pairs": pairs,
        "mistakes": [m for arch in archs for m in _mistakes(arch, classes, labels, answers[arch])],
        "disagreements": [
            d
            for i, a in enumerate(archs)
            for b in archs[i + 1 :]
            for d in _disagreements(a, b, classes, labels, answers)
        ],
        "findings": findings(networks, pairs, about),
        "machine": {
            "system": "Linux x86_64",
            "processor": "Intel(R) Xeon(R) CPU @ 2.60GHz",
            "processors": 2,
            "memory_bytes": 8_200_000_000,
        },
        "versions": {
            "python": "3.11.9",
            "sightline": "0.1.0",
            "numpy": "2.3.1",
            "torch": "2.13.0",
            "onnxruntime": "1.23.0",
        },
        "command": ["sightline compare digits --arch " + " --arch ".join(archs) + f" --seeds {seeds}"],
    }


def _probabilities(
    random: np.random.Generator, labels: np.ndarray, num_classes: int, skill: float, hardness: np.ndarray
) -> np.ndarray:
    logits = random.normal(0, 1, (len(labels), num_classes))
    logits[np.arange(len(labels)), (labels + 5) % num_classes] += 0.55 * hardness
    logits[np.arange(len(labels)), labels] += skill + 1.5 - 0.5 * hardness
    exponent = np.exp(logits * 1.4 - (logits * 1.4).max(1, keepdims=True))
    return exponent / exponent.sum(1, keepdims=True)


def _network(
    random: np.random.Generator, arch: str, seeds: int, classes: list[str], labels: np.ndarray, p: np.ndarray
) -> dict[str, Any]:
    parameters, macs, seconds, train_rate, run_rate, peak, _ = FIGURES[arch]
    said = p.argmax(1)
    top1 = float((said == labels).mean())
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, said), seeds)
    top5 = float((np.argsort(-p, 1)[:, :5] == labels[:, None]).any(1).mean())
    loss = float(-np.log(p[np.arange(len(labels)), labels]).mean())
    spread = random.normal(0, 0.003, seeds)
    train = min(0.9995, top1 + 0.012)
    return {
        "arch": arch,
        "seeds": list(range(seeds)),
        "runs": [f"runs/digits-{arch}-{s}" for s in range(seeds)],
        "parameters": parameters,
        "macs": macs,
        "size_bytes": parameters * 4 + 40_000,
        "top1": _summary(top1, spread),
        "top5": _summary(top5, spread * 0.2),
        "log_loss": _summary(loss, spread),
        "ece": _summary(0.011, spread * 0.3),
        "train_top1": _summary(train, spread * 0.1),
        "validation_top1": _summary(top1 + 0.002, spread),
        "gap": {
            "train_minus_test": train - top1,
            "train_minus_validation": train - top1 - 0.002,
            "validation_minus_test": 0.002,
        },
        "collapsed": [],
        "epochs": 30.0,
        "train_seconds": seconds,
        "train_images_per_s": train_rate,
        "run_images_per_s": run_rate,
        "peak_memory_bytes": peak,
        "per_class": _per_class(confusion // seeds, classes),
        "confusion": confusion.tolist(),
        "calibration": _bins(p, labels),
        "histories": [{"seed": s, "passes": 30.0, "rows": _history(random, arch, top1, seconds)} for s in range(seeds)],
    }


def _summary(mean: float, spread: np.ndarray) -> dict[str, Any]:
    values = [float(min(1.0, mean + d)) for d in spread]
    half = 0.006 if len(values) == 1 else 4.3 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    mean = float(np.mean(values))
    return {
        "mean": mean,
        "low": mean - half,
        "high": min(1.0, mean + half),
        "values": values,
        "interval": "wilson" if len(values) == 1 else "t",
    }


def _per_class(confusion: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(classes):
        right, said, support = confusion[i, i], confusion[:, i].sum(), confusion[i].sum()
        precision, recall = right / max(said, 1), right / max(support, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        rows.append(
            {
                "class": name,
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
            }
        )
    return rows


def _bins(p: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    confidence, right = p.max(1), p.argmax(1) == labels
    index = np.minimum((confidence * 15).astype(int), 14)
    return [
        {
            "confidence": float(confidence[index == b].mean()),
            "accuracy": float(right[index == b].mean()),
            "count": int((index == b).sum()),
        }
        for b in range(15)
        if (index == b).any()
    ]


def _history(
    random: np.random.Generator, arch: str, top1: float, seconds: float, epochs: int = 30
) -> list[dict[str, Any]]:
    rows = []
    pace = {"resnet20": 3.2, "googlenet": 4.4}.get(arch, 5.5)
    for epoch in range(1, epochs + 1):
        left = np.exp(-epoch / pace)
        wobble = float(random.normal(0, 0.012 * (1 - epoch / epochs) + 0.001))
        rows.append(
            {
                "epoch": epoch,
                "step": epoch * 10,
                "seconds": seconds * epoch / epochs,
                "lr": 0.1 * (1 - epoch / epochs),
                "train_loss": float(0.006 + 2.2 * left * np.exp(wobble * 4)),
                "train_top1": float(min(1, 0.9995 - 0.85 * left + wobble)),
                "validation_loss": float(0.004 + 4 * (1 - top1) + 2.2 * left * np.exp(wobble * 8)),
                "validation_top1": float(min(1, top1 - 0.8 * left + wobble)),
                "images_per_s": 412.0,
                "waiting_frac": 0.012,
            }
        )
    return rows


def _pair(a: str, b: str, labels: np.ndarray, answers: dict[str, np.ndarray]) -> dict[str, Any]:
    right_a, right_b = answers[a].argmax(1) == labels, answers[b].argmax(1) == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = only_a + only_b
    p = min(1.0, 2 * sum(comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n) if n else 1.0
    return {
        "a": a,
        "b": b,
        "both": int((right_a & right_b).sum()),
        "only_a": only_a,
        "only_b": only_b,
        "neither": int((~right_a & ~right_b).sum()),
        "p_value": p,
        "top1_difference": (only_a - only_b) / len(labels),
    }


def _mistakes(arch: str, classes: list[str], labels: np.ndarray, p: np.ndarray) -> list[dict[str, Any]]:
    said = p.argmax(1)
    wrong = sorted(np.flatnonzero(said != labels), key=lambda i: -p[i].max())[:12]
    return [
        {
            "arch": arch,
            "row": int(i),
            "picture": f"digits.npy#{i}",
            "true": classes[labels[i]],
            "predicted": classes[said[i]],
            "confidence": float(p[i].max()),
        }
        for i in wrong
    ]


def _disagreements(
    a: str, b: str, classes: list[str], labels: np.ndarray, answers: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    said_a, said_b = answers[a].argmax(1), answers[b].argmax(1)
    rows = np.flatnonzero((said_a == labels) != (said_b == labels))[:12]
    return [
        {
            "a": a,
            "b": b,
            "row": int(i),
            "picture": f"digits.npy#{i}",
            "true": classes[labels[i]],
            "a_says": classes[said_a[i]],
            "b_says": classes[said_b[i]],
            "a_confidence": float(answers[a][i].max()),
            "b_confidence": float(answers[b][i].max()),
        }
        for i in rows
    ]
