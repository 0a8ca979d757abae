"""silver/events → gold/user_stats and gold/item_stats: what was known of an entity at the end of each of its days.

    events → a row for each entity and day (hash aggregate) → sums over 1, 7, 30 days and all, over those few rows

A row may be used from `knowable_at`, the midnight (UTC) after its day: it holds events before that moment only. Its
windows end with its day, so a reader looks at `knowable_at` too: `features.decay.decayed` brings `weight_decayed` to any
later day. Statistics of an entity depend on its own events alone, so those of touched entities can be computed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import Window, WindowSpec
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Windows
from lakerec.features.as_of import next_midnight
from lakerec.features.decay import decayed_sums
from lakerec.features.weights import event_weight, exact_sum

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MICROS_A_DAY = 86_400_000_000


def user_stats(events: DataFrame, sessions: DataFrame, weights: Mapping[str, float], half_life: float) -> DataFrame:
    """Rows of gold/user_stats.

    Args:
        events: rows of silver/events; those without a user count for nobody.
        sessions: rows of gold/session_stats.
        half_life: of weight_decayed, in days.
    """
    known = events.where(F.col(C.USER_ID).isNotNull())
    begun = sessions.select(C.USER_ID, C.SESSION_ID, F.col(C.STARTED_AT).alias(C.EVENT_TIME))
    rows = _by_day(known, C.USER_ID, weights)
    rows = _with_firsts(rows, known, C.USER_ID, C.ITEM_ID, C.ITEMS)
    rows = _with_firsts(rows, begun, C.USER_ID, C.SESSION_ID, C.SESSIONS)
    return _over_windows(rows, C.USER_ID, (C.ITEMS, C.SESSIONS), half_life)


def item_stats(events: DataFrame, weights: Mapping[str, float], half_life: float) -> DataFrame:
    """Rows of gold/item_stats; events without a user count too, though not as users."""
    rows = _by_day(events, C.ITEM_ID, weights)
    rows = _with_firsts(rows, events.where(F.col(C.USER_ID).isNotNull()), C.ITEM_ID, C.USER_ID, C.USERS)
    return _over_windows(rows, C.ITEM_ID, (C.USERS,), half_life)


def _by_day(events: DataFrame, key: str, weights: Mapping[str, float]) -> DataFrame:
    """One row for each entity and day; one pass, one hash aggregate."""
    value = F.col(C.VALUE)
    return events.groupBy(key, F.to_date(C.EVENT_TIME).alias(C.DAY)).agg(
        F.count("*").alias(C.EVENTS),
        exact_sum(event_weight(weights)).alias(C.WEIGHT),
        F.coalesce(exact_sum(value), F.lit(0.0)).alias(C.VALUE),
        F.coalesce(exact_sum(value * value), F.lit(0.0)).alias("_squares"),
        F.count(value).alias("_values"),
        F.min(C.EVENT_TIME).alias("_first"),
        F.max(C.EVENT_TIME).alias(C.LAST_SEEN),
    )


def _with_firsts(rows: DataFrame, events: DataFrame, key: str, other: str, name: str) -> DataFrame:
    """Add how many others the entity met for the first time on the day: their running sum counts distinct ones."""
    met = events.groupBy(key, other).agg(F.min(F.to_date(C.EVENT_TIME)).alias(C.DAY))
    firsts = met.groupBy(key, C.DAY).agg(F.count("*").alias(name))
    return rows.join(firsts, on=[key, C.DAY], how="left").withColumn(name, F.coalesce(name, F.lit(0)))


def _over_windows(rows: DataFrame, key: str, distinct: tuple[str, ...], half_life: float) -> DataFrame:
    """The day's figures → the table's columns: windows, to-date figures, the moment they were knowable."""
    rows = decayed_sums(rows, (key,), C.WEIGHT, half_life, C.WEIGHT_DECAYED)
    so_far, in_order = _window(key, None), Window.partitionBy(key).orderBy(F.unix_date(C.DAY))
    micros = F.unix_micros("_first") - F.unix_micros(F.lag(C.LAST_SEEN).over(in_order))
    count, total = F.sum("_values").over(so_far), F.sum(C.VALUE).over(so_far)
    mean = total / F.when(count > 0, count)
    variance = F.sum("_squares").over(so_far) / F.when(count > 0, count) - mean * mean
    return rows.select(
        key,
        C.DAY,
        next_midnight(F.col(C.DAY)).alias(C.KNOWABLE_AT),
        F.min("_first").over(so_far).alias(C.FIRST_SEEN),
        C.LAST_SEEN,
        (micros / MICROS_A_DAY).alias(C.DAYS_SINCE_PREVIOUS),
        *[_sum(name, key, window) for name in Windows.SUMS for window in Windows.DAYS],
        C.WEIGHT_DECAYED,
        mean.alias(C.VALUE_MEAN),
        F.sqrt(F.when(variance > 0, variance).when(count > 0, 0.0)).alias(C.VALUE_DEVIATION),
        *[F.sum(name).over(so_far).alias(name) for name in distinct],
    )


def _sum(name: str, key: str, window: str) -> Column:
    return F.sum(name).over(_window(key, Windows.DAYS[window])).alias(f"{name}_{window}")


def _window(key: str, days: int | None) -> WindowSpec:
    """The rows of the last days, today included; None: all so far."""
    begin = Window.unboundedPreceding if days is None else 1 - days
    return Window.partitionBy(key).orderBy(F.unix_date(C.DAY)).rangeBetween(begin, Window.currentRow)
