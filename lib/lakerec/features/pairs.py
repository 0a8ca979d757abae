"""gold/interactions → gold/item_pairs: items that the same users, or the same sessions, have.

    train interactions → last items of each group → pairs within a group → counts → the nearest of each item

A group of n items makes n² / 2 pairs, so only its last items count; that also keeps a group with half of all rows small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits
from lakerec.features.as_of import next_midnight

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def item_pairs(interactions: DataFrame, group: str, last: int, top: int) -> DataFrame:
    """Rows of gold/item_pairs, by the train split alone; knowable from the midnight after its last event.

    Args:
        interactions: item_id, event_time, split, position (in the user's history) and group.
        group: column of what two items must share: user_id or session_id; rows without it are left out.
        last: items of a group that pairs are made of, the latest ones.
        top: others kept of an item, by cosine, then count, then id.
    """
    train = interactions.where((F.col(C.SPLIT) == Splits.TRAIN) & F.col(group).isNotNull())
    baskets = _baskets(train, group, last)
    sizes = baskets.select(F.explode("_items").alias(C.ITEM_ID)).groupBy(C.ITEM_ID).agg(F.count("*").alias("_groups"))
    totals = baskets.agg(F.count("*").alias("_all")).crossJoin(train.agg(F.max(C.EVENT_TIME).alias("_last")))
    both = _both_ways(_together(baskets))
    others = sizes.select(F.col(C.ITEM_ID).alias(C.OTHER_ITEM_ID), F.col("_groups").alias("_others"))
    joined = both.join(sizes, on=C.ITEM_ID).join(others, on=C.OTHER_ITEM_ID).crossJoin(F.broadcast(totals))
    product = F.col("_groups").cast("double") * F.col("_others")
    scored = joined.withColumn(C.COSINE, F.col(C.TOGETHER) / F.sqrt(product))
    scored = scored.withColumn(C.LIFT, F.col(C.TOGETHER) * F.col("_all") / product)
    nearest = Window.partitionBy(C.ITEM_ID).orderBy(F.desc(C.COSINE), F.desc(C.TOGETHER), C.OTHER_ITEM_ID)
    kept = scored.withColumn("_place", F.row_number().over(nearest)).where(F.col("_place") <= top)
    return kept.select(
        C.ITEM_ID, C.OTHER_ITEM_ID, C.TOGETHER, C.COSINE, C.LIFT, next_midnight(F.to_date("_last")).alias(C.KNOWABLE_AT)
    )


def _baskets(train: DataFrame, group: str, last: int) -> DataFrame:
    """`_items`: the last distinct items of each group, sorted by id."""
    met = train.groupBy(group, C.ITEM_ID).agg(F.max(C.POSITION).alias(C.POSITION))
    backwards = Window.partitionBy(group).orderBy(F.desc(C.POSITION))
    latest = met.withColumn("_place", F.row_number().over(backwards)).where(F.col("_place") <= last)
    return latest.groupBy(group).agg(F.sort_array(F.collect_list(C.ITEM_ID)).alias("_items"))


def _together(baskets: DataFrame) -> DataFrame:
    """item_id, other_item_id (the greater one), together: in how many groups both are."""
    first = baskets.select("_items", F.posexplode("_items").alias("_at", C.ITEM_ID))
    others = F.slice("_items", F.col("_at") + 2, F.greatest(F.size("_items") - F.col("_at") - 1, F.lit(0)))
    pairs = first.select(C.ITEM_ID, F.explode(others).alias(C.OTHER_ITEM_ID))
    return pairs.groupBy(C.ITEM_ID, C.OTHER_ITEM_ID).agg(F.count("*").alias(C.TOGETHER))


def _both_ways(pairs: DataFrame) -> DataFrame:
    """Each pair from both of its items: one pass over them."""
    ways = F.array(
        F.struct(F.col(C.ITEM_ID).alias(C.ITEM_ID), F.col(C.OTHER_ITEM_ID).alias(C.OTHER_ITEM_ID)),
        F.struct(F.col(C.OTHER_ITEM_ID).alias(C.ITEM_ID), F.col(C.ITEM_ID).alias(C.OTHER_ITEM_ID)),
    )
    return pairs.select(F.inline(ways), C.TOGETHER)
