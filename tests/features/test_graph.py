"""The knowledge graph: edges with their items, and the entities of an item."""

import pytest
from lakerec.features.graph import graph_edges, item_entities

pytestmark = pytest.mark.spark


def test_edges_come_once_and_know_their_items(spark):
    graph = spark.createDataFrame(
        [
            ("m1", "actor", "p1"),
            ("m1", "actor", "p1"),
            ("m1", "actor", "p0"),
            ("p1", "acted_in", "m2"),
            ("m1", "sequel", "m2"),
        ],
        "head string, relation string, tail string",
    )
    links = spark.createDataFrame([("9", "m1"), ("10", "m1"), ("7", "m2"), ("8", "m9")], "item_id string, entity_id string")
    edges = graph_edges(graph, links)
    assert sorted((*row[:3], row.head_item, row.tail_item) for row in edges.collect()) == [
        ("m1", "actor", "p0", "10", None), ("m1", "actor", "p1", "10", None),
        ("m1", "sequel", "m2", "10", "7"), ("p1", "acted_in", "m2", None, "7"),
    ]  # fmt: skip
    found = {(r.item_id, r.relation, r.role): (r.entities, r.degree) for r in item_entities(edges, links).collect()}
    assert found == {
        ("9", "actor", "head"): (["p0", "p1"], 2), ("10", "actor", "head"): (["p0", "p1"], 2),
        ("9", "sequel", "head"): (["m2"], 1), ("10", "sequel", "head"): (["m2"], 1),
        ("7", "sequel", "tail"): (["m1"], 1), ("7", "acted_in", "tail"): (["p1"], 1),
    }  # fmt: skip
