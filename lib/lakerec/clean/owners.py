"""Whose an event is: its user's, or of nobody but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OWNER = "_owner"


def with_owner(events: DataFrame) -> DataFrame:
    """Add `_owner`: the user, else the event's own id, so that strangers are neither one person nor one task."""
    return events.withColumn(OWNER, F.coalesce(C.USER_ID, F.concat(F.lit("\0"), C.EVENT_ID)))
