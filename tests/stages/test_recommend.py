"""The champion's catalogue and today's, and what reasons are made of."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.content import Content
from lakerec.models.data import Histories, TrainingData
from lakerec.serving.crowd import Crowd
from lakerec.serving.reasons import Words
from lakerec.stages import explaining
from lakerec.stages.recommend import with_newcomers


def content(vectors):
    model = Content()
    model.fit(TrainingData(Histories.from_lists([]), len(vectors), vectors))
    return model


def test_new_items_with_a_text_stand_behind_those_that_the_champion_knows():
    """`b` is gone today, `d` has no text."""
    model, today = content(np.eye(4, dtype=np.float32)[:3]), np.array(["c", "d", "a", "e"], dtype=object)
    vectors = np.eye(4, dtype=np.float32)[[2, 0, 0, 3]]
    vectors[1] = 0
    longer, ids = with_newcomers(model, np.array(["a", "b", "c"], dtype=object), today, vectors)
    assert ids.tolist() == ["a", "b", "c", "e"]
    np.testing.assert_array_equal(longer.vectors, np.eye(4))


def test_a_catalogue_without_new_items_or_texts_leaves_the_model_as_it_is():
    model, ids = content(np.eye(2, dtype=np.float32)), np.array(["a", "b"], dtype=object)
    for today, vectors in ((ids, np.eye(2, dtype=np.float32)), (np.array(["a", "b", "c"], dtype=object), None)):
        assert with_newcomers(model, ids, today, vectors) == (model, ids)


def write(lake, table, *rows):
    """Rows with the contract's columns in order; what is left out behind is null."""
    width = len(CONTRACTS[table].names)
    whole = [(*row, *[None] * (width - len(row))) for row in rows]
    lake.overwrite(lake.spark.createDataFrame(whole, CONTRACTS[table].schema), table)


@pytest.mark.spark
def test_what_is_said_of_items_is_what_the_tables_say(lake):
    """`b` has no row of its own, `x` is not in the index; the studio is an item too, called by its title; m.2 is a code."""
    write(
        lake, Tables.ITEMS, ("a", "Alien", None, ["Sci-Fi"], {"label": "Fox", "year": "1979"}),
        ("c", "Aliens", None, ["Sci-Fi", "Action"], {"label": "Fox", "year": "1986"}),
        ("d", None, None, None, None), ("x", "Fox Studios", None, [], {}),
    )  # fmt: skip
    write(lake, Tables.ITEM_ENTITIES, ("a", "made_by", "head", ["m.1"], 1), ("c", "made_by", "head", ["m.1", "m.2"], 2))
    write(lake, Tables.GRAPH_EDGES, ("m.7", "made_by", "m.1", "a", "x"))
    context = SimpleNamespace(lake=lake)
    found = explaining.catalogue(context, {}, np.array(["a", "b", "c", "d"], dtype=object))
    assert found.titles == ["Alien", "b", "Aliens", "d"]
    assert [fact.clause("all") for fact in found.facts[0]] == [
        "all Sci-Fi", "same label (Fox)", "same year (1979)", "all made by Fox Studios",
    ]  # fmt: skip
    assert [fact.clause("all") for fact in found.facts[2]][-2:] == ["all made by Fox Studios", "all made by the same"]
    assert found.facts[1] == found.facts[3] == ()
    said = Words(found, Crowd.of(Histories.from_lists([[0]]), 4, np.array([-1]), {})).reason(2, [(0, 0.8)], -1)
    assert said == "because of “Alien” (80 %): both Sci-Fi, same label (Fox)"


@pytest.mark.spark
def test_a_lake_without_graph_or_segments_has_reasons_too(lake):
    context = SimpleNamespace(lake=lake)
    assert explaining.catalogue(context, {}, np.array(["a"], dtype=object)).titles == ["a"]
    segments, names = explaining.segments(context, {}, ["u1", "u2"])
    assert segments.tolist() == [-1, -1] and names == {}
