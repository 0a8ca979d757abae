"""Features as of a time, pairs and the knowledge graph: what featurize writes besides interactions and sequences.

Statistics of a user or item depend on its own events alone: where it is known which of them have new ones, only their
rows are worked out, and only those that differ are written. Pairs depend on everybody and are worked out as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.clean.events import NATURAL_KEY
from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.features.affinity import user_affinity
from lakerec.features.as_of import only
from lakerec.features.graph import graph_edges, item_entities
from lakerec.features.pairs import item_pairs
from lakerec.features.sessions import session_stats
from lakerec.features.statistics import item_stats, user_stats
from lakerec.stages.base import Context, Inputs
from lakerec.stages.increments import changed_since, replace, unchanged, update

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

READS = (Tables.BRONZE_GRAPH, Tables.BRONZE_GRAPH_LINKS)
"""What `write` reads besides silver/events, silver/items and gold/interactions."""
WRITES = (
    Tables.USER_STATS, Tables.ITEM_STATS, Tables.SESSION_STATS, Tables.USER_AFFINITY, Tables.ITEM_PAIRS,
    Tables.GRAPH_EDGES, Tables.ITEM_ENTITIES,
)  # fmt: skip


def write(
    context: Context, inputs: Inputs, touched_users: DataFrame | None = None, touched_items: DataFrame | None = None
) -> None:
    """Bring the tables up to date with silver/events; to be called after gold/interactions is written.

    Args:
        touched_users: user_id of all whose events came, went or changed since the tables were written; None: all users.
        touched_items: the same of items, by item_id.
    """
    features = context.config.features
    events = context.lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS)).where(~F.col(C.IS_BOT))
    if C.PRICE not in events.columns:  # silver/events of an older lakerec, which gains it when it is next written
        events = events.withColumn(C.PRICE, F.lit(None).cast("double"))
    if features.statistics:
        _write_statistics(context, events, touched_users, touched_items)
    else:
        _clear(context, Tables.SESSION_STATS, Tables.USER_STATS, Tables.ITEM_STATS)
    if features.affinity:
        _write_affinity(context, inputs, events, touched_users)
    else:
        _clear(context, Tables.USER_AFFINITY)
    if features.item_pairs:
        _write_pairs(context, events)
    else:
        _clear(context, Tables.ITEM_PAIRS)
    _write_graph(context, inputs)


def _weights(context: Context) -> dict[str, float]:
    """Weights of event types; one that takes another back has none unless it is named."""
    config = context.config
    return {**dict.fromkeys(config.clean.cancels, 0.0), **config.features.event_weights}


def _write_statistics(
    context: Context, events: DataFrame, touched_users: DataFrame | None, touched_items: DataFrame | None
) -> None:
    config, lake = context.config, context.lake
    how = (_weights(context), config.features.half_life_days, config.features.price_bands)
    known = only(events.where(F.col(C.USER_ID).isNotNull()), touched_users, C.USER_ID)
    rows = session_stats(known, config.clean.session_gap_minutes)
    update(context, rows, Tables.SESSION_STATS, C.USER_ID, touched_users)
    sessions = only(lake.read(Tables.SESSION_STATS), touched_users, C.USER_ID)
    update(context, user_stats(known, sessions, *how), Tables.USER_STATS, C.USER_ID, touched_users)
    rows = item_stats(only(events, touched_items, C.ITEM_ID), *how)
    update(context, rows, Tables.ITEM_STATS, C.ITEM_ID, touched_items)


def _write_affinity(context: Context, inputs: Inputs, events: DataFrame, touched: DataFrame | None) -> None:
    """A user's affinity changes with the categories of their items too."""
    features = context.config.features
    changed = None if touched is None else changed_since(context, inputs, Tables.ITEMS)
    if touched is not None and changed is not None:
        theirs = only(events.where(F.col(C.USER_ID).isNotNull()), changed, C.ITEM_ID)
        touched = touched.select(C.USER_ID).union(theirs.select(C.USER_ID)).distinct()
    else:
        touched = None
    items = context.lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    rows = user_affinity(
        only(events, touched, C.USER_ID), items, _weights(context), features.half_life_days, features.affinity
    )
    update(context, rows, Tables.USER_AFFINITY, C.USER_ID, touched)


def _write_pairs(context: Context, events: DataFrame) -> None:
    features = context.config.features
    interactions, group = grouped(context.lake.read(Tables.INTERACTIONS), events, features.pairs_within)
    replace(context, item_pairs(interactions, group, features.pairs_last, features.item_pairs), Tables.ITEM_PAIRS)


def grouped(interactions: DataFrame, events: DataFrame, within: str) -> tuple[DataFrame, str]:
    """Interactions with the column that two of them must share to occur together, and its name.

    Args:
        events: silver/events, which know the sessions.
        within: `user` or `session`.
    """
    if within == "user":
        return interactions, C.USER_ID
    sessions = events.where(F.col(C.USER_ID).isNotNull()).select(*NATURAL_KEY, C.SESSION_ID)
    return interactions.join(sessions.distinct(), on=list(NATURAL_KEY), how="inner"), C.SESSION_ID


def _write_graph(context: Context, inputs: Inputs) -> None:
    """Anew when the graph or its links are; nothing where there is none."""
    lake = context.lake
    if Tables.BRONZE_GRAPH not in inputs or unchanged(context, inputs, *READS):
        return
    links = lake.read(Tables.BRONZE_GRAPH_LINKS, inputs.get(Tables.BRONZE_GRAPH_LINKS))
    replace(context, graph_edges(lake.read(Tables.BRONZE_GRAPH, inputs[Tables.BRONZE_GRAPH]), links), Tables.GRAPH_EDGES)
    replace(context, item_entities(lake.read(Tables.GRAPH_EDGES), links), Tables.ITEM_ENTITIES)


def _clear(context: Context, *tables: str) -> None:
    """No rows of an earlier run stay behind when their part is turned off."""
    for table in tables:
        context.lake.delete(table, F.lit(True))
