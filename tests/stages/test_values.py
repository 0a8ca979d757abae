"""Ratings by place in a history, out of a tiny lake that is shown in full."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Models, Tables
from lakerec.config import Config
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.data import Histories
from lakerec.stages import values
from lakerec.stages.values import Values
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
# (user, item, type, second, value, place in the history); v's event of 3 has no rating, w is not among the interactions.
EVENTS = [
    ("v", "a", "rating", 1, 4.0, 0), ("v", "b", "view", 2, 9.0, 1), ("v", "c", "rating", 3, None, 2),
    ("v", "a", "rating", 4, 2.0, 3), ("u", "b", "rating", 1, 5.0, 0), ("u", "a", "rating", 2, 1.0, 1),
    ("w", "a", "rating", 1, 3.0, None),
]  # fmt: skip
ITEMS, USERS = {"a": 0, "b": 1, "c": 2}, {"v": 0, "u": 1}


@pytest.fixture
def context(spark, lake):
    def write(table, rows, schema):
        frame = spark.createDataFrame(rows, schema)
        others = {name: F.lit(None) for name in CONTRACTS[table].names if name not in frame.columns}
        fixed = {"source_file": F.lit("f"), "source_row": F.lit(0), "is_bot": F.lit(False), "split": F.lit("train")}
        lake.overwrite(frame.withColumns(others | {k: v for k, v in fixed.items() if k in others}), table)

    at = "user_id string, item_id string, event_type string, event_time timestamp, value double"
    events = [(user, item, kind, f"2024-01-01 00:00:0{second}", value) for user, item, kind, second, value, _ in EVENTS]
    rows = [(str(number), user, item, kind, time, value) for number, (user, item, kind, time, value) in enumerate(events)]
    frame = spark.createDataFrame(rows, f"event_id string, {at.replace('timestamp', 'string')}")
    write(Tables.EVENTS, frame.withColumn("event_time", F.to_timestamp("event_time")).rdd, f"event_id string, {at}")
    kept = [(*row[:4], 1.0, USERS[row[0]], ITEMS[row[1]], place) for row, (*_, place) in zip(events, EVENTS, strict=True)
            if place is not None]  # fmt: skip
    names = (
        "user_id string, item_id string, event_type string, event_time string, weight double, user int, item int, "
        "position int"
    )
    frame = spark.createDataFrame(kept, names).withColumn("event_time", F.to_timestamp("event_time"))
    write(Tables.INTERACTIONS, frame.rdd, names.replace("event_time string", "event_time timestamp"))
    write(Tables.USER_INDEX, list(USERS.items()), "user_id string, user int")
    return SimpleNamespace(lake=lake)


def test_each_event_has_its_own_value_and_a_target_the_first(context):
    found = Values.read(context, {}, ["rating"])
    ids = np.array(["u", "v"], dtype=object)
    known = Histories.from_lists([[1], [0, 1, 2, 0]])
    np.testing.assert_array_equal(found.of_events(ids, known), np.float32([5, 4, np.nan, np.nan, 2]))
    targets = Histories.from_lists([[0, 2], [0]])
    np.testing.assert_array_equal(found.of_items(ids, targets), np.float32([1, np.nan, 4]))


def test_where_no_event_is_rated_there_are_none(context):
    assert Values.read(context, {}, ["purchase"]) is None


def test_tables_are_read_only_where_the_model_is_asked_for():
    def config(**train):
        return Config(name="t", lake={"root": "x"}, source={"events": {"path": "-"}}, train=train)

    assert values.rated_tables(config(models=[Models.EASE])) == ()
    assert values.rated_tables(config(models=[Models.BEHAVIOUR])) == (Tables.INTERACTIONS, Tables.EVENTS)
    assert values.rated_tables(config(models=[Models.BEHAVIOUR], behaviour={"rated": []})) == ()
