"""bronze/graph and bronze/graph_links → gold/graph_edges and gold/item_entities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def graph_edges(graph: DataFrame, links: DataFrame) -> DataFrame:
    """Rows of gold/graph_edges: each edge once, with the items at its ends.

    Args:
        graph: head, relation, tail; an edge may come more than once.
        links: item_id, entity_id; of several items of one entity the first by id stands on the edge.
    """
    items = links.groupBy(C.ENTITY_ID).agg(F.min(C.ITEM_ID).alias(C.ITEM_ID))
    edges = graph.select(C.HEAD, C.RELATION, C.TAIL).distinct()
    for end, item in ((C.HEAD, C.HEAD_ITEM), (C.TAIL, C.TAIL_ITEM)):
        edges = edges.join(items.select(F.col(C.ENTITY_ID).alias(end), F.col(C.ITEM_ID).alias(item)), on=end, how="left")
    return edges.select(C.HEAD, C.RELATION, C.TAIL, C.HEAD_ITEM, C.TAIL_ITEM)


def item_entities(edges: DataFrame, links: DataFrame) -> DataFrame:
    """Rows of gold/item_entities: for every linked item, relation and end of it, the entities at the other end.

    Args:
        edges: head, relation, tail, each edge once.
        links: item_id, entity_id; items that are the same entity all have its edges.
    """
    pairs = links.select(C.ITEM_ID, C.ENTITY_ID).distinct()
    ends = [
        edges.select(F.col(own).alias(C.ENTITY_ID), C.RELATION, F.lit(own).alias(C.ROLE), F.col(other).alias("_other"))
        for own, other in ((C.HEAD, C.TAIL), (C.TAIL, C.HEAD))
    ]
    tied = pairs.join(ends[0].union(ends[1]), on=C.ENTITY_ID).groupBy(C.ITEM_ID, C.RELATION, C.ROLE)
    rows = tied.agg(F.sort_array(F.collect_set("_other")).alias(C.ENTITIES))
    return rows.withColumn(C.DEGREE, F.size(C.ENTITIES))
