"""Text to values as native Spark expressions; what does not parse becomes null, never an exception."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lakerec.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
DATED = r"^[+-]?[0-9]{4,6}-"
"""How a time in ISO 8601 begins: Spark takes a time of day alone for one of today."""
OFFSET = r"^[+-]?[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}[T ].*[A-Za-z+-]"
"""A time in ISO 8601 with an offset or a zone behind it."""
SECONDS_BELOW = 1e11
"""A number below this is epoch seconds (5138 CE), from here on milliseconds (1973)."""
FLOATS = ("float", "double")
MOST_WHOLE = 2.0**53
"""From here on a double leaves out integers."""
EARLIEST = "1971-01-01"
"""Earlier times are a zero or a sentinel in the source, not a behaviour log."""


def trimmed(column: Column) -> Column:
    """Text without spaces around it; null where nothing is left."""
    text = F.trim(column.cast("string"))
    return F.when(text != "", text)


def number(column: Column) -> Column:
    """Double; null where the text is no finite number."""
    text = trimmed(column)
    value = text.try_cast("double")
    return F.when(text.rlike(NUMBER) & (F.abs(value) < float("inf")), value)


def as_text(column: Column, kind: str) -> Column:
    """The text of a value; whole numbers alike whatever their type, since files hold 7 as 7.0 where another one is missing.

    Args:
        kind: Spark's type of the column.
    """
    if kind not in FLOATS:
        return column.cast("string")
    whole = (column == F.floor(column)) & (F.abs(column) < MOST_WHOLE)
    return F.when(whole, column.cast("bigint").cast("string")).otherwise(column.cast("double").cast("string"))


def moment(column: Column, time_format: str | None, zone: str | None = None) -> Column:
    """UTC timestamp from text in the declared format, or detected: epoch seconds, milliseconds, ISO 8601.

    Args:
        zone: where times without an offset were written. One that the clocks skipped counts as that much later, one
            that they showed twice as the first of the two (java.time.LocalDateTime.atZone).
    """
    if time_format == "seconds":
        return _epoch(number(column))
    if time_format == "milliseconds":
        return _epoch(number(column) / 1000)
    text = trimmed(column)
    if time_format is not None:
        written = F.try_to_timestamp(text, F.lit(time_format))
        return F.to_utc_timestamp(written, zone) if zone and not _has_offset(time_format) else written
    epoch = number(column)
    detected = _epoch(F.when(F.abs(epoch) < SECONDS_BELOW, epoch).otherwise(epoch / 1000))
    written = text.try_cast("timestamp")
    if zone:
        written = F.when(text.rlike(OFFSET), written).otherwise(F.to_utc_timestamp(written, zone))
    return F.when(text.rlike(DATED), written).otherwise(detected)


def local_time(column: Column, zone: str | None) -> Column:
    """UTC timestamp of a column that already holds times without an offset."""
    return F.to_utc_timestamp(column.cast("timestamp"), zone) if zone else column.cast("timestamp")


def _has_offset(time_format: str) -> bool:
    """Whether a datetime pattern reads an offset or a zone."""
    return bool(re.search("[VzOXxZ]", re.sub("'[^']*'", "", time_format)))


def check_time_format(spark: SparkSession, time_format: str | None, where: str) -> None:
    """A declared pattern is one that Spark can read; without this, each task would fail on it.

    Raises:
        InputError: it is not.
    """
    if time_format in (None, "seconds", "milliseconds"):
        return
    try:
        spark.range(1).select(F.try_to_timestamp(F.lit("2024-01-01"), F.lit(time_format))).collect()
    except PySparkException as error:
        raise InputError(
            f"{where}.time_format: `{time_format}` is no datetime pattern ({_cause(error)}); give seconds, milliseconds "
            "or a pattern such as yyyy-MM-dd'T'HH:mm:ss"
        ) from None


def _cause(error: PySparkException) -> str:
    """First sentence of what Spark says against a pattern."""
    return f"{error}".splitlines()[0].partition("] ")[2] or f"{error}".splitlines()[0]


def _epoch(seconds: Column) -> Column:
    """Timestamp of epoch seconds; null beyond what a timestamp holds (some 292,000 years)."""
    return F.when(F.abs(seconds) < 9e12, F.timestamp_micros((seconds * 1_000_000).cast("long")))


def plausible(time: Column) -> Column:
    """Whether an event can have happened then: after 1970, and not more than a day ahead of the clock."""
    return (time >= F.lit(EARLIEST).cast("timestamp")) & (time <= F.current_timestamp() + F.expr("INTERVAL 1 DAY"))
