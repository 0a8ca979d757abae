"""Batches that memory does not suffice for, in halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

Found = TypeVar("Found")
FULL = "DefaultCPUAllocator"
"""What torch names where a processor's own memory does not suffice, by a plain RuntimeError."""


def halving(work: Callable[[np.ndarray], Found], rows: np.ndarray) -> list[Found]:
    """What `work` makes of the rows; where memory does not suffice, of their halves, in order.

    Raises:
        RuntimeError: a single row is too much, or the work failed by something else.
    """
    try:
        return [work(rows)]
    except RuntimeError as error:
        if len(rows) == 1 or not (isinstance(error, torch.OutOfMemoryError) or FULL in str(error)):
            raise
    # Out here the failed try holds no memory any more.
    torch.cuda.empty_cache()
    half = len(rows) // 2
    return [*halving(work, rows[:half]), *halving(work, rows[half:])]
