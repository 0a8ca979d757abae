"""Windows of histories dealt out as training batches.

They come from memory (`lakerec.models.windows`) or from Parquet through the feed (`lakerec.training.feed.read_windows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

CELLS_AT_ONCE = 8_000_000
STEPS_AT_ONCE = 64
"""Batches that are gathered together: one call a batch would cost more than the copy."""


class Batches(Protocol):
    """A source of training batches; every rank has the same number of steps."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, on each rank."""

    def epoch(self, number: int, done: int = 0) -> Iterator[Tensor]:
        """Batches of int32 [rows, width], oldest event first, padded on the right; without the first `done` ones.

        Where times are told, [rows, 2 · width]: behind the items the seconds at which they came.
        """


def items_in(blocks: np.ndarray, num_items: int) -> np.ndarray:
    """Which items stand in any window, bool [num_items]."""
    found = np.zeros(num_items + 1, dtype=bool)
    for part in np.array_split(blocks, max(1, blocks.size // CELLS_AT_ONCE)):
        found[np.minimum(part, num_items)] = True
    return found[:num_items]


class WindowBatches:
    """Windows in an order that depends on (seed, epoch) only.

    Every rank knows the whole order and takes its own rows of each batch: all have the same number of steps, every window
    is seen once an epoch, and the batches of N ranks together are the batch of one. With `new`, an epoch has the new windows
    and so many of the others, drawn anew each time (experience replay: Rolnick et al., NeurIPS 2019).

    Args:
        blocks: int32 [windows, width], or twice as wide with times, in memory or mapped from a file; torch wants it
            writable, nothing writes.
        pad: an id that is no item.
        rows: windows a step, over all ranks together.
        new: bool [windows]; None: all are.
        replay: old windows of an epoch for each new one, as far as there are any.
    """

    def __init__(
        self,
        blocks: np.ndarray,
        pad: int,
        rows: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        new: np.ndarray | None = None,
        replay: float = 1.0,
    ) -> None:
        self._blocks, self._pad, self._rows, self._seed = torch.from_numpy(blocks), pad, rows, seed
        self._rank, self._ranks = rank, ranks
        self._new = np.arange(len(blocks)) if new is None else np.flatnonzero(new)
        self._old = np.zeros(0, np.int64) if new is None else np.flatnonzero(~new)
        self._replayed = min(len(self._old), round(replay * len(self._new)))
        self.steps_per_epoch = -(-(len(self._new) + self._replayed) // rows)

    def epoch(self, number: int, done: int = 0) -> Iterator[Tensor]:
        """This rank's part of each batch; one row of padding where nothing is left for it."""
        order = self._order(number)
        nothing = torch.full((1, self._blocks.shape[1]), self._pad, dtype=torch.int32)
        for start in range(done, self.steps_per_epoch, STEPS_AT_ONCE):
            steps = range(start, min(start + STEPS_AT_ONCE, self.steps_per_epoch))
            own = [order[step * self._rows : (step + 1) * self._rows][self._rank :: self._ranks] for step in steps]
            together = self._blocks.index_select(0, torch.from_numpy(np.concatenate(own)))
            for batch in together.split([len(rows) for rows in own]):
                yield batch if len(batch) else nothing

    def _order(self, number: int) -> np.ndarray:
        """Windows of an epoch, int64."""
        chance = np.random.default_rng((self._seed, number))
        if not self._replayed:
            return chance.permutation(self._new)
        replayed = chance.choice(self._old, self._replayed, replace=False)
        return chance.permutation(np.concatenate([self._new, replayed]))
