"""Splits, sequences, indexes and texts on tiny tables shown in full."""

import math
import random

import pytest
from lakerec.config import FeatureConfig
from lakerec.features import index, interactions
from lakerec.features.sequences import sequences
from lakerec.features.text import item_text

pytestmark = pytest.mark.spark


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
    found = split_of(interactions.leave_last_out(interactions.positioned(interactions.counted(frame, {}, {}))))
    assert found == {
        ("u", "a"): "train", ("u", "b"): "train", ("u", "c"): "valid", ("u", "d"): "test",
        ("v", "a"): "train", ("v", "b"): "train",
    }  # fmt: skip


def test_temporal_cuts_at_quantiles_of_time(spark):
    frame = events(spark, [("u", str(n), n, n) for n in range(11)])
    cuts = interactions.quantiles_of_time(frame, (0.5, 0.8))
    found = split_of(interactions.temporal(frame, cuts))
    assert [found["u", str(n)] for n in range(11)] == ["train"] * 5 + ["valid"] * 3 + ["test"] * 3


def test_quantiles_of_time_are_exact_to_the_microsecond(spark):
    rng = random.Random(4)
    for size in (1, 7, 500):
        micros = sorted(
            1_700_000_000_000_000 + rng.randrange(3) * 86_400_000_000 + rng.randrange(200_000_000) for _ in range(size)
        )
        frame = spark.createDataFrame([(at,) for at in micros], "m long").selectExpr("timestamp_micros(m) event_time")
        shares = (0.0, 0.5, 0.8, 0.9, 1.0)
        assert interactions.quantiles_of_time(frame, shares) == [micros[math.ceil(q * (size - 1))] for q in shares]


def test_what_was_taken_back_is_no_interaction(spark):
    frame = events(spark, [("u", "a", 1, 0), ("u", "b", 2, 1), ("u", "c", 3, 2)])
    kind = {"a": "view", "b": "back", "c": "view"}
    case = interactions.F.create_map(*[interactions.F.lit(x) for pair in kind.items() for x in pair])
    frame = frame.withColumn("event_type", case[interactions.F.col("item_id")])
    frame = frame.selectExpr("*", "CASE item_id WHEN 'a' THEN 0D WHEN 'c' THEN 1D ELSE 0D END AS net_value")
    kept = interactions.counted(frame, {}, {"back": "view"}).collect()
    assert [row.item_id for row in kept] == ["c"]


def test_weight_zero_strangers_and_bots_are_left_out(spark):
    frame = events(spark, [("u", "a", 1, 0), (None, "b", 1, 1)]).union(
        events(spark, [("w", "c", 1, 2)]).withColumn("is_bot", ~interactions.F.col("is_bot"))
    )
    kept = interactions.positioned(interactions.counted(frame, {"view": 0.5}, {})).collect()
    assert [(row.user_id, row.weight, row.position) for row in kept] == [("u", 0.5, 0)]
    assert interactions.counted(frame, {"view": 0}, {}).count() == 0


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
    rows = [
        ("x", "Alien", ["Horror", "Sci-Fi"], "In space.", {"year": "1979", "by": "Scott"}),
        ("y", "Heat", None, None, {"year": "1995", "by": ""}),
        ("z", "Tea", [], "x" * 99, None),
        ("n", None, None, "", {}),
    ]
    schema = "item_id string, title string, categories array<string>, description string, attributes map<string,string>"
    frame = spark.createDataFrame(rows, schema)

    def texts(*templates):
        return {row.item_id: row.text for row in item_text(frame, templates, 5).collect()}

    usual = FeatureConfig().item_text
    assert texts(*usual) == {"x": "Alien. Horror, Sci-Fi. In sp", "y": "Heat", "z": "Tea. xxxxx", "n": ""}
    assert texts("{title} ({attributes.year}), by {attributes.by}", "{attributes.year}", "{{{title}}}") == {
        "x": "Alien (1979), by Scott. 1979. {Alien}", "y": "1995. {Heat}", "z": "{Tea}", "n": "",
    }  # fmt: skip
