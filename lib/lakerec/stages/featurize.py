"""silver → gold: dense indexes, interactions in splits, sequences, item texts.

Where the last run left the tables as they are, only users whose events changed are looked at; under a time split also
those whose events lie between the old cuts and the new ones. Else all users are. Both give the same tables, but for the
numbers in the indexes, which follow the order of arrival.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import EmptyDataError, LakeError
from lakerec.features import index, interactions
from lakerec.features.as_of import only
from lakerec.features.core import k_core
from lakerec.features.sequences import sequences
from lakerec.features.text import item_text
from lakerec.stages import statistics
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.increments import changed_since, kept, replace, unchanged, update, write_difference
from lakerec.stages.spreading import spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


FROM, TRIES = "_from", 5


def run(context: Context, inputs: Inputs) -> Result:
    lake, config = context.lake, context.config
    events = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS))
    items = lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    counted = interactions.counted(events, config.features.event_weights, config.clean.cancels)
    if config.features.k_core:
        counted = k_core(counted, config.features.k_core, config.features.k_core)
    if counted.isEmpty():
        raise EmptyDataError("silver/events: no event has both a user and a weight above 0: nothing to learn from")
    cuts = [] if config.split.protocol == "leave_last_out" else interactions.quantiles_of_time(
        counted, (config.split.valid, config.split.test)
    )  # fmt: skip
    touched = _touched(context, inputs, counted, cuts)
    with kept(touched) if touched is not None else kept(counted, keep=False) as chosen:
        if touched is None:
            _all_users(context, counted, items, events, cuts)
        elif not unchanged(context, inputs, Tables.EVENTS, Tables.ITEMS):
            _some_users(context, counted, items, events, cuts, chosen)
    _as_of_times(context, inputs)
    if not unchanged(context, inputs, Tables.ITEMS):
        _texts(context, inputs, items)
    sizes = {row[0]: int(row[1]) for row in lake.read(Tables.INTERACTIONS).groupBy(C.SPLIT).count().collect()}
    details = {split: str(sizes.get(split, 0)) for split in Splits.ALL}
    users, catalogue = (lake.read(table).count() for table in (Tables.USER_INDEX, Tables.ITEM_INDEX))
    details |= {"users": str(users), "items": str(catalogue), "cuts": json.dumps(cuts)}
    return Result(rows_in=events.count(), rows_out=sum(sizes.values()), details=details)


def _touched(context: Context, inputs: Inputs, counted: DataFrame, cuts: list[int]) -> DataFrame | None:
    """user_id of those whose rows may differ from the last run's, `_from`: since when; None: all may."""
    changed = changed_since(context, inputs, Tables.EVENTS)
    if changed is None or context.base is None or context.config.features.k_core:  # a core is everybody's
        return None
    events = changed.select(C.USER_ID, C.EVENT_TIME)
    micros = F.unix_micros(C.EVENT_TIME)
    for old, new in zip(json.loads(context.base.details["cuts"]), cuts, strict=True):
        between = counted.where((micros >= min(old, new)) & (micros < max(old, new)))
        events = events.unionByName(between.select(C.USER_ID, C.EVENT_TIME))
    return events.where(F.col(C.USER_ID).isNotNull()).groupBy(C.USER_ID).agg(F.min(C.EVENT_TIME).alias(FROM))


def _all_users(context: Context, counted: DataFrame, items: DataFrame, events: DataFrame, cuts: list[int]) -> None:
    lake = context.lake
    with spread(context, lake.size(Tables.EVENTS)[1]):
        _extend_indexes(context, counted, items, events)
        lake.overwrite(_rows(context, counted, cuts), Tables.INTERACTIONS)
        lake.overwrite(sequences(lake.read(Tables.INTERACTIONS)), Tables.SEQUENCES)


def _some_users(
    context: Context, counted: DataFrame, items: DataFrame, events: DataFrame, cuts: list[int], touched: DataFrame
) -> None:
    """The rows of these users that differ are written, no others."""
    wanted = [C.USER_ID, *interactions.ORDERED_BY, C.WEIGHT]
    touched.count()  # what is kept tells its size, and a few users are looked up in memory where many rows would be moved
    with kept(counted.join(touched, on=C.USER_ID, how="left_semi").select(*wanted)) as theirs:
        _extend_indexes(context, theirs, items, events)
        with kept(_rows(context, theirs, cuts)) as rows:
            old = only(context.lake.read(Tables.INTERACTIONS), touched, C.USER_ID)
            write_difference(context, *_since_changed(touched, old, rows), Tables.INTERACTIONS)
            update(context, sequences(rows), Tables.SEQUENCES, C.USER_ID, touched)


