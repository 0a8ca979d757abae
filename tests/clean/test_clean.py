"""Cleaning on tiny tables shown in full."""

import pytest
from lakerec.clean.events import add_sessions, deduplicate, mark_bots
from lakerec.clean.items import clean_items

pytestmark = pytest.mark.spark
EVENTS = (
    "event_id string, user_id string, item_id string, event_type string, event_time string, value double, "
    "source_file string, source_row long"
)


def events(spark, rows):
    """Rows (event_id, user, item, minute, value) on one day."""
    filled = [
        (e, u, i, "view", f"2024-01-01 {m // 60:02d}:{m % 60:02d}:00", v, "f", n) for n, (e, u, i, m, v) in enumerate(rows)
    ]
    return spark.createDataFrame(filled, EVENTS).selectExpr(
        "* except (event_time)", "cast(event_time as timestamp) event_time"
    )


def test_one_winner_for_the_same_user_item_type_and_time(spark):
    frame = events(
        spark, [("a", "u", "x", 0, 1.0), ("b", "u", "x", 0, 3.0), ("c", "u", "x", 0, 3.0), ("d", "u", "y", 0, 1.0)]
    )
    assert sorted(row.event_id for row in deduplicate(frame).collect()) == ["b", "d"]


def test_strangers_are_not_one_user(spark):
    frame = events(spark, [("a", None, "x", 0, 1.0), ("b", None, "x", 0, 1.0)])
    assert deduplicate(frame).count() == 2


def test_a_pause_longer_than_the_gap_starts_a_session(spark):
    minutes = [0, 30, 61, 62, 200]
    frame = events(spark, [(str(m), "u", "x", m, 1.0) for m in minutes] + [("s", None, "x", 0, 1.0)])
    found = {row.event_id: row.session_id for row in add_sessions(frame, 30).collect()}
    assert found["0"] == found["30"] != found["61"] == found["62"] != found["200"]
    assert len({found[str(m)] for m in minutes}) == 3
    assert found["s"] is None


def test_only_users_above_the_declared_rate_are_marked(spark):
    frame = events(
        spark,
        [(f"b{n}", "bot", str(n), 5, 1.0) for n in range(4)] + [("h", "human", "x", 5, 1.0), ("s", None, "x", 5, 1.0)],
    )
    assert {row.user_id for row in mark_bots(frame, 3).where("is_bot").collect()} == {"bot"}
    assert mark_bots(frame, 4).where("is_bot").count() == 0
    assert mark_bots(frame, 0).where("is_bot").count() == 0
    assert mark_bots(frame, 3).count() == frame.count()


def test_one_description_an_item_and_titles_from_events_where_there_is_none(spark):
    schema = (
        "item_id string, title string, description string, categories array<string>, attributes map<string,string>, "
        "source_file string, source_row long, ingested_at string"
    )
    bronze = spark.createDataFrame(
        [
            ("x", "Old", None, None, None, "f", 0, "1"),
            ("x", "New", None, ["c"], None, "f", 1, "1"),
            ("n", None, None, None, None, "f", 2, "1"),
        ],
        schema,
    )
    seen = spark.createDataFrame(
        [
            ("x", {"title": "Other"}),
            ("e", {"title": "Seen"}),
            ("e", {"title": "Seen"}),
            ("e", {"title": "Rare"}),
            ("i", None),
            ("n", {"title": "Named"}),
        ],
        "item_id string, context map<string,string>",
    )
    rows = clean_items(bronze, seen).orderBy("item_id").collect()
    assert [(row.item_id, row.title, row.categories) for row in rows] == [
        ("e", "Seen", None), ("i", "i", None), ("n", "Named", None), ("x", "New", ["c"]),
    ]  # fmt: skip
