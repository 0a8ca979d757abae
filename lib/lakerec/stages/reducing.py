"""Vectors of an encoder → of fewer dimensions, by components that stay until --full works them out anew.

    gold/reductions of (encoder, dimensions) ─ there ─► these        ─ not there, or --full ─► of the vectors at hand → kept

Vectors that were brought down by other components do not compare, so their label in `encoder` is another one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import ConfigError
from lakerec.features.reduction import first_dimensions, kept_variance, principal_components, project
from lakerec.lake.contracts import CONTRACTS
from lakerec.language.files import dimensions
from lakerec.stages.base import Context

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Reduced:
    """Vectors in the dimensions that the config asks for."""

    vectors: DataFrame
    """The same columns; `encoder` says what brought them down."""
    kept: float | None = None
    """Share of their variance that is left; None where they are as the model gave them."""


def check_dimensions(context: Context) -> None:
    """Before anything is encoded.

    Raises:
        ConfigError: the model gives fewer dimensions than `encoder.dimensions`.
    """
    config = context.config.encoder
    if config.dimensions and config.dimensions > (full := dimensions(config.model)):
        raise ConfigError(f"encoder.dimensions ({config.dimensions}) must be at most the {full} that `{config.model}` gives")


def reduced(context: Context, vectors: DataFrame, encoder: str) -> Reduced:
    """Vectors of one encoder (encoder, vector and other columns) in `encoder.dimensions`."""
    config = context.config.encoder
    if not config.dimensions or config.dimensions == (full := dimensions(config.model)):
        return Reduced(vectors)
    if config.reduction == "cut":
        label, components = f"{encoder}-cut{config.dimensions}", first_dimensions(config.dimensions, full)
    else:
        label, components = _components(context, vectors, encoder)
    less = project(vectors.withColumn(C.ENCODER, F.lit(label)), components)
    return Reduced(less, kept_variance(vectors, components))


def _components(context: Context, vectors: DataFrame, encoder: str) -> tuple[str, np.ndarray]:
    """Label and components, the kept ones where there are any of this encoder and so many dimensions."""
    size, lake = context.config.encoder.dimensions, context.lake
    same = (F.col(C.ENCODER) == encoder) & (F.col(C.DIMENSIONS) == size)
    known = None if context.full else lake.read(Tables.REDUCTIONS).where(same).first()
    if known is not None:
        return known[C.LABEL], np.array(known[C.COMPONENTS], dtype=np.float32)
    found = principal_components(vectors, size)
    label = f"{encoder}-pca{size}-{hashlib.sha256(found.tobytes()).hexdigest()[:6]}"
    row = (encoder, size, label, found.tolist())
    lake.merge(context.spark.createDataFrame([row], CONTRACTS[Tables.REDUCTIONS].schema), Tables.REDUCTIONS)
    return label, found
