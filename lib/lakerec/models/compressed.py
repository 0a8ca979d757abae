"""The sequence model with a smaller item table, for serving: of a large catalogue the table is nearly all of the model.

    fp16   half the bytes
    int8   a quarter: each row by its own scale, largest absolute value ÷ 127

Text and learned delta are summed up in the table; what brings a text down to a row of it is kept, for items that come
later. Rows are turned back into fp32 where they are needed: those of a history, and some of the catalogue at a time.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from lakerec.models import storage
from lakerec.models.basis import Basis, arrays_of
from lakerec.models.blend import Blend
from lakerec.models.data import Histories, TrainingData
from lakerec.models.network import SequenceNetwork
from lakerec.models.protocol import Recommender
from lakerec.models.sequence import ROWS_AT_ONCE, Sequence, Shape, centred_scores, last_states

Precision = Literal["fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ITEMS_AT_ONCE = 100_000
LARGEST = 127
KIND = "compressed_sequence"
"""In model.json, where its recommender's name would be."""
TABLE, SCALE, PROJECT = "table", "scale", "project"
OF_ITEMS = ("text", "met", "delta")
"""Tensors of the network that have a row an item."""


class CompressedSequence:
    """Scores as the sequence model that it was made of does, within the precision of the table.

    Args:
        network: of a catalogue without items: blocks and positions alone.
        table: float16 or int8 [num_items, dims].
        scale: float32 [num_items, 1], by which int8 rows are multiplied; ones otherwise.
        basis, project: bring text vectors down to r numbers, and these to a row, float32 [dims, r]; None: it has no texts.
    """

    name = "sequence"

    def __init__(
        self, shape: Shape, network: SequenceNetwork, table: np.ndarray, scale: np.ndarray, basis: Basis | None = None,
        project: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.shape, self.network, self.basis, self.project = shape, network, basis, project
        self.table, self.scale = torch.from_numpy(table), torch.from_numpy(scale)

    @classmethod
    def of(cls, model: Sequence, precision: Precision) -> CompressedSequence:
        """The model with its table in another precision."""
        with torch.inference_mode():
            table = model.network.table().float().cpu().numpy()
        small, scale = _small(table, precision)
        network = _without_items(model.shape)
        weights = model.network.state_dict()
        empty = network.state_dict()
        network.load_state_dict({key: empty[key] if key in OF_ITEMS else weights[key].cpu() for key in empty})
        project = None if model.network.project is None else model.network.project.weight.detach().cpu().numpy()
        return cls(model.shape, network, small, scale, model.basis, project)

    @property
    def nbytes(self) -> int:
        """Of the table."""
        return self.table.nbytes + (self.scale.nbytes if self.table.dtype == torch.int8 else 0)

    def fit(self, data: TrainingData) -> None:
        """Not here: it is made of a fitted model."""
        raise TypeError("a compressed model is made of a fitted one: CompressedSequence.of")

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        self.network.eval()
        items = len(self.table)
        scores = np.zeros((len(histories), items), dtype=np.float32)
        for part, last in last_states(self.network, histories, items, self._told, ROWS_AT_ONCE):
            for first in range(0, items, ITEMS_AT_ONCE):
                some = slice(first, first + ITEMS_AT_ONCE)
                scores[part, some] = (last @ self._rows(some).T).numpy()
        return scores

    @torch.inference_mode()
    def centred(self, histories: Histories, items: np.ndarray) -> np.ndarray:
        """See `lakerec.models.sequence.centred_scores`."""
        count = len(self.table)
        sums = [self._rows(slice(first, first + ITEMS_AT_ONCE)).sum(dim=0) for first in range(0, count, ITEMS_AT_ONCE)]
        return centred_scores(self.network, histories, count, self._told, torch.stack(sums).sum(dim=0) / count, items)

    def _told(self, items: Tensor) -> Tensor:
        """Vectors of events, zeros for padding."""
        return self._rows(items.clamp(max=len(self.table) - 1)) * (items < len(self.table)).unsqueeze(-1)

    def _rows(self, which: Tensor | slice) -> Tensor:
        return self.table[which].float() * self.scale[which]

    @property
    def reads_text(self) -> bool:
        return self.basis is not None and self.project is not None

    def extended(self, vectors: np.ndarray) -> CompressedSequence:
        """See `lakerec.models.newcomers`."""
        assert self.basis is not None and self.project is not None, "it reads texts"
        table, scale = self.table.numpy(), self.scale.numpy()
        rows = _small(self.basis.apply(vectors) @ self.project.T, "int8" if table.dtype == np.int8 else "fp16")
        longer, scales = np.concatenate([table, rows[0]]), np.concatenate([scale, rows[1]])
        return CompressedSequence(self.shape, self.network, longer, scales, self.basis, self.project)

    def save(self, folder: Path) -> None:
        items = {TABLE: self.table.numpy(), SCALE: self.scale.numpy()} | arrays_of(self.basis)
        items |= {} if self.project is None else {PROJECT: self.project}
        storage.save(folder, KIND, storage.weights_of(self.network) | items, shape=asdict(self.shape))

    @classmethod
    def load(cls, folder: Path) -> CompressedSequence:
        shape, weights = Shape(**storage.settings(folder)["shape"]), storage.arrays(folder)
        table, scale, project = weights.pop(TABLE), weights.pop(SCALE), weights.pop(PROJECT, None)
        basis = Basis.from_arrays(weights)
        network = _without_items(shape)
        storage.put_into(network, weights)
        return cls(shape, network, table, scale, basis, project)


def compressed(model: Recommender, precision: Precision) -> Recommender:
    """The model, or the blend, with its sequence model compressed; any other as it is."""
    if isinstance(model, Sequence):
        return CompressedSequence.of(model, precision)
    if isinstance(model, Blend):
        return Blend([compressed(member, precision) for member in model.members], model.weights, model.own, model.cold)
    return model


def _small(table: np.ndarray, precision: Precision) -> tuple[np.ndarray, np.ndarray]:
    """Rows in a precision, and the scale of each, float32 [n, 1]."""
    if precision == "fp16":
        return table.astype(np.float16), np.ones((len(table), 1), dtype=np.float32)
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / LARGEST, np.finfo(np.float32).tiny)
    return np.round(table / scale).astype(np.int8), scale


def _without_items(shape: Shape) -> SequenceNetwork:
    s = shape
    return SequenceNetwork(0, None, s.dims, s.blocks, s.heads, s.max_length, s.dropout, s.times)
