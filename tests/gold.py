"""Gold tables that fit each other, where a test makes one of them by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakerec.columns import Tables
from lakerec.lake.contracts import CONTRACTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def interactions_of(sequences: DataFrame) -> DataFrame:
    """gold/interactions that rows of gold/sequences are of; item 3 is called i3."""
    rows = [
        (
            row.user_id,
            f"i{item}",
            datetime.fromtimestamp(at, UTC),
            "view",
            1.0,
            row.split,
            row.user,
            item,
            len(row.past) + place,
        )
        for row in sequences.collect()
        for place, (item, at) in enumerate(zip(row["items"], row.times, strict=True))
    ]
    return sequences.sparkSession.createDataFrame(rows, CONTRACTS[Tables.INTERACTIONS].schema)
