"""silver/events → gold/interactions: weighted, in order, with dense ids, divided into splits.

events with a user, weight > 0, not a bot → position in the user's history → split → dense ids
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits
from lakerec.config import SplitConfig

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FILE_ORDER = (C.EVENT_TIME, C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
"""Equal times are common: the order of the file decides, so that every run sees the same last event."""
FEWEST_EVENTS = 3
"""leave_last_out: a shorter history has nothing left to learn from, and stays whole in train."""


def weighted(events: DataFrame, weights: Mapping[str, float]) -> DataFrame:
    """Events that count as interactions, with weight and position (from 0, oldest first) in the user's history."""
    known = events.where(F.col(C.USER_ID).isNotNull() & ~F.col(C.IS_BOT))
    weight: Column = F.lit(1.0)
    for event_type, value in weights.items():
        weight = F.when(F.col(C.EVENT_TYPE) == event_type, value).otherwise(weight)
    by_user = Window.partitionBy(C.USER_ID).orderBy(*FILE_ORDER)
    counted = known.withColumn(C.WEIGHT, weight).where(F.col(C.WEIGHT) > 0)
    return counted.withColumn(C.POSITION, (F.row_number().over(by_user) - 1).cast("int"))


def split(interactions: DataFrame, config: SplitConfig) -> DataFrame:
    """Add split: by the declared protocol."""
    if config.protocol == "leave_last_out":
        return _leave_last_out(interactions)
    return _temporal(interactions, config.valid, config.test)


def _leave_last_out(interactions: DataFrame) -> DataFrame:
    """A user's last event is test, the one before valid; users with fewer than three events are all train."""
    events = F.count("*").over(Window.partitionBy(C.USER_ID))
    from_end = events - F.col(C.POSITION)
    name = F.when((events < FEWEST_EVENTS) | (from_end > 2), Splits.TRAIN)
    return interactions.withColumn(C.SPLIT, name.when(from_end == 2, Splits.VALID).otherwise(Splits.TEST))


def _temporal(interactions: DataFrame, valid: float, test: float) -> DataFrame:
    """Cut at quantiles of event time; an event at a cut belongs to the later split."""
    micros = F.unix_micros(C.EVENT_TIME)
    cuts = interactions.agg(F.percentile(micros, F.array(F.lit(valid), F.lit(test))).alias("_cuts"))
    name = F.when(micros < F.col("_cuts")[0], Splits.TRAIN).when(micros < F.col("_cuts")[1], Splits.VALID)
    return interactions.crossJoin(F.broadcast(cuts)).withColumn(C.SPLIT, name.otherwise(Splits.TEST)).drop("_cuts")


def with_dense_ids(interactions: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Add user and item from the index tables."""
    return interactions.join(users, on=C.USER_ID, how="inner").join(F.broadcast(items), on=C.ITEM_ID, how="inner")
