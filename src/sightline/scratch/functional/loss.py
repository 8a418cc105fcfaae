"""Softmax and cross-entropy, together, as they belong: apart, one would overflow and the other divide by nothing."""

from __future__ import annotations

import numpy as np

from sightline.core.errors import UserError


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [N, K] of `logits` [N, K]."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of -log p(label) over `labels` [N], and its gradient [N, K].

    With z the logits, the loss is log(sum of exp z) - z[label]. The derivative of the first is softmax(z), of the
    second 1 at the label: the gradient is (p - onehot(label)) / N. UserError for labels that are no rows or no classes.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise UserError(f"logits {list(logits.shape)} and labels {list(labels.shape)} do not meet: [N, K] and [N]")
    if len(labels) and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        raise UserError(f"labels from {labels.min()} to {labels.max()} do not fit {logits.shape[1]} classes")
    rows = np.arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)
    exponents = np.exp(shifted)
    sums = exponents.sum(1, keepdims=True)
    loss = float((np.log(sums[:, 0]) - shifted[rows, labels]).mean())
    gradient = exponents / sums
    gradient[rows, labels] -= 1
    gradient /= len(labels)
    return loss, gradient
