"""Histories cut into windows.

history of 7 events, windows of 4 → [0 1 2 3] [3 4 5 6]     every event but the first is a target once
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(offsets: np.ndarray, items: np.ndarray, width: int, pad: int, times: np.ndarray | None = None) -> np.ndarray:
    """Cut histories into windows of `width` events, each beginning with the last event of the one before.

    The newest window of a history is full, so that the shortest is the oldest. Histories of one event have no target and
    give no window.

    Args:
        offsets: int64 [n + 1]; items: int [total], history i is items[offsets[i]:offsets[i + 1]].
        times: int [total], seconds by any clock.

    Returns:
        int32 [windows, width], padded on the right with `pad`; with `times` twice as wide: behind a window's items stand the
        seconds from the first event of the history to each, zero where there is no event.
    """
    if times is not None:
        lengths = np.diff(offsets)
        began = np.repeat(times[offsets[:-1][lengths > 0]], lengths[lengths > 0])
        seconds = np.minimum(times - began, np.iinfo(np.int32).max)
        return np.hstack([windows(offsets, items, width, pad), windows(offsets, seconds, width, 0)])
    history, ends = _ends(offsets, width)
    starts = np.maximum(ends - width, offsets[:-1][history])
    padded = np.concatenate([items, np.full(width, pad)]).astype(np.int32, copy=False)
    found: np.ndarray = sliding_window_view(padded, width)[starts]
    short = np.flatnonzero(ends - starts < width)
    beyond = np.arange(width)[None, :] >= (ends - starts)[short, None]
    found[short] = np.where(beyond, pad, found[short])
    return found


def hold_new(offsets: np.ndarray, width: int, seen: np.ndarray) -> np.ndarray:
    """Which windows have a target that is not among the first `seen` events of its history, bool [windows].

    Args:
        seen: int [n], events of each history that an earlier fit learned from.
    """
    history, ends = _ends(offsets, width)
    found: np.ndarray = ends - offsets[:-1][history] > seen[history]
    return found


def _ends(offsets: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The history of each window, and the place behind its last event; int64 [windows]."""
    lengths = np.diff(offsets)
    step = width - 1
    counts = np.where(lengths > 1, -(-(lengths - 1) // step), 0)
    history = np.repeat(np.arange(len(lengths)), counts)
    from_last = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(counts.sum())
    return history, offsets[1:][history] - from_last * step
