"""Splits, sequences, indexes and texts on tiny tables shown in full."""

import pytest
from lakerec.config import SplitConfig
from lakerec.features import index, interactions
from lakerec.features.sequences import sequences
from lakerec.features.text import item_text

pytestmark = pytest.mark.spark
LAST_OUT = SplitConfig(protocol="leave_last_out")


def events(spark, rows):
    """Rows (user, item, second, row in the file)."""
    filled = [(f"{u}{i}{s}{r}", u, i, "view", s, 1.0, False, "f", r) for u, i, s, r in rows]
    schema = (
        "event_id string, user_id string, item_id string, event_type string, s long, value double, is_bot boolean, "
        "source_file string, source_row long"
    )
    return spark.createDataFrame(filled, schema).selectExpr("* except (s)", "timestamp_seconds(s) event_time")


def split_of(frame):
    return {(row.user_id, row.item_id): row.split for row in frame.collect()}


def test_leave_last_out_takes_the_last_by_time_then_file_order(spark):
    frame = events(
        spark,
        [("u", "c", 9, 5), ("u", "a", 1, 9), ("u", "d", 9, 7), ("u", "b", 9, 2), ("v", "a", 1, 0), ("v", "b", 2, 1)],
    )
    found = split_of(interactions.split(interactions.weighted(frame, {}), LAST_OUT))
    assert found == {
        ("u", "a"): "train", ("u", "b"): "train", ("u", "c"): "valid", ("u", "d"): "test",
        ("v", "a"): "train", ("v", "b"): "train",
    }  # fmt: skip


def test_temporal_cuts_at_quantiles_of_time(spark):
    frame = events(spark, [("u", str(n), n, n) for n in range(11)])
    config = SplitConfig(protocol="temporal", valid=0.5, test=0.8)
    found = split_of(interactions.split(interactions.weighted(frame, {}), config))
    assert [found["u", str(n)] for n in range(11)] == ["train"] * 5 + ["valid"] * 3 + ["test"] * 3


def test_weight_zero_strangers_and_bots_are_left_out(spark):
    frame = events(spark, [("u", "a", 1, 0), (None, "b", 1, 1)]).union(
        events(spark, [("w", "c", 1, 2)]).withColumn("is_bot", ~interactions.F.col("is_bot"))
    )
    kept = interactions.weighted(frame, {"view": 0.5}).collect()
    assert [(row.user_id, row.weight, row.position) for row in kept] == [("u", 0.5, 0)]
    assert interactions.weighted(frame, {"view": 0}).count() == 0


def test_a_sequence_row_holds_its_splits_events_and_all_before(spark):
    rows = [
        ("u", 1, 10, "train", 0, 1), ("u", 1, 11, "train", 1, 1), ("u", 1, 12, "valid", 2, 3), ("u", 1, 10, "test", 3, 4),
        ("w", 0, 13, "train", 0, 2),
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, "user_id string, user int, item int, split string, position int, s long")
    frame = frame.selectExpr("* except (s)", "timestamp_seconds(s) event_time")
    found = {
        (r.user_id, r.split): (r["items"], r.times, r.past, r.past_times, r.next_split) for r in sequences(frame).collect()
    }
    assert found == {
        ("u", "train"): ([10, 11], [1, 1], [], [], "valid"),
        ("u", "valid"): ([12], [3], [10, 11], [1, 1], "test"),
        ("u", "test"): ([10], [4], [10, 11, 12], [1, 1, 3], None),
        ("w", "train"): ([13], [2], [], [], None),
    }


def test_an_index_only_grows(spark):
    ids = spark.createDataFrame([("b", 2), ("a", 2), ("c", 1), ("n", None)], "item_id string, s long")
    ids = ids.selectExpr("item_id", "timestamp_seconds(s) event_time")
    nothing = spark.createDataFrame([], "item_id string, item int")
    first = index.extend_index(nothing, ids, "item_id", "item")
    assert {row.item_id: row.item for row in first.collect()} == {"c": 0, "a": 1, "b": 2, "n": 3}
    known = spark.createDataFrame([("b", 0), ("c", 1)], "item_id string, item int")
    assert {row.item_id: row.item for row in index.extend_index(known, ids, "item_id", "item").collect()} == {
        "a": 2,
        "n": 3,
    }


def test_item_text_joins_what_is_there(spark):
    rows = [("x", "Alien", ["Horror", "Sci-Fi"], "In space."), ("y", "Heat", None, None), ("z", "Tea", [], "x" * 99)]
    frame = spark.createDataFrame(rows, "item_id string, title string, categories array<string>, description string")
    found = {row.item_id: row.text for row in item_text(frame, 5).collect()}
    assert found == {"x": "Alien. Horror, Sci-Fi. In sp", "y": "Heat", "z": "Tea. xxxxx"}
