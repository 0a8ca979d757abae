"""Counts by several keys in one pass, few enough to collect whatever the table holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.evaluation.tallies import Tally

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEY, ROWS = "key", "rows"
"""Names of the value and of the count in what `counts_by` gives."""
MOST = 5_000
"""Values of a key that are collected, the most frequent ones: thirteen years of days, two digits of any number."""
NO_TYPE = "(none)"
"""Stands for a missing event type."""
SET, PLACE = "_set", "_place"


def counts_by(rows: DataFrame, keys: Mapping[str, Column], **figures: Column) -> dict[str, list[dict[str, Any]]]:
    """How many rows have each value of each key, and other aggregates of these rows.

    Args:
        keys: name → the value to count by; a constant gives all rows together.
        figures: name → aggregate over columns of `rows`.

    Returns:
        Name → in order of the value, null first: `key`, `rows` and the figures.
    """
    places = {name: f"_key_{place}" for place, name in enumerate(keys)}
    valued = rows.withColumns({place: keys[name] for name, place in places.items()})
    sets = valued.groupingSets([[F.col(place)] for place in places.values()], *places.values())
    wanted = [figure.alias(name) for name, figure in figures.items()]
    counted = sets.agg(F.grouping_id().alias(SET), F.count("*").alias(ROWS), *wanted)
    by_size = Window.partitionBy(SET).orderBy(F.col(ROWS).desc(), *places.values())
    few = counted.withColumn(PLACE, F.row_number().over(by_size)).where(F.col(PLACE) <= MOST)
    found = few.orderBy(SET, *places.values()).collect()
    every = 2 ** len(keys) - 1
    return {
        name: [
            {KEY: row[places[name]], ROWS: row[ROWS], **{figure: row[figure] for figure in figures}}
            for row in found
            if row[SET] == every - 2 ** (len(keys) - 1 - number)
        ]
        for number, name in enumerate(keys)
    }


def sizes(rows: DataFrame, *keys: str) -> Tally:
    """How many of what the keys name have how many rows."""
    counted = rows.groupBy(*keys).agg(F.count("*").alias(ROWS)).groupBy(ROWS).agg(F.count("*"))
    return Tally.of((row[0], row[1]) for row in counted.collect())


def value_bin() -> Column:
    """The value at two significant digits, so that ratings and small quantities stay what they are; null for no number."""
    value = F.col(C.VALUE)
    exponent = F.floor(F.log10(F.abs(value))) - 1
    rounded = F.round(value * F.pow(F.lit(10.0), -exponent)) * F.pow(F.lit(10.0), exponent)
    is_number = ~F.isnan(value) & (F.abs(value) < float("inf"))
    return F.when(value == 0, 0.0).when(is_number, rounded)


def by_value(rows: list[dict[str, Any]], *figures: str) -> dict[float, list[int]]:
    """Value → figures, from rows counted by `value_bin`; what binary fractions told apart is put together again."""
    found: dict[float, list[int]] = {}
    for row in rows:
        if row[KEY] is not None:
            value = float(f"{row[KEY]:.2g}")
            old = found.get(value, [0] * len(figures))
            found[value] = [count + row[name] for count, name in zip(old, figures, strict=True)]
    return dict(sorted(found.items()))


def utc(micros: int) -> datetime:
    """A time that Spark gave as epoch microseconds: its timestamps would come in this machine's time zone.

    >>> utc(1_704_103_200_000_000).isoformat()
    '2024-01-01T10:00:00+00:00'
    """
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
