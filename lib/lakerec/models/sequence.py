"""The sequence model as a recommender: what comes next after this history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lakerec.models import storage
from lakerec.models.basis import Basis, arrays_of
from lakerec.models.data import Histories, TrainingData
from lakerec.models.items import looked_up
from lakerec.models.network import SequenceNetwork

ROWS_AT_ONCE = 512
CELLS_AT_ONCE = 32_000_000
"""Scores worked out at a time: 128 MB."""


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
    times: bool = False
    """Whether it is told when events came."""


def last_states(
    network: SequenceNetwork, histories: Histories, pad: int, vectors: Callable[[Tensor], Tensor], at_once: int
) -> Iterator[tuple[slice, Tensor]]:
    """The hidden state after each history's newest event, some histories at a time: which, and float [rows, dims].

    Args:
        pad: an id that is no item.
        vectors: gives those of items, int64 [rows, T] → [rows, T, dims], zeros for padding.
    """
    length, device = network.max_length, network.position.device
    for users, part in histories.last(length).parts(at_once):
        ends = torch.from_numpy(np.maximum(part.lengths, 1) - 1).to(device)
        seconds = torch.from_numpy(part.padded_times(length)).to(device) if network.times else None
        hidden = network.hidden(vectors(torch.from_numpy(part.padded(length, pad)).to(device)), seconds)
        yield users, hidden[torch.arange(len(part), device=device), ends]


def centred_scores(
    network: SequenceNetwork, histories: Histories, pad: int, vectors: Callable[[Tensor], Tensor], mean: Tensor,
    items: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Scores of some items less the mean over the catalogue, float32 [n, k].

    Args:
        pad, vectors: see `last_states`.
        mean: of all items' vectors, [dims].
        items: int [n, k].
    """
    scores = np.zeros(items.shape, dtype=np.float32)
    for part, last in last_states(network.eval(), histories, pad, vectors, ROWS_AT_ONCE):
        wanted = vectors(torch.from_numpy(items[part].astype(np.int64))) - mean
        scores[part] = (wanted @ last.unsqueeze(-1)).squeeze(-1).float().cpu().numpy()
    return scores


class Sequence:
    """Causal transformer over the newest events of a history; fitted by `lakerec.training`."""

    name = "sequence"

    def __init__(
        self, shape: Shape, num_items: int, text: np.ndarray | None, seed: int = 1, basis: Basis | None = None
    ) -> None:
        self.shape, self.basis = shape, basis
        s = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = SequenceNetwork(num_items, text, s.dims, s.blocks, s.heads, s.max_length, s.dropout, s.times)

    @classmethod
    def fresh(cls, shape: Shape, data: TrainingData, seed: int) -> Sequence:
        """An untrained model for the data's catalogue."""
        if data.item_vectors is None:
            return cls(shape, data.num_items, None, seed)
        basis = Basis.of(data.item_vectors, shape.text_dims)
        return cls(shape, data.num_items, basis.apply(data.item_vectors), seed, basis)

    @classmethod
    def grown(cls, before: Sequence, shape: Shape, data: TrainingData, seed: int) -> Sequence:
        """A fitted model for a catalogue that has grown since: weights and components are `before`'s, new items come behind.

        A new item has a delta of zero, so it is scored from its text; the scores of the others do not change.

        Args:
            shape: as `before`'s, but for dropout.
            data: item n of `before` is item n here; vectors of the same encoder, or none in both.

        Raises:
            ValueError: shape, number of items or vectors do not go with `before`.
        """
        known, basis, vectors = before.network.num_items, before.basis, data.item_vectors
        if replace(shape, dropout=before.shape.dropout) != before.shape or data.num_items < known:
            raise ValueError(f"{shape} of {data.num_items} items cannot go on from {before.shape} of {known}")
        if (vectors is None) != (basis is None):
            raise ValueError("one of the models has text vectors, the other none")
        text = None if vectors is None or basis is None else basis.apply(vectors)
        model = cls(shape, data.num_items, text, seed, basis)
        weights = before.network.state_dict()
        if text is not None:
            model.network.met.zero_()
        for name, own in model.network.state_dict().items():
            if name in ("delta", "met"):
                own[:known] = weights[name]
            elif name != "text":
                own.copy_(weights[name])
        return model

    @property
    def reads_text(self) -> bool:
        return self.basis is not None

    def extended(self, vectors: np.ndarray) -> Sequence:
        """See `lakerec.models.newcomers`."""
        assert self.basis is not None, "it reads texts"
        weights = storage.weights_of(self.network)
        longer = storage.with_rows(weights, {"text": self.basis.apply(vectors)}, ("delta", "met"))
        return self._of(self.shape, longer | self.basis.arrays())

    @classmethod
    def of(cls, shape: Shape, network: SequenceNetwork) -> Sequence:
        """A recommender around a network that exists."""
        model = cls.__new__(cls)
        model.shape, model.network, model.basis = shape, network, None
        return model

    def fit(self, data: TrainingData) -> None:
        """Not here: the network is fitted by `lakerec.training.loop.fit_sequence`, which needs batches."""
        raise TypeError("sequence is fitted by lakerec.training.loop.fit_sequence")

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        self.network.eval()
        num_items, table = self.network.num_items, self.network.table()
        scores = np.zeros((len(histories), num_items), dtype=np.float32)
        at_once = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // num_items))
        states = last_states(self.network, histories, num_items, lambda items: looked_up(items, table), at_once)
        for part, last in states:
            scores[part] = (last @ table.T).float().cpu().numpy()
        return scores

    @torch.inference_mode()
    def centred(self, histories: Histories, items: np.ndarray) -> np.ndarray:
        """See `centred_scores`."""
        table = self.network.table()
        return centred_scores(
            self.network, histories, len(table), lambda some: looked_up(some, table), table.mean(dim=0), items
        )

    def save(self, folder: Path) -> None:
        weights = storage.weights_of(self.network) | arrays_of(self.basis)
        storage.save(folder, self.name, weights, shape=asdict(self.shape))

    @classmethod
    def load(cls, folder: Path) -> Sequence:
        return cls._of(Shape(**storage.settings(folder)["shape"]), storage.arrays(folder))

    @classmethod
    def _of(cls, shape: Shape, weights: dict[str, np.ndarray]) -> Sequence:
        basis, text = Basis.from_arrays(weights), weights["text"]
        model = cls(shape, len(text), text if text.shape[1] else None, basis=basis)
        storage.put_into(model.network, weights)
        return model
