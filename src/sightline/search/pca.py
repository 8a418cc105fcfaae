"""PCA: vectors on their first principal axes, so that fewer numbers say nearly as much of which are near.

scikit-learn fits it, in parts where the vectors would not fit into memory; what is kept is a mean, axes and variances,
and projecting is NumPy's.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.arrays import archived
from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named

WHOLE_BYTES = 1 << 30  # vectors up to this size are fitted in one piece
BLOCK = 8192  # vectors that are projected or fitted at once
FLAT = 1e-7  # of the largest variance: axes with less say nothing but float32's rounding


@dataclass(frozen=True, eq=False)
class Projection:
    """`mean` float32 [D]; `axes` float32 [R, D], orthonormal, by falling `variances` float64 [R]; `total` of all D.

    A `whitened` one makes every axis count the same. It projects onto the first `dims` axes.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total: float
    dims: int
    whitened: bool = False

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """[N, D] as float32 [N, dims]."""
        projected = (vectors - self.mean) @ self.axes[: self.dims].T
        return projected / np.sqrt(self.variances[: self.dims]).astype(np.float32) if self.whitened else projected

    def blocks(self, vectors: np.ndarray) -> Iterator[np.ndarray]:
        """What calling it with `vectors` [N, D], which may be memory-mapped, would give, some rows at a time."""
        return (self(vectors[start : start + BLOCK]) for start in range(0, len(vectors), BLOCK))

    def cut(self, dims: int, *, whitened: bool = False) -> Projection:
        """The same onto `dims` axes; UserError where the vectors it was fitted to span fewer."""
        if not 1 <= dims <= len(self.axes):
            raise UserError(
                f"--pca {dims}: these vectors of {self.axes.shape[1]} numbers span {len(self.axes)} dimensions; "
                f"ask for 1 to {len(self.axes)}, or for none"
            )
        return Projection(self.mean, self.axes, self.variances, self.total, dims, whitened)

    def explained(self, dims: int | None = None) -> float:
        """The share in [0, 1] of all variance that lies along the first `dims` axes (its own unless given)."""
        return float(self.variances[: dims or self.dims].sum() / self.total)

    def save(self, path: Path) -> None:
        """Write it as a .npz file, whole or not at all; of the axes, those that it projects onto."""
        buffer, dims = io.BytesIO(), self.dims
        np.savez(
            buffer, mean=self.mean, axes=self.axes[:dims], variances=self.variances[:dims], total=self.total,
            whitened=self.whitened,
        )  # fmt: skip
        write_bytes(path, buffer.getvalue())

    @classmethod
    def open(cls, path: Path) -> Projection:
        """The one that was saved at `path`; UserError when it is missing or damaged."""
        try:
            mean, axes, variances, total, whitened = archived(path, "mean", "axes", "variances", "total", "whitened")
            return cls(mean, axes, variances, float(total), len(axes), bool(whitened))
        except ValueError:
            raise UserError(f"damaged index: {named(path)} holds no projection; make the index again") from None


def fit(vectors: np.ndarray) -> Projection:
    """The principal axes that `vectors` float32 [N, D] span; N >= 1.

    Vectors of more than a gigabyte, which may be memory-mapped, are fitted in parts (scikit-learn's IncrementalPCA,
    exact as no axis is dropped on the way). UserError when all vectors are equal.
    """
    from sklearn.decomposition import PCA, IncrementalPCA

    if alike(vectors):
        raise UserError("all vectors are equal: there is nothing to tell pictures apart by; use another network")
    wanted = min(vectors.shape)
    if vectors.nbytes <= WHOLE_BYTES:
        found = PCA(wanted, svd_solver="covariance_eigh" if len(vectors) > vectors.shape[1] else "full").fit(vectors)
    else:
        found = IncrementalPCA(wanted)
        for block in _parts(vectors, least=wanted):
            found.partial_fit(block)
    variances = np.asarray(found.explained_variance_, np.float64)
    total = float(variances[0] / found.explained_variance_ratio_[0])
    spanned = int((variances > FLAT * variances[0]).sum())
    axes = np.asarray(found.components_[:spanned], np.float32)
    return Projection(np.asarray(found.mean_, np.float32), axes, variances[:spanned], total, spanned)


def alike(vectors: np.ndarray) -> bool:
    """Whether all of `vectors` [N, D] are equal."""
    return all((block == vectors[0]).all() for block in _parts(vectors))


def _parts(vectors: np.ndarray, least: int = 1) -> Iterator[np.ndarray]:
    """Blocks of rows, none of fewer than `least`, which the last one takes in."""
    size = max(BLOCK, least)
    starts = list(range(0, max(1, len(vectors) - least + 1), size))
    return (vectors[start:end] for start, end in zip(starts, [*starts[1:], len(vectors)], strict=True))
