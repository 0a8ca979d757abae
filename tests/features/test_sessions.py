"""Sessions: what each was, when it was known to be over, and where an event stands in it."""

from datetime import UTC, datetime, timedelta

import pytest
from lakerec.features.sessions import session_stats, with_session_context
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 1, tzinfo=UTC)


def events(spark):
    """Rows (session, item, second, row in the file); the last two have no session."""
    rows = [
        ("s", "a", 0, 5),
        ("s", "c", 60, 9),
        ("s", "b", 60, 7),
        ("t", "a", 9999, 0),
        (None, "a", 1, 1),
        (None, "b", 2, 2),
    ]
    filled = [(f"{n}", s and "u", s, i, START + timedelta(seconds=t), "f", n) for s, i, t, n in rows]
    schema = (
        "event_id string, user_id string, session_id string, item_id string, event_time timestamp, source_file string, "
        "source_row long"
    )
    return spark.createDataFrame(filled, schema).withColumn("event_type", F.lit("view"))


def test_a_session_is_known_once_nothing_can_join_it(spark):
    found = {row.session_id: row for row in session_stats(events(spark), 30).collect()}
    assert set(found) == {"s", "t"}
    row = found["s"]
    assert (row.user_id, row.events, row["items"]) == ("u", 3, 3)
    assert (row.started_at, row.ended_at) == (datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 1))
    assert row.knowable_at == datetime(2024, 1, 1, 0, 31, 0, 1)


def test_an_event_stands_behind_those_of_its_session_only(spark):
    found = {
        row.event_id: (row.session_position, row.session_seconds, row.previous_item)
        for row in with_session_context(events(spark)).collect()
    }
    assert found == {
        "5": (0, 0.0, None), "7": (1, 60.0, "a"), "9": (2, 60.0, "b"), "0": (0, 0.0, None),
        "1": (None, None, None), "2": (None, None, None),
    }  # fmt: skip
