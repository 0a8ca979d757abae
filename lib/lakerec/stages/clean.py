"""bronze → silver: deduplicated events in sessions, one description an item, one row a user."""

from __future__ import annotations

from lakerec.clean.events import clean_events
from lakerec.clean.items import clean_items, clean_users
from lakerec.columns import Tables
from lakerec.stages.base import Context, Inputs, Result, Stage


def run(context: Context, inputs: Inputs) -> Result:
    lake, config = context.lake, context.config.clean
    bronze = lake.read(Tables.BRONZE_EVENTS, inputs.get(Tables.BRONZE_EVENTS))
    items = lake.read(Tables.BRONZE_ITEMS, inputs.get(Tables.BRONZE_ITEMS))
    users = lake.read(Tables.BRONZE_USERS, inputs.get(Tables.BRONZE_USERS))
    cleaned = clean_events(bronze, config.session_gap_minutes, config.bot_events_per_minute)
    lake.overwrite(cleaned, Tables.EVENTS)
    lake.overwrite(clean_items(items, bronze), Tables.ITEMS)
    lake.overwrite(clean_users(users), Tables.USERS)
    rows_in, rows_out = bronze.count(), lake.read(Tables.EVENTS).count()
    return Result(rows_in=rows_in, rows_out=rows_out, rows_duplicate=rows_in - rows_out)


STAGE = Stage(
    name="clean",
    run=run,
    summary="bronze to typed, deduplicated silver tables",
    reads=(Tables.BRONZE_EVENTS, Tables.BRONZE_ITEMS, Tables.BRONZE_USERS),
    writes=(Tables.EVENTS, Tables.ITEMS, Tables.USERS),
    sections=("clean",),
)
