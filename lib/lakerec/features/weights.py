"""The weight of an event, from the declared weights of event types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import Column

GRID = 1e6
"""Steps in 1. Sums of whole steps are exact in doubles up to 2^53 of them, so they do not depend on the rows' order."""


def event_weight(weights: Mapping[str, float]) -> Column:
    """Weight by event type; 1 where the type is not named."""
    weight: Column = F.lit(1.0)
    for event_type, value in weights.items():
        weight = F.when(F.col(C.EVENT_TYPE) == event_type, F.lit(float(value))).otherwise(weight)
    return weight


def exact_sum(amount: Column) -> Column:
    """Sum of amounts rounded to a millionth each; the same whatever the order of the rows. Null where all are null."""
    return F.sum(F.rint(amount * GRID)) / GRID
