"""Edges and links as RecBole writes them: mapped, and refused with the reason."""

import pytest
from lakerec.ingest.graph import map_graph, map_graph_links
from lakerec.ingest.mapping import REASONS
from lakerec.ingest.read import read_source
from lakerec.source import SourceTable

pytestmark = pytest.mark.spark
TABS = {"header": True, "sep": "\t"}


def mapped(spark, path, text, columns, map_rows, needed):
    path.write_text(text)
    table = SourceTable(path=str(path), options=TABS, columns=columns)
    raw = read_source(spark, table, [str(path)], "source.graph", needed)
    return map_rows(raw, table).orderBy("source_row").collect()


def test_edges(spark, tmp_path):
    text = "head_id:token\trelation_id:token\ttail_id:token\nm.1\tfilm.actor\t m.2 \n\tr\tt\nh\t\t\n"
    columns = {"head": "head_id:token", "relation": "relation_id:token", "tail": "tail_id:token"}
    rows = mapped(spark, tmp_path / "ml.kg", text, columns, map_graph, tuple(columns))
    assert [(r.head, r.relation, r.tail, r[REASONS]) for r in rows] == [
        ("m.1", "film.actor", "m.2", []),
        (None, "r", "t", ["head_missing"]),
        ("h", None, None, ["relation_missing", "tail_missing"]),
    ]
    assert len({r.digest for r in rows}) == 3
    assert rows[0].source_file.endswith("ml.kg")


def test_links(spark, tmp_path):
    text = "item_id:token\tentity_id:token\n476\tm.1\n\tm.2\n3\t\n"
    columns = {"item_id": "item_id:token", "entity_id": "entity_id:token"}
    rows = mapped(spark, tmp_path / "ml.link", text, columns, map_graph_links, tuple(columns))
    assert [(r.item_id, r.entity_id, r[REASONS]) for r in rows] == [
        ("476", "m.1", []), (None, "m.2", ["item_id_missing"]), ("3", None, ["entity_id_missing"]),
    ]  # fmt: skip
