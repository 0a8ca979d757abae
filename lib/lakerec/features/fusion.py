"""Vectors of several kinds → one a row, whose cosine is the weighted mean of theirs.

    text [a], image [b], graph [c] ─ unit length each, × √weight ─► [a + b + c] ─► unit length

What lacks one of them has zeros there: it is compared by what both have, and a little less alike for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lakerec.columns import Columns as C
from lakerec.vectors import block, lists, unit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Kind:
    """Vectors of one kind."""

    name: str
    vectors: DataFrame
    """key, vector; one row a key; an array of numbers, none of them null or infinite."""
    dimensions: int
    weight: float


def fuse(base: DataFrame, key: str, weight: float, kinds: list[Kind]) -> DataFrame:
    """Rows of `base` with its vector and those of the kinds in one.

    Args:
        base: key, vector (all of one length) and more.
        weight: of the base's vector.
    """
    joined, names = base, base.columns
    for kind in kinds:
        other = kind.vectors.select(key, kind.vectors[C.VECTOR].cast("array<float>").alias(f"_{kind.name}"))
        joined = joined.join(other, on=key, how="left")
    shapes = [(f"_{kind.name}", kind.dimensions, kind.weight) for kind in kinds]

    def together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not len(batch):
                continue
            parts = [_scaled(block(batch.column(C.VECTOR)), weight)]
            parts += [_scaled(_with_zeros(batch.column(name), size), each) for name, size, each in shapes]
            vectors = lists(unit(np.concatenate(parts, axis=1)))
            yield pa.RecordBatch.from_pydict({name: batch.column(name) for name in names} | {C.VECTOR: vectors})

    return joined.select(*names, *(name for name, *_ in shapes)).mapInArrow(together, base.schema)


def _with_zeros(column: pa.ListArray, size: int) -> np.ndarray:
    """float32 [n, size], zeros where a row has none."""
    there = column.is_valid().to_numpy(zero_copy_only=False)
    found = np.zeros((len(column), size), dtype=np.float32)
    if there.any():
        found[there] = block(column.drop_null())
    return found


def _scaled(rows: np.ndarray, weight: float) -> np.ndarray:
    """Rows of unit length, times √weight; rows of zeros stay so."""
    return (unit(rows) * np.sqrt(weight)).astype(np.float32)