def _since_changed(touched: DataFrame, old: DataFrame, now: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Rows of `old` and `now` (as of gold/interactions) without those that are alike in both: before a user's first change,
    of train then and now. Their position counts what came before them, of which nothing changed.
    """
    first = touched.select(C.USER_ID, FROM)
    for rows in (old, now):
        first = first.union(rows.where(F.col(C.SPLIT) != Splits.TRAIN).select(C.USER_ID, C.EVENT_TIME))
    first = first.groupBy(C.USER_ID).agg(F.min(FROM).alias(FROM))
    later = [rows.join(first, on=C.USER_ID).where(F.col(C.EVENT_TIME) >= F.col(FROM)).drop(FROM) for rows in (old, now)]
    return later[0], later[1]


def _rows(context: Context, counted: DataFrame, cuts: list[int]) -> DataFrame:
    """Rows of gold/interactions."""
    lake, ordered = context.lake, interactions.positioned(counted)
    divided = interactions.temporal(ordered, cuts) if cuts else interactions.leave_last_out(ordered)
    return interactions.with_dense_ids(divided, lake.read(Tables.USER_INDEX), lake.read(Tables.ITEM_INDEX))


def _as_of_times(context: Context, inputs: Inputs) -> None:
    """Statistics, pairs and the graph."""
    changed = changed_since(context, inputs, Tables.EVENTS)
    if changed is None:
        statistics.write(context, inputs)
        return
    with kept(changed.select(C.USER_ID, C.ITEM_ID)) as touched:
        statistics.write(context, inputs, touched.where(F.col(C.USER_ID).isNotNull()), touched)


def _texts(context: Context, inputs: Inputs, items: DataFrame) -> None:
    features, changed = context.config.features, changed_since(context, inputs, Tables.ITEMS)
    wanted = items if changed is None else only(items, changed, C.ITEM_ID)
    rows = item_text(wanted, features.item_text, features.max_description)
    if changed is None:
        replace(context, rows, Tables.ITEM_TEXT)
    else:
        update(context, rows, Tables.ITEM_TEXT, C.ITEM_ID, changed)


def _extend_indexes(context: Context, counted: DataFrame, items: DataFrame, events: DataFrame) -> None:
    """Give new ids their numbers; a run cut short and done again finds them numbered already."""
    _number(context, counted, Tables.USER_INDEX, C.USER_ID, C.USER)
    known = context.lake.read(Tables.ITEM_INDEX)
    with kept(items.select(C.ITEM_ID).join(known, on=C.ITEM_ID, how="left_anti")) as fresh:
        if fresh.isEmpty():  # then no event need be read
            return
        theirs = events.join(fresh, on=C.ITEM_ID, how="left_semi")
        first = theirs.groupBy(C.ITEM_ID).agg(F.min(C.EVENT_TIME).alias(C.EVENT_TIME))
        _number(context, fresh.join(first, on=C.ITEM_ID, how="left"), Tables.ITEM_INDEX, C.ITEM_ID, C.ITEM)


def _number(context: Context, seen: DataFrame, table: str, key: str, dense: str) -> None:
    """Give the ids that have none a number. Of two runs that number at once one writes, and the other looks again.

    Raises:
        LakeError: others were quicker at every try.
    """
    lake = context.lake
    for _ in range(TRIES):
        version = lake.version(table)
        with kept(index.extend_index(lake.read(table, version).select(key, dense), seen, key, dense)) as new:
            if new.isEmpty():
                return
            lake.append(new, table, f"number {table}", 0 if version is None else version + 1)
            if new.join(lake.read(table), on=key, how="left_anti").isEmpty():
                return
    raise LakeError(f"{table}: other runs gave numbers at each of {TRIES} tries: run it again when they have finished")


STAGE = Stage(
    name="featurize",
    run=run,
    summary="interactions, splits, sequences, item texts",
    reads=(Tables.EVENTS, Tables.ITEMS, *statistics.READS),
    writes=(
        Tables.INTERACTIONS,
        Tables.SEQUENCES,
        Tables.ITEM_TEXT,
        Tables.ITEM_INDEX,
        Tables.USER_INDEX,
        *statistics.WRITES,
    ),
    sections=("features", "split", "clean"),
)
