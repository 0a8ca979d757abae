"""gold/interactions and vectors → what is told of each user: a vector, interests with evidence, rhythm, liking.

An event's weight halves with each half-life up to the last event of all, so that all users are seen from one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.stat import Summarizer
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SECONDS_A_DAY = 86_400
SATURDAY = 5
"""Of F.weekday, from Monday = 0."""


def recent_weight(interactions: DataFrame, half_life: float) -> DataFrame:
    """Rows with `weight` as it counts at the last event of all.

    Args:
        interactions: event_time, weight and more.
        half_life: in days.
    """
    last = interactions.agg(F.max(C.EVENT_TIME).alias("_last"))
    age = (F.unix_seconds("_last") - F.unix_seconds(C.EVENT_TIME)) / SECONDS_A_DAY
    weighted = interactions.crossJoin(F.broadcast(last)).withColumn(
        C.WEIGHT, F.col(C.WEIGHT) * F.pow(F.lit(2.0), -age / half_life)
    )
    return weighted.drop("_last")


def mean_vectors(weighted: DataFrame, vectors: DataFrame, key: str, of: str = C.USER_ID) -> DataFrame:
    """user_id, vector: unit length, the weighted mean of the vectors of what a user met; users without any are absent.

    Args:
        weighted: user_id, key, weight.
        vectors: key, vector.
        of: column in place of user_id.
    """
    summed = weighted.groupBy(of, key).agg(F.sum(C.WEIGHT).alias(C.WEIGHT)).where(F.col(C.WEIGHT) > 0)
    mean = Summarizer.mean(array_to_vector(F.col(C.VECTOR)), F.col(C.WEIGHT)).alias(C.VECTOR)
    found = summed.join(vectors.select(key, C.VECTOR), on=key).groupBy(of).agg(mean)
    return found.select(of, unit(vector_to_array(F.col(C.VECTOR))).alias(C.VECTOR)).where(F.col(C.VECTOR).isNotNull())


def unit(values: Column) -> Column:
    """An array of doubles at unit length as array<float>; null where it has none."""
    length = F.sqrt(F.aggregate(values, F.lit(0.0), lambda total, each: total + each * each))
    return F.when(length > 0, F.transform(values, lambda each: (each / length).cast("float")))


def interests(weighted: DataFrame, items: DataFrame, most: int, evidence: int) -> DataFrame:
    """user_id, interests: array of (name, share, items), the strongest first.

    An event's weight goes to its item's categories in equal parts; an item without categories is an interest of its own.

    Args:
        weighted: user_id, item_id, weight.
        items: rows of silver/items.
        most: interests of a user.
        evidence: titles for each, those that weigh most.
    """
    title = F.coalesce(C.TITLE, C.ITEM_ID)
    named = items.select(C.ITEM_ID, title.alias(C.TITLE), _categories(title).alias(C.CATEGORIES))
    met = weighted.groupBy(C.USER_ID, C.ITEM_ID).agg(F.sum(C.WEIGHT).alias(C.WEIGHT)).where(F.col(C.WEIGHT) > 0)
    part = (F.col(C.WEIGHT) / F.size(C.CATEGORIES)).alias(C.WEIGHT)
    parts = met.join(named, on=C.ITEM_ID).select(C.USER_ID, C.TITLE, part, F.explode(C.CATEGORIES).alias(C.CATEGORY))
    best = F.sort_array(F.collect_list(F.struct((-F.col(C.WEIGHT)).alias("_w"), C.TITLE)))
    by_category = parts.groupBy(C.USER_ID, C.CATEGORY).agg(F.sum(C.WEIGHT).alias(C.WEIGHT), best.alias("_best"))
    strongest = Window.partitionBy(C.USER_ID).orderBy(F.desc(C.WEIGHT), C.CATEGORY)
    whole = F.sum(C.WEIGHT).over(Window.partitionBy(C.USER_ID))
    ranked = by_category.select(
        C.USER_ID, F.row_number().over(strongest).alias(C.RANK), F.col(C.CATEGORY).alias("name"),
        (F.col(C.WEIGHT) / whole).alias("share"), F.slice(f"_best.{C.TITLE}", 1, evidence).alias(C.ITEMS),
    ).where(F.col(C.RANK) <= most)  # fmt: skip
    listed = F.sort_array(F.collect_list(F.struct(C.RANK, "name", "share", C.ITEMS)))
    gathered = ranked.groupBy(C.USER_ID).agg(listed.alias("_all"))
    return gathered.select(
        C.USER_ID, F.transform("_all", lambda each: F.struct(each["name"], each["share"], each[C.ITEMS])).alias(C.INTERESTS)
    )


def _categories(title: Column) -> Column:
    known = F.array_distinct(C.CATEGORIES)
    return F.when(F.size(known) > 0, known).otherwise(F.array(title))


def rhythm(interactions: DataFrame) -> DataFrame:
    """user_id, events, hour (the most common one, UTC), weekend_share, days_between (mean between days with events)."""
    hours = interactions.groupBy(C.USER_ID).agg(
        F.count("*").alias(C.EVENTS),
        F.mode(F.hour(C.EVENT_TIME), deterministic=True).alias(C.HOUR),
        F.avg((F.weekday(C.EVENT_TIME) >= SATURDAY).cast("double")).alias(C.WEEKEND_SHARE),
        F.countDistinct(F.to_date(C.EVENT_TIME)).alias("_days"),
        F.datediff(F.max(C.EVENT_TIME), F.min(C.EVENT_TIME)).alias("_span"),
    )
    between = F.try_divide(F.col("_span").cast("double"), F.col("_days") - 1)
    return hours.withColumn(C.DAYS_BETWEEN, between).drop("_days", "_span")


def liking(events: DataFrame, items: DataFrame, least: int = 3) -> DataFrame:
    """user_id, liking: array of (name, above, events), categories by how far the user's values lie above the user's mean.

    For values that say how much somebody liked an item, such as ratings. Users whose values are all the same have none.

    Args:
        events: user_id, item_id, value (null where an event has none).
        items: item_id, categories.
        least: events of a category that count.
    """
    valued = events.where(F.col(C.VALUE).isNotNull() & F.col(C.USER_ID).isNotNull())
    own = Window.partitionBy(C.USER_ID)
    spread, above = F.max(C.VALUE).over(own) - F.min(C.VALUE).over(own), F.col(C.VALUE) - F.avg(C.VALUE).over(own)
    differs = valued.select(C.ITEM_ID, C.USER_ID, above.alias("_above"), spread.alias("_spread")).where("_spread > 0")
    topics = differs.join(items.select(C.ITEM_ID, F.explode(F.array_distinct(C.CATEGORIES)).alias("name")), on=C.ITEM_ID)
    by_topic = topics.groupBy(C.USER_ID, "name").agg(F.avg("_above").alias("above"), F.count("*").alias(C.EVENTS))
    kept = by_topic.where(F.col(C.EVENTS) >= least)
    listed = F.sort_array(F.collect_list(F.struct((-F.col("above")).alias("_down"), "name", "above", C.EVENTS)))
    gathered = kept.groupBy(C.USER_ID).agg(listed.alias("_all"))
    return gathered.select(
        C.USER_ID, F.transform("_all", lambda each: F.struct(each["name"], each["above"], each[C.EVENTS])).alias(C.LIKING)
    )
