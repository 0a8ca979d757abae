"""Prices of items and price bands as of a day, by hand."""

from datetime import UTC, datetime

import pytest
from lakerec.features.prices import quantile_edges
from lakerec.features.sessions import session_stats
from lakerec.features.statistics import item_stats, user_stats

pytestmark = pytest.mark.spark
SCHEMA = (
    "user_id string, item_id string, event_type string, event_time timestamp, price double, value double, session_id string"
)
WEIGHTS = {"view": 0.5, "return": 0.0}


@pytest.fixture
def events(spark):
    rows = [
        ("u", "tea", "buy", 1, 1.0), (None, "tea", "buy", 1, 4.0),
        ("u", "tea", "buy", 2, None),
        ("v", "tea", "buy", 3, 5.0), ("v", "tea", "return", 3, 1.0), ("v", "tea", "buy", 3, 0.0),
        ("v", "tea", "buy", 3, -9.0),
        ("u", "cup", "view", 4, 7.0), ("u", "jar", "buy", 4, None),
    ]  # fmt: skip
    filled = [(user, item, kind, datetime(2024, 1, day, 9), price, 1.0, user) for user, item, kind, day, price in rows]
    return spark.createDataFrame(filled, SCHEMA)


def test_an_items_price_is_the_mean_of_its_last_day_with_one_and_its_band_the_edges_it_has_reached(events):
    rows = item_stats(events, WEIGHTS, 30.0, [2.0, 5.0]).orderBy("item_id", "day").collect()
    assert [(r.item_id, r.day.day, r.price_last, r.price_band) for r in rows] == [
        ("cup", 4, 7.0, 2),
        ("jar", 4, None, None),
        ("tea", 1, 2.5, 1),
        ("tea", 2, 2.5, 1),
        ("tea", 3, 5.0, 2),  # what was taken back, or cost nothing or less, says no price
    ]


def test_a_users_mean_band_is_by_the_weight_of_events_with_a_price(events):
    rows = user_stats(events, session_stats(events, 30), WEIGHTS, 30.0, [2.0, 5.0]).orderBy("user_id", "day").collect()
    assert [(r.user_id, r.day.day, r.price_band_mean) for r in rows] == [
        ("u", 1, 0.0), ("u", 2, 0.0), ("u", 4, pytest.approx(2 * 0.5 / 1.5)), ("v", 3, 2.0),
    ]  # fmt: skip


def test_without_edges_there_are_prices_and_no_bands(events):
    assert {(r.price_last, r.price_band) for r in item_stats(events, WEIGHTS, 30.0).collect()} == {
        (7.0, None), (None, None), (2.5, None), (5.0, None),
    }  # fmt: skip
    rows = user_stats(events, session_stats(events, 30), WEIGHTS, 30.0).collect()
    assert {row.price_band_mean for row in rows} == {None}


def test_edges_divide_the_items_by_what_they_cost_at_the_moment(spark):
    days = [("a", 2, 1.0), ("a", 3, 3.0), ("b", 2, 5.0), ("c", 2, 7.0), ("c", 9, 900.0), ("d", 2, None), ("e", 9, 9.0)]
    rows = [(item, datetime(2024, 1, day), price) for item, day, price in days]
    stats = spark.createDataFrame(rows, "item_id string, knowable_at timestamp, price_last double")
    assert quantile_edges(stats, 2, datetime(2024, 1, 3, tzinfo=UTC)) == [5.0], "of 3, 5 and 7"
    assert quantile_edges(stats, 4, datetime(2024, 1, 3, tzinfo=UTC)) == [4.0, 5.0, 6.0]
    assert quantile_edges(stats, 2, datetime(2024, 1, 1, tzinfo=UTC)) == []
    with pytest.raises(ValueError, match="no time zone"):
        quantile_edges(stats, 2, datetime(2024, 1, 3))
