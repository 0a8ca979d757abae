"""Windows that are not quite as they happened: the sequence model learns from variations of histories.

    crop       a part of the window, at least half of it
    mask       the items of some events are not told and not asked for
    reorder    a span of events in another order
    swap       some events become one of the items whose texts are nearest

A window is left alone or varied in one of these ways. What is drawn follows from (seed, epoch, step) and the row's place in
the whole batch, so ranks vary it as one process would, and a fit that goes on draws what it would have drawn.

Sources: Xie et al., Contrastive learning for sequential recommendation, ICDE 2022, section III.C (crop, mask, reorder); Liu
et al., Contrastive self-supervised sequential recommendation with robust augmentation, 2021 (substitute). There they make
pairs for a contrast, here they are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from lakerec.models.topk import top_k
from lakerec.training.batches import Batches
from lakerec.training_config import Augmentation

LEFT_ALONE = 0.5
"""Share of windows that stay as they happened."""
SHARE = 0.2
"""Of a window's events that are masked, swapped, or in the span that is reordered."""
LEAST_KEPT = 0.5
"""Of a window that crop leaves."""
NEAREST = 5
"""Items by text among which swap chooses."""
ROWS_AT_ONCE = 1_000


def nearest_by_text(vectors: np.ndarray) -> np.ndarray:
    """The nearest other items of each by cosine, int32 [num_items, NEAREST]; an item without a text has itself.

    Args:
        vectors: float32 [num_items, d], zero where there is no text.
    """
    found = np.repeat(np.arange(len(vectors), dtype=np.int32)[:, None], NEAREST, axis=1)
    told = np.flatnonzero(vectors.any(axis=1))
    if len(told) <= NEAREST:
        return found
    own = vectors[told] / np.linalg.norm(vectors[told], axis=1, keepdims=True)
    for start in range(0, len(told), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(told)))
        cosines = own[rows] @ own.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        found[told[rows]] = told[top_k(cosines, NEAREST)[0]]
    return found


@dataclass(frozen=True)
class Draw:
    """Windows, and what chance has said about them."""

    windows: np.ndarray
    """int32 [rows, width], padded on the right."""
    seconds: np.ndarray
    """When the events came, int32 [rows, width]; no columns where times are not told."""
    lengths: np.ndarray
    """Events of each, [rows, 1]."""
    size: np.ndarray
    """Uniform in [0, 1), [rows, 1]."""
    place: np.ndarray
    """Uniform in [0, 1), [rows, 1]."""
    hit: np.ndarray
    """Uniform in [0, 1), [rows, width]."""
    which: np.ndarray
    """Uniform in [0, 1), [rows, width]."""


Varied = tuple[np.ndarray, np.ndarray]
"""Windows, and the seconds of their events."""


def crop(draw: Draw, pad: int, nearest: np.ndarray) -> Varied:
    """A part of each window, of which two events are left at least."""
    share = LEAST_KEPT + (1 - LEAST_KEPT) * draw.size
    kept = np.maximum(np.ceil(draw.lengths * share), np.minimum(draw.lengths, 2)).astype(int)
    start = np.floor((draw.lengths - kept + 1) * draw.place).astype(int)
    places = np.arange(draw.windows.shape[1])
    source = np.minimum(places + start, len(places) - 1)
    moved = np.take_along_axis(draw.windows, source, axis=1)
    seconds = np.take_along_axis(draw.seconds, source, axis=1) if draw.seconds.size else draw.seconds
    return np.where(places < kept, moved, pad), seconds


def mask(draw: Draw, pad: int, nearest: np.ndarray) -> Varied:
    """Padding in the place of some items: neither told nor asked for; their times and the others' places stay."""
    return np.where(draw.hit < SHARE, pad, draw.windows), draw.seconds


def reorder(draw: Draw, pad: int, nearest: np.ndarray) -> Varied:
    """A span of each window in another order, at the same times."""
    span = np.ceil(draw.lengths * SHARE)
    start = np.floor((draw.lengths - span + 1) * draw.place)
    places = np.arange(draw.windows.shape[1])
    key = np.where((places >= start) & (places < start + span), start + draw.hit * span, places)
    return np.take_along_axis(draw.windows, np.argsort(key, axis=1, kind="stable"), axis=1), draw.seconds


def swap(draw: Draw, pad: int, nearest: np.ndarray) -> Varied:
    """One of the nearest items in the place of some events."""
    real = draw.windows != pad
    like = nearest[np.where(real, draw.windows, 0), np.floor(draw.which * NEAREST).astype(int)]
    return np.where(real & (draw.hit < SHARE), like, draw.windows), draw.seconds


WAYS: dict[Augmentation, Callable[[Draw, int, np.ndarray], Varied]] = {
    "crop": crop, "mask": mask, "reorder": reorder, "swap": swap,
}  # fmt: skip


class Augmented:
    """Batches whose windows are varied.

    Args:
        kinds: the ways, each as likely.
        width: events in a window.
        pad: an id that is no item.
        rows: windows a step, over all ranks together.
        nearest: of `nearest_by_text`.
    """

    def __init__(
        self,
        batches: Batches,
        kinds: Sequence[Augmentation],
        width: int,
        pad: int,
        rows: int,
        seed: int,
        nearest: np.ndarray,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._batches, self._ways = batches, [WAYS[kind] for kind in kinds]
        self._width, self._pad, self._rows = width, pad, rows
        self._seed, self._nearest, self._rank, self._ranks = seed, nearest, rank, ranks
        self.steps_per_epoch = batches.steps_per_epoch

    def epoch(self, number: int, done: int = 0) -> Iterator[Tensor]:
        """The batches of that epoch, varied."""
        for step, batch in enumerate(self._batches.epoch(number, done), start=done):
            yield torch.from_numpy(self._varied(batch.numpy(), np.random.default_rng((self._seed, number, step, 1))))

    def _varied(self, batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another array int32 [rows, width], or twice as wide with times."""
        own = slice(self._rank, self._rank + len(batch) * self._ranks, self._ranks)
        chosen, size, place = rng.random((3, self._rows, 1))[:, own]
        hit, which = rng.random((2, self._rows, self._width))[:, own]
        windows, seconds = batch[:, : self._width], batch[:, self._width :]
        draw = Draw(windows, seconds, (windows != self._pad).sum(axis=1, keepdims=True), size, place, hit, which)
        varied = batch.copy()
        for number, way in enumerate(self._ways):
            lowest = LEFT_ALONE + (1 - LEFT_ALONE) * number / len(self._ways)
            rows = np.flatnonzero((chosen >= lowest) & (chosen < lowest + (1 - LEFT_ALONE) / len(self._ways)))
            if len(rows):
                part = Draw(*(getattr(draw, field.name)[rows] for field in fields(Draw)))
                varied[rows] = np.hstack(way(part, self._pad, self._nearest))
        return varied
