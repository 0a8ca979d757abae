"""Fewer dimensions for vectors: principal components, or the first ones of a model that was trained to be cut.

    vectors [n, full] ─ components [d, full] ─► projected [n, d] → unit length

Principal components are applied without centring, as sentence-transformers' example of dimensionality reduction does: a
cosine between two vectors then changes by what the components leave out, and by nothing else. A cut is for models of
Matryoshka representation learning (Kusupati et al., 2022), whose first dimensions hold the most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.ml.feature import PCA
from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.vectors import block, lists, unit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def principal_components(vectors: DataFrame, dimensions: int) -> np.ndarray:
    """Orthonormal rows float32 [dimensions, full], those that keep most variance first; Spark's PCA.

    Args:
        vectors: vector, none of them null.
    """
    columns = vectors.select(array_to_vector(F.col(C.VECTOR)).alias(C.VECTOR))
    model = PCA(k=dimensions, inputCol=C.VECTOR, outputCol="_out").fit(columns)
    found: np.ndarray = model.pc.toArray().T.astype(np.float32)
    return found


def first_dimensions(dimensions: int, full: int) -> np.ndarray:
    """The components of a plain cut, float32 [dimensions, full]."""
    return np.eye(dimensions, full, dtype=np.float32)


def project(vectors: DataFrame, components: np.ndarray) -> DataFrame:
    """The same rows with their vector in fewer dimensions, of unit length; a vector that has nothing in them is zero."""

    def shorter(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch, less in _projected(batches, components):
            columns = {name: batch.column(name) for name in batch.schema.names} | {C.VECTOR: lists(unit(less))}
            yield pa.RecordBatch.from_pydict(columns)

    return vectors.mapInArrow(shorter, vectors.schema)


def kept_variance(vectors: DataFrame, components: np.ndarray) -> float:
    """Share of the vectors' variance that is left in the space of orthonormal components; 1 where there is none at all."""

    def beside(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch, less in _projected(batches, components):
            yield pa.RecordBatch.from_pydict({C.VECTOR: batch.column(C.VECTOR), "_less": lists(less)})

    both = vectors.select(C.VECTOR).mapInArrow(beside, f"{C.VECTOR} array<float>, _less array<float>")
    variances = [Summarizer.variance(array_to_vector(F.col(name))) for name in (C.VECTOR, "_less")]
    row = both.agg(*variances).first()
    assert row is not None, "an aggregate has a row"
    whole, kept = (float(variance.toArray().sum()) for variance in row)
    return kept / whole if whole else 1.0


def _projected(batches: Iterable[pa.RecordBatch], components: np.ndarray) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch with its vectors as they fall on the components, float32 [rows, d]."""
    for batch in batches:
        if len(batch):
            yield batch, block(batch.column(C.VECTOR)) @ components.T
