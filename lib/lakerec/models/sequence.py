"""The sequence model as a recommender: what comes next after this history."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData
from lakerec.models.network import SequenceNetwork

ROWS_AT_ONCE = 512
CELLS_AT_ONCE = 32_000_000
"""Scores worked out at a time: 128 MB."""
VECTORS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Shape:
    """Size of the network."""

    dims: int = 64
    blocks: int = 2
    heads: int = 2
    max_length: int = 50
    dropout: float = 0.2
    text_dims: int = 64
    """Principal components kept of the text vectors."""


def reduce_vectors(vectors: np.ndarray, dims: int) -> np.ndarray:
    """Principal components of the rows that are not zero, scaled to unit variance overall; zero rows stay zero.

    Args:
        vectors: float32 [num_items, d].

    Returns:
        float32 [num_items, min(dims, d)].
    """
    starts = range(0, len(vectors), VECTORS_AT_ONCE)
    present = [start + np.flatnonzero(vectors[start : start + VECTORS_AT_ONCE].any(axis=1)) for start in starts]
    count = sum(map(len, present))
    reduced = np.zeros((len(vectors), min(dims, vectors.shape[1])), dtype=np.float32)
    if not count:
        return reduced
    mean = sum(vectors[rows].sum(axis=0, dtype=np.float64) for rows in present) / count
    centred = (vectors[rows] - mean for rows in present)
    values, axes = np.linalg.eigh(sum(part.T @ part for part in centred))
    values, axes = values[::-1][: reduced.shape[1]], axes[:, ::-1][:, : reduced.shape[1]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    spread = float(np.sqrt(values.clip(min=0).sum() / (count * reduced.shape[1])))
    for rows in present:
        reduced[rows] = (vectors[rows] - mean) @ axes / max(spread, 1e-12)
    return reduced


class Sequence:
    """Causal transformer over the newest events of a history; fitted by `lakerec.training`."""

    name = "sequence"

    def __init__(self, shape: Shape, num_items: int, text: np.ndarray | None, seed: int = 1) -> None:
        self.shape = shape
        s = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = SequenceNetwork(num_items, text, s.dims, s.blocks, s.heads, s.max_length, s.dropout)

    @classmethod
    def fresh(cls, shape: Shape, data: TrainingData, seed: int) -> Sequence:
        """An untrained model for the data's catalogue."""
        text = None if data.item_vectors is None else reduce_vectors(data.item_vectors, shape.text_dims)
        return cls(shape, data.num_items, text, seed)

    @classmethod
    def of(cls, shape: Shape, network: SequenceNetwork) -> Sequence:
        """A recommender around a network that exists."""
        model = cls.__new__(cls)
        model.shape, model.network = shape, network
        return model

    def fit(self, data: TrainingData) -> None:
        """Not here: the network is fitted by `lakerec.training.loop.fit_sequence`, which needs batches."""
        raise TypeError("sequence is fitted by lakerec.training.loop.fit_sequence")

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        self.network.eval()
        pad, length = self.network.num_items, self.shape.max_length
        device = self.network.delta.device
        table = self.network.table()
        scores = np.zeros((len(histories), pad), dtype=np.float32)
        at_once = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // pad))
        for start in range(0, len(histories), at_once):
            part = histories.take(np.arange(start, min(start + at_once, len(histories))))
            ends = torch.from_numpy(np.clip(part.lengths, 1, length) - 1).to(device)
            hidden = self.network(torch.from_numpy(part.padded(length, pad)).to(device), table)
            last = hidden[torch.arange(len(part), device=device), ends]
            scores[start : start + len(part)] = (last @ table.T).float().cpu().numpy()
        return scores

    def save(self, folder: Path) -> None:
        weights = {key: value.detach().cpu().numpy() for key, value in self.network.state_dict().items()}
        storage.save(folder, self.name, weights, shape=asdict(self.shape), num_items=self.network.num_items)

    @classmethod
    def load(cls, folder: Path) -> Sequence:
        settings, weights = storage.settings(folder), storage.arrays(folder)
        text = weights["text"] if weights["text"].shape[1] else None
        model = cls(Shape(**settings["shape"]), settings["num_items"], text)
        model.network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        return model
