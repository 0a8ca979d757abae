"""For the report's data page: the last batch of events against all before it, counted over bronze/events."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources, Tables
from lakerec.reporting.data_page import Drift
from lakerec.reporting.drift_table import Counts, Met, changes
from lakerec.stages.base import Context, Inputs
from lakerec.stages.counting import KEY, NO_TYPE, by_value, counts_by, utc, value_bin
from lakerec.stages.report_arrivals import ARRIVED, batches

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

LAST_PART = 0.25
"""Of the time that a single batch covers, the part that is compared with what precedes it."""
NOW = "_now"


def drift(context: Context, inputs: Inputs, first: datetime, last: datetime) -> Drift | None:
    """Compare; None where one side has no event.

    Args:
        first, last: of the events' times; of a single batch the last quarter is compared with the rest.
    """
    newest = _newest(context)
    if newest is None:
        cut = first + (last - first) * (1 - LAST_PART)
        is_now, compared = F.col(C.EVENT_TIME) >= F.lit(cut), _by_time(cut)
    else:
        is_now = F.col(C.BATCH_ID) == newest[C.BATCH_ID]
        compared = f"The last batch of events, of {utc(newest[ARRIVED]):%Y-%m-%d %H:%M} UTC, against all that came before it"
    bronze = context.lake.read(Tables.BRONZE_EVENTS, inputs.get(Tables.BRONZE_EVENTS))
    counts = _counts(bronze.withColumn(NOW, is_now.cast("int")))
    if not all(counts.events):
        return None
    counts.refused = _refused(context, newest)
    return Drift(compared, *counts.events, changes(counts))


def _by_time(cut: datetime) -> str:
    return (
        f"There is one batch of events only, so this compares the last quarter of its time, from {cut:%Y-%m-%d} on, "
        "with what precedes"
    )


def _newest(context: Context) -> Row | None:
    """The batch of events that came last, of those with good rows; None where there is but one."""
    of_events = batches(context).where((F.col(C.SOURCE) == Sources.EVENTS) & (F.col("rows_out") > 0))
    found = of_events.orderBy(F.col(ARRIVED).desc(), C.BATCH_ID).limit(2).collect()
    return found[0] if len(found) == 2 else None


def _counts(marked: DataFrame) -> Counts:
    """Count events before and now.

    Args:
        marked: bronze/events with `_now`, 1 or 0.
    """
    now = F.sum(NOW)
    nobody = F.col(C.USER_ID).isNull()
    found = counts_by(
        marked,
        {
            "all": F.lit(0), "types": F.coalesce(C.EVENT_TYPE, F.lit(NO_TYPE)), "hours": F.hour(C.EVENT_TIME),
            "values": value_bin(),
        },
        before=F.count("*") - now, now=now,
        strangers_before=F.count_if(nobody) - F.count_if(nobody & (F.col(NOW) == 1)),
        strangers=F.count_if(nobody & (F.col(NOW) == 1)),
    )  # fmt: skip
    whole = found["all"][0]
    return Counts(
        types={row[KEY]: [row["before"], row["now"]] for row in found["types"]},
        hours={row[KEY]: [row["before"], row["now"]] for row in found["hours"]},
        values=by_value(found["values"], "before", "now"),
        strangers=(whole["strangers_before"], whole["strangers"]),
        events=(whole["before"], whole["now"]),
        items=_met(marked, C.ITEM_ID),
        users=_met(marked.where(~nobody), C.USER_ID),
    )


def _met(marked: DataFrame, key: str) -> list[Met]:
    """Items or users by their events before, with what came last of them."""
    each = marked.groupBy(key).agg((F.count("*") - F.sum(NOW)).alias("before"), F.sum(NOW).alias("now"))
    together = each.groupBy("before").agg(F.count("*"), F.sum("now"), F.count_if(F.col("now") > 0))
    return [Met(*row) for row in together.orderBy("before").collect()]


def _refused(context: Context, newest: Row | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows refused and not, of the earlier batches and of the newest."""
    if newest is None:
        return None
    is_newest: Column = F.col(C.BATCH_ID) == newest[C.BATCH_ID]
    rows = batches(context).where(F.col(C.SOURCE) == Sources.EVENTS).groupBy(is_newest.alias(NOW))
    found = {
        row[NOW]: row for row in rows.agg(F.sum("rows_quarantined").alias("bad"), F.sum("rows_in").alias("all")).collect()
    }
    before, now = ((found[part]["bad"], found[part]["all"] - found[part]["bad"]) for part in (False, True))
    return before, now
