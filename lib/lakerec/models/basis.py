"""Text vectors in fewer dimensions: principal components that are kept with the model that was fitted on them.

An item that comes later is brought down by the same components: by others, its place would mean nothing to the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PREFIX = "basis."
VECTORS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Basis:
    """Principal components and what goes with them."""

    mean: np.ndarray
    """float64 [d], of the vectors that it was worked out of."""
    axes: np.ndarray
    """float64 [d, r], orthonormal columns, the widest spread first."""
    scale: np.ndarray
    """float64 [1]: makes the reduced vectors' variance one, overall."""

    @classmethod
    def of(cls, vectors: np.ndarray, dims: int) -> Basis:
        """Of the rows that are not zero.

        Args:
            vectors: float32 [num_items, d]; min(dims, d) components are kept.
        """
        parts = _parts(vectors)
        count, size = sum(map(len, parts)), min(dims, vectors.shape[1])
        mean = sum((vectors[rows].sum(axis=0, dtype=np.float64) for rows in parts), np.zeros(vectors.shape[1])) / max(
            count, 1
        )
        centred = (vectors[rows] - mean for rows in parts)
        values, axes = np.linalg.eigh(sum((part.T @ part for part in centred), np.zeros((len(mean), len(mean)))))
        values, axes = values[::-1][:size], axes[:, ::-1][:, :size]
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(size)])
        spread = np.sqrt(values.clip(min=0).sum() / (count * size)) if count else 1.0
        return cls(mean, axes, np.array([max(float(spread), 1e-12)]))

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, r]; zero rows stay zero."""
        reduced = np.zeros((len(vectors), self.axes.shape[1]), dtype=np.float32)
        for rows in _parts(vectors):
            reduced[rows] = (vectors[rows] - self.mean) @ self.axes / self.scale
        return reduced

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` takes, to be saved beside a model's weights."""
        return {f"{PREFIX}{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Basis | None:
        """Take what `arrays` gave out of a model's; None where the model has none."""
        found = {name.removeprefix(PREFIX): arrays.pop(name) for name in list(arrays) if name.startswith(PREFIX)}
        return cls(**found) if found else None


def arrays_of(basis: Basis | None) -> dict[str, np.ndarray]:
    """Its arrays; none of a model that has no texts."""
    return {} if basis is None else basis.arrays()


def _parts(vectors: np.ndarray) -> list[np.ndarray]:
    """Numbers of the rows that are not zero, some at a time: in double precision all of them would fill the memory."""
    starts = range(0, len(vectors), VECTORS_AT_ONCE)
    return [start + np.flatnonzero(vectors[start : start + VECTORS_AT_ONCE].any(axis=1)) for start in starts]
