"""silver → gold: dense indexes, interactions in splits, sequences, item texts."""

from __future__ import annotations

from pyspark.sql import DataFrame

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import EmptyDataError
from lakerec.features import index, interactions
from lakerec.features.sequences import sequences
from lakerec.features.text import item_text
from lakerec.stages.base import Context, Inputs, Result, Stage


def run(context: Context, inputs: Inputs) -> Result:
    lake, config = context.lake, context.config
    events = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS))
    items = lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    counted = interactions.weighted(events, config.features.event_weights)
    if counted.isEmpty():
        raise EmptyDataError("silver/events: no event has both a user and a weight above 0: nothing to learn from")
    _extend(context, Tables.USER_INDEX, counted.select(C.USER_ID, C.EVENT_TIME), C.USER_ID, C.USER)
    seen = items.join(events.select(C.ITEM_ID, C.EVENT_TIME), on=C.ITEM_ID, how="left")
    _extend(context, Tables.ITEM_INDEX, seen.select(C.ITEM_ID, C.EVENT_TIME), C.ITEM_ID, C.ITEM)
    divided = interactions.split(counted, config.split)
    dense = interactions.with_dense_ids(divided, lake.read(Tables.USER_INDEX), lake.read(Tables.ITEM_INDEX))
    version = lake.overwrite(dense, Tables.INTERACTIONS)
    written = lake.read(Tables.INTERACTIONS, version)
    lake.overwrite(sequences(written), Tables.SEQUENCES)
    lake.overwrite(item_text(items, config.features.max_description), Tables.ITEM_TEXT)
    sizes = {row[0]: int(row[1]) for row in written.groupBy(C.SPLIT).count().collect()}
    details = {split: str(sizes.get(split, 0)) for split in Splits.ALL}
    users, catalogue = (lake.read(table).count() for table in (Tables.USER_INDEX, Tables.ITEM_INDEX))
    details |= {"users": str(users), "items": str(catalogue)}
    return Result(rows_in=events.count(), rows_out=sum(sizes.values()), details=details)


def _extend(context: Context, table: str, ids: DataFrame, key: str, dense: str) -> None:
    """Give new ids their numbers; an append cut short and run again finds them numbered already."""
    existing = context.lake.read(table).select(key, dense)
    context.lake.append(index.extend_index(existing, ids, key, dense), table, context.run_id, 1)


STAGE = Stage(
    name="featurize",
    run=run,
    summary="interactions, splits, sequences, item texts",
    reads=(Tables.EVENTS, Tables.ITEMS),
    writes=(Tables.INTERACTIONS, Tables.SEQUENCES, Tables.ITEM_TEXT, Tables.ITEM_INDEX, Tables.USER_INDEX),
    sections=("features", "split"),
)
