"""silver/events and silver/items → gold/user_affinity: how a user's weight is divided over categories, as of a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.features.as_of import next_midnight
from lakerec.features.decay import decayed_sums
from lakerec.features.weights import event_weight, exact_sum

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def user_affinity(
    events: DataFrame, items: DataFrame, weights: Mapping[str, float], half_life: float, top: int
) -> DataFrame:
    """Rows of gold/user_affinity: one for each user and day with an event of an item that has categories.

    An event's weight goes to its item's categories in equal parts. Items have no history: their categories are those of
    today.

    Args:
        items: item_id, categories.
        half_life: in days.
        top: categories kept, the strongest first, then by alphabet.
    """
    daily = _by_day(events, items, weights)
    days = daily.select(C.USER_ID, C.DAY).distinct()
    begun = daily.groupBy(C.USER_ID, C.CATEGORY).agg(F.min(C.DAY).alias("_begun"))
    every = days.join(begun, on=C.USER_ID).where(F.col(C.DAY) >= F.col("_begun")).drop("_begun")
    keys = [C.USER_ID, C.CATEGORY, C.DAY]
    filled = every.join(daily, on=keys, how="left").withColumn(C.WEIGHT, F.coalesce(C.WEIGHT, F.lit(0.0)))
    left = decayed_sums(filled, (C.USER_ID, C.CATEGORY), C.WEIGHT, half_life, C.WEIGHT_DECAYED)
    of_day = Window.partitionBy(C.USER_ID, C.DAY).orderBy(F.desc(C.WEIGHT_DECAYED), C.CATEGORY)
    whole = F.sum(C.WEIGHT_DECAYED).over(of_day.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing))
    share = F.coalesce(F.try_divide(F.col(C.WEIGHT_DECAYED), whole), F.lit(0.0))
    ranked = left.select(C.USER_ID, C.DAY, C.CATEGORY, share.alias("_share"), F.row_number().over(of_day).alias(C.RANK))
    best = F.struct(C.RANK, C.CATEGORY, "_share")
    kept = (
        ranked.where(F.col(C.RANK) <= top).groupBy(C.USER_ID, C.DAY).agg(F.sort_array(F.collect_list(best)).alias("_best"))
    )
    return kept.select(
        C.USER_ID,
        C.DAY,
        next_midnight(F.col(C.DAY)).alias(C.KNOWABLE_AT),
        F.col(f"_best.{C.CATEGORY}").alias(C.CATEGORIES),
        F.col("_best._share").alias(C.SHARES),
    )


def _by_day(events: DataFrame, items: DataFrame, weights: Mapping[str, float]) -> DataFrame:
    """user_id, category, day, weight: weights of a user's items first, so that fewer rows are divided by category."""
    known = events.where(F.col(C.USER_ID).isNotNull())
    day = F.to_date(C.EVENT_TIME).alias(C.DAY)
    by_item = known.groupBy(C.USER_ID, C.ITEM_ID, day).agg(exact_sum(event_weight(weights)).alias(C.WEIGHT))
    distinct = items.select(C.ITEM_ID, F.array_distinct(C.CATEGORIES).alias(C.CATEGORIES))
    part = (F.col(C.WEIGHT) / F.size(C.CATEGORIES)).alias(C.WEIGHT)
    parts = by_item.join(distinct.where(F.size(C.CATEGORIES) > 0), on=C.ITEM_ID)
    divided = parts.select(C.USER_ID, C.DAY, part, F.explode(C.CATEGORIES).alias(C.CATEGORY))
    return divided.groupBy(C.USER_ID, C.CATEGORY, C.DAY).agg(exact_sum(F.col(C.WEIGHT)).alias(C.WEIGHT))
