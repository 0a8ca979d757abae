"""A knowledge graph's edges, and which items its entities are, mapped as `ingest.mapping` maps the other sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakerec.columns import Columns as C
from lakerec.columns import Sources
from lakerec.ingest.mapping import ITEM_ID_MISSING, identifier, ours, provenance, with_equal_names, worked_out
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HEAD_MISSING = "head_missing"
RELATION_MISSING = "relation_missing"
TAIL_MISSING = "tail_missing"
ENTITY_ID_MISSING = "entity_id_missing"


def map_graph(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/graph."""
    return _mapped(raw, table, Sources.GRAPH, {C.HEAD: HEAD_MISSING, C.RELATION: RELATION_MISSING, C.TAIL: TAIL_MISSING})


def map_graph_links(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/graph_links."""
    return _mapped(raw, table, Sources.GRAPH_LINKS, {C.ITEM_ID: ITEM_ID_MISSING, C.ENTITY_ID: ENTITY_ID_MISSING})


def _mapped(raw: DataFrame, table: SourceTable, source: str, reasons: dict[str, str]) -> DataFrame:
    """Our columns, all of which a row must have; the others of the source are left out."""
    table = with_equal_names(table, raw.columns, source)
    columns = {name: identifier(raw, table, name) for name in reasons}
    return worked_out(raw, table, columns).select(
        *[ours(name).alias(name) for name in columns],
        *provenance(raw, table, *[(ours(name).isNull(), reason) for name, reason in reasons.items()]),
    )
