"""silver/events → gold/user_stats and gold/item_stats: what was known of an entity at the end of each of its days.

    events → a row for each entity and day (hash aggregate) → sums over 1, 7, 30 days and all, over those few rows

A row may be used from `knowable_at`, the midnight (UTC) after its day: it holds events before that moment only. Its
windows end with its day, so a reader looks at `knowable_at` too: `features.decay.decayed` brings `weight_decayed` to any
later day. Statistics of an entity depend on its own events alone, so those of touched entities can be computed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Windows
from lakerec.features.as_of import next_midnight
from lakerec.features.decay import decayed_sums
from lakerec.features.prices import band, said_price
from lakerec.features.weights import event_weight, exact_sum
from lakerec.features.windows import distinct, in_days, last_days, with_met

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MICROS_A_DAY = 86_400_000_000


def user_stats(
    events: DataFrame,
    sessions: DataFrame,
    weights: Mapping[str, float],
    half_life: float,
    price_bands: Sequence[float] = (),
) -> DataFrame:
    """Rows of gold/user_stats.

    Args:
        events: rows of silver/events; those without a user count for nobody.
        sessions: rows of gold/session_stats.
        half_life: of weight_decayed, in days.
        price_bands: edges of the bands of price_band_mean.
    """
    known = events.where(F.col(C.USER_ID).isNotNull())
    rows = _by_day(known, C.USER_ID, weights, price_bands)
    rows = with_met(rows, known, C.USER_ID, C.ITEM_ID)
    begun = sessions.groupBy(C.USER_ID, F.to_date(C.STARTED_AT).alias(C.DAY)).agg(F.count("*").alias(C.SESSIONS))
    rows = rows.join(begun, on=[C.USER_ID, C.DAY], how="left").fillna(0, [C.SESSIONS])
    so_far = last_days(C.USER_ID, None)
    return _over_windows(
        rows,
        C.USER_ID,
        half_life,
        *distinct(C.USER_ID, C.ITEMS),
        F.sum(C.SESSIONS).over(so_far).alias(C.SESSIONS),
        *[_sum(C.SESSIONS, C.USER_ID, window) for window in Windows.RECENT],
        F.try_divide(F.sum("_bands").over(so_far), F.sum("_banded").over(so_far)).alias(C.PRICE_BAND_MEAN),
    )


def item_stats(
    events: DataFrame, weights: Mapping[str, float], half_life: float, price_bands: Sequence[float] = ()
) -> DataFrame:
    """Rows of gold/item_stats; events without a user count too, though not as users. Arguments as of `user_stats`."""
    rows = _by_day(events, C.ITEM_ID, weights, price_bands)
    rows = with_met(rows, events.where(F.col(C.USER_ID).isNotNull()), C.ITEM_ID, C.USER_ID)
    price = F.last("_price", ignorenulls=True).over(last_days(C.ITEM_ID, None))
    rows = _over_windows(rows, C.ITEM_ID, half_life, *distinct(C.ITEM_ID, C.USERS), price.alias(C.PRICE_LAST))
    return rows.withColumn(C.PRICE_BAND, band(F.col(C.PRICE_LAST), price_bands))


def _by_day(events: DataFrame, key: str, weights: Mapping[str, float], price_bands: Sequence[float]) -> DataFrame:
    """One row for each entity and day; one pass, one hash aggregate."""
    value, weight = F.col(C.VALUE), event_weight(weights)
    price = said_price(weights)
    in_band = band(price, price_bands)
    return events.groupBy(key, F.to_date(C.EVENT_TIME).alias(C.DAY)).agg(
        F.count("*").alias(C.EVENTS),
        exact_sum(weight).alias(C.WEIGHT),
        F.coalesce(exact_sum(value), F.lit(0.0)).alias(C.VALUE),
        F.coalesce(exact_sum(value * value), F.lit(0.0)).alias("_squares"),
        F.count(value).alias("_values"),
        F.try_divide(exact_sum(price), F.count(price)).alias("_price"),
        exact_sum(weight * in_band).alias("_bands"),
        exact_sum(F.when(in_band.isNotNull(), weight)).alias("_banded"),
        F.min(C.EVENT_TIME).alias("_first"),
        F.max(C.EVENT_TIME).alias(C.LAST_SEEN),
    )


def _over_windows(rows: DataFrame, key: str, half_life: float, *more: Column) -> DataFrame:
    """The day's figures → the table's columns: windows, to-date figures, the moment they were knowable, and `more`."""
    rows = decayed_sums(rows, (key,), C.WEIGHT, half_life, C.WEIGHT_DECAYED)
    so_far, in_order = last_days(key, None), in_days(key)
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
        *more,
    )


def _sum(name: str, key: str, window: str) -> Column:
    return F.sum(name).over(last_days(key, Windows.DAYS[window])).alias(f"{name}_{window}")
