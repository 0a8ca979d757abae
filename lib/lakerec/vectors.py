"""Vectors as lists in Arrow and as rows of numpy, and their length. No Spark, no torch here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def block(column: pa.ListArray | pa.ChunkedArray) -> np.ndarray:
    """Lists of one length, none of them null, as float32 [n, d]; [0, 0] where there is none."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(whole):
        return np.zeros((0, 0), dtype=np.float32)
    found: np.ndarray = whole.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False).reshape(len(whole), -1)
    return found


def lists(rows: np.ndarray) -> pa.ListArray:
    """Rows [n, d] as n lists."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows [n, d] at unit length; a row of zeros stays one."""
    found: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found
