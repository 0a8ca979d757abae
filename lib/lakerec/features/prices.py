"""What an item costs as of a day, and the price band of an item and of what a user buys.

    price   of an item: the mean of what its events said on the last day on which any said a price
    band    how many of the declared edges (`features.price_bands`) a price has reached; 0 is the cheapest

Edges are declared, not learned at each run: so a band means the same on every day, nothing of later moves it, and it depends
on the entity's own events alone. `quantile_edges` finds edges that cut a catalogue into parts of equal size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.features.weights import event_weight

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def said_price(weights: Mapping[str, float]) -> Column:
    """The price that an event says; null where it is not above 0 or the event has no weight, as one that takes back."""
    return F.when((F.col(C.PRICE) > 0) & (event_weight(weights) > 0), F.col(C.PRICE))


def band(price: Column, edges: Sequence[float]) -> Column:
    """Band of a price, from 0 to the number of edges; null without a price, or without edges."""
    if not edges:
        return F.lit(None).cast("int")
    return reduce(lambda one, other: one + other, [(price >= float(edge)).cast("int") for edge in edges])


def quantile_edges(item_stats: DataFrame, bands: int, moment: datetime) -> list[float]:
    """Edges for `features.price_bands` that divide the items, by their prices as known at a moment, into equal parts.

    Args:
        item_stats: rows of gold/item_stats.
        bands: how many parts; fewer come out where many items cost the same.
        moment: such as where the valid split begins, so that the edges know nothing of what is to be predicted.

    Raises:
        ValueError: the moment says no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"moment {moment} says no time zone: add tzinfo=UTC")
    known = item_stats.where((F.col(C.KNOWABLE_AT) <= F.lit(moment)) & F.col(C.PRICE_LAST).isNotNull())
    prices = known.groupBy(C.ITEM_ID).agg(F.max_by(C.PRICE_LAST, C.KNOWABLE_AT).alias(C.PRICE_LAST))
    shares = F.array(*[F.lit(place / bands) for place in range(1, bands)])
    row = prices.agg(F.percentile(C.PRICE_LAST, shares)).first()
    return sorted(set(row[0] or [])) if row else []
