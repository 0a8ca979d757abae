"""Text vectors in fewer dimensions: principal components that are kept with the model that was fitted on them.

An item that comes later is brought down by the same components: by others, its place would mean nothing to the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
        rows = vectors[_present(vectors)].astype(np.float64)
        mean = rows.mean(axis=0) if len(rows) else np.zeros(vectors.shape[1])
        centred = rows - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        axes = axes[:, ::-1][:, : min(dims, vectors.shape[1])]
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        spread = float((centred @ axes).std()) if len(rows) else 1.0
        return cls(mean, axes, np.array([max(spread, 1e-12)]))

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, r]; zero rows stay zero."""
        reduced = np.zeros((len(vectors), self.axes.shape[1]), dtype=np.float32)
        present = _present(vectors)
        reduced[present] = (vectors[present].astype(np.float64) - self.mean) @ self.axes / self.scale
        return reduced

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` takes, to be saved beside a model's weights."""
        return {f"{PREFIX}{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Basis | None:
        """Take what `arrays` gave out of a model's; None where the model has none."""
        found = {name.removeprefix(PREFIX): arrays.pop(name) for name in list(arrays) if name.startswith(PREFIX)}
        return cls(**found) if found else None


PREFIX = "basis."


def _present(vectors: np.ndarray) -> np.ndarray:
    present: np.ndarray = np.linalg.norm(vectors, axis=1) > 0
    return present
