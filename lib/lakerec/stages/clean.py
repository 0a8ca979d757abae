"""bronze → silver: one row an event in sessions, one description an item, one row a user.

Where the last run left the tables as they are, only what is new in bronze is looked at, with the old rows that it may
change; else all of bronze. Both give the same tables.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.clean import increment
from lakerec.clean.events import clean_events
from lakerec.clean.items import add_titles, clean_items, clean_users, titles_in
from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError
from lakerec.features.as_of import only
from lakerec.lake import difference
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.increments import added_since, kept, replace, unchanged, update
from lakerec.stages.spreading import spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def run(context: Context, inputs: Inputs) -> Result:
    lake = context.lake
    bronze = lake.read(Tables.BRONZE_EVENTS, inputs.get(Tables.BRONZE_EVENTS))
    if bronze.isEmpty():
        raise EmptyDataError("bronze/events has no rows: nothing to clean, silver is left as it was")
    complete = set(CONTRACTS[Tables.EVENTS].names) <= set(lake.read(Tables.EVENTS).columns)
    new = added_since(context, inputs, Tables.BRONZE_EVENTS) if complete else None
    if new is not None and not unchanged(context, inputs, Tables.BRONZE_EVENTS) and _reaches_back(context, new):
        new = None
    with kept(new) if new is not None else nullcontext() as fresh:
        if fresh is None:
            with spread(context, lake.size(Tables.BRONZE_EVENTS)[1]):
                lake.overwrite(clean_events(_priced(context, bronze), context.config.clean), Tables.EVENTS)
            lake.overwrite(titles_in(bronze), Tables.ITEM_TITLES)
        elif not unchanged(context, inputs, Tables.BRONZE_EVENTS):
            _update(context, fresh)
        if not unchanged(context, inputs, Tables.BRONZE_EVENTS, Tables.BRONZE_ITEMS):
            _describe(context, inputs, fresh)
    if not unchanged(context, inputs, Tables.BRONZE_USERS):
        replace(context, clean_users(lake.read(Tables.BRONZE_USERS, inputs.get(Tables.BRONZE_USERS))), Tables.USERS)
    rows_in, rows_out = bronze.count(), lake.read(Tables.EVENTS).count()
    return Result(rows_in=rows_in, rows_out=rows_out, rows_duplicate=rows_in - rows_out)


def _priced(context: Context, events: DataFrame) -> DataFrame:
    """Where the source says no price, none is looked for: maps are slow to read."""
    source = context.config.source.events
    says = C.PRICE in (*source.columns, *source.defaults, *source.computed)
    return events if says else events.withColumn(C.PRICE, F.lit(None).cast("double"))


def _reaches_back(context: Context, new: DataFrame) -> bool:
    """Whether new rows may change old ones that only a look at all rows finds."""
    lake, base = context.lake, context.base
    assert base is not None, "new rows are those since a run"
    before = lake.read(Tables.BRONZE_EVENTS, base.inputs[Tables.BRONZE_EVENTS])
    return increment.needs_all(lake.read(Tables.EVENTS), new, before, context.config.clean)


def _update(context: Context, fresh: DataFrame) -> None:
    """Bring silver/events and the titles up to date with new rows of bronze/events."""
    lake, names = context.lake, CONTRACTS[Tables.EVENTS].names
    changes = increment.changes(lake.read(Tables.EVENTS), _priced(context, fresh), context.config.clean, names)
    difference.apply(lake, changes, Tables.EVENTS, context.application)
    lake.merge(add_titles(lake.read(Tables.ITEM_TITLES), titles_in(fresh)), Tables.ITEM_TITLES)


def _describe(context: Context, inputs: Inputs, fresh: DataFrame | None) -> None:
    """Items of new events, and those described anew; all where it cannot be told which these are."""
    described = context.lake.read(Tables.BRONZE_ITEMS, inputs.get(Tables.BRONZE_ITEMS))
    titles, added = context.lake.read(Tables.ITEM_TITLES), added_since(context, inputs, Tables.BRONZE_ITEMS)
    if fresh is None or (added is None and Tables.BRONZE_ITEMS in inputs):
        replace(context, clean_items(described, titles), Tables.ITEMS)
        return
    touched = fresh.select(C.ITEM_ID)
    if added is not None:
        touched = touched.union(added.select(C.ITEM_ID))
    rows = clean_items(*(only(frame, touched, C.ITEM_ID) for frame in (described, titles)))
    update(context, rows, Tables.ITEMS, C.ITEM_ID, touched)


STAGE = Stage(
    name="clean",
    run=run,
    summary="bronze to typed, deduplicated silver tables",
    reads=(Tables.BRONZE_EVENTS, Tables.BRONZE_ITEMS, Tables.BRONZE_USERS),
    writes=(Tables.EVENTS, Tables.ITEM_TITLES, Tables.ITEMS, Tables.USERS),
    sections=("clean",),
)
