"""What reasons say, out of the tables: facts of items, and the segments that users are in.

silver/items ─────────────► titles, categories, attributes ─┐
gold/item_entities ───────► ties to entities                ├─► Catalogue
gold/graph_edges ─────────► entities that are items ────────┘
gold/portraits, segments ─► segment of each user, names of segments
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.serving.reasons import Catalogue, Fact
from lakerec.stages.base import Context, Inputs, last_run

READ = (Tables.ITEMS, Tables.ITEM_ENTITIES, Tables.GRAPH_EDGES, Tables.PORTRAITS, Tables.SEGMENTS)


def catalogue(context: Context, inputs: Inputs, ids: np.ndarray) -> Catalogue:
    """What can be said of the items of an index; ids: external ids by dense index."""
    items = context.lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    rows = {row[C.ITEM_ID]: row for row in items.select(C.ITEM_ID, C.TITLE, C.CATEGORIES, C.ATTRIBUTES).collect()}
    titles = {item: row[C.TITLE] or item for item, row in rows.items()}
    ties = _ties(context, inputs, titles)
    facts = []
    for item in ids:
        row = rows.get(item)
        own = [Fact.category(name) for name in (row[C.CATEGORIES] or [] if row else [])]
        own += [Fact.attribute(*each) for each in sorted((row[C.ATTRIBUTES] or {}).items() if row else []) if each[1]]
        facts.append([*own, *ties.get(item, [])])
    return Catalogue.of([titles.get(item, item) for item in ids], facts)


def _ties(context: Context, inputs: Inputs, titles: Mapping[str, str]) -> dict[str, list[Fact]]:
    """Ties of each item that has any; an entity that is an item is called by its title."""
    edges = context.lake.read(Tables.GRAPH_EDGES, inputs.get(Tables.GRAPH_EDGES))
    known: dict[str, str] = {}
    for entity, item in ((C.HEAD, C.HEAD_ITEM), (C.TAIL, C.TAIL_ITEM)):
        named = edges.where(F.col(item).isNotNull()).select(entity, item).distinct()
        known |= {row[entity]: titles[row[item]] for row in named.collect() if row[item] in titles}
    rows = context.lake.read(Tables.ITEM_ENTITIES, inputs.get(Tables.ITEM_ENTITIES)).orderBy(C.ITEM_ID, C.RELATION, C.ROLE)
    found: dict[str, list[Fact]] = {}
    for row in rows.collect():
        ties = (Fact.tie(row[C.RELATION], row[C.ROLE], entity, known.get(entity)) for entity in row[C.ENTITIES])
        found.setdefault(row[C.ITEM_ID], []).extend(ties)
    return found


def segments(context: Context, inputs: Inputs, users: Iterable[str]) -> tuple[np.ndarray, dict[int, str]]:
    """The segment of each user, int [n], -1 where there is none; the names of those that terms tell apart."""
    lake = context.lake
    told = lake.read(Tables.SEGMENTS, inputs.get(Tables.SEGMENTS)).where(F.size("terms") > 0)
    portraits = lake.read(Tables.PORTRAITS, inputs.get(Tables.PORTRAITS)).where(F.col(C.SEGMENT).isNotNull())
    own = {row[C.USER_ID]: row[C.SEGMENT] for row in portraits.select(C.USER_ID, C.SEGMENT).collect()}
    last = last_run(lake, "profile")
    rows = told.where(F.col(C.RUN_ID) == last.run_id).collect() if last else []
    names = {row[C.SEGMENT]: row["name"] for row in rows}
    return np.array([own.get(user, -1) for user in users], dtype=np.int64), names
