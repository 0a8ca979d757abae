"""How a user's weight is divided over categories, by hand."""

from datetime import date, datetime

import pytest
from lakerec.features.affinity import user_affinity

pytestmark = pytest.mark.spark


def test_shares_decay_and_are_divided_among_an_items_categories(spark):
    rows = [
        ("u", "tea", "buy", datetime(2024, 1, 1, 9)), ("u", "cup", "buy", datetime(2024, 1, 1, 10)),
        ("u", "lamp", "buy", datetime(2024, 1, 3)), ("u", "bare", "buy", datetime(2024, 1, 4)),
        ("v", "tea", "view", datetime(2024, 1, 1)), (None, "tea", "buy", datetime(2024, 1, 1)),
    ]  # fmt: skip
    events = spark.createDataFrame(rows, "user_id string, item_id string, event_type string, event_time timestamp")
    items = spark.createDataFrame(
        [("tea", ["drink"]), ("cup", ["drink", "house", "drink"]), ("lamp", ["house"]), ("bare", None), ("none", [])],
        "item_id string, categories array<string>",
    )
    found = {
        (r.user_id, r.day): (r.categories, r.shares, r.knowable_at)
        for r in user_affinity(events, items, {"view": 0.0}, 2.0, 2).collect()
    }
    assert set(found) == {("u", date(2024, 1, 1)), ("u", date(2024, 1, 3)), ("v", date(2024, 1, 1))}
    assert found["u", date(2024, 1, 1)] == (["drink", "house"], [0.75, 0.25], datetime(2024, 1, 2))
    categories, shares, _ = found["u", date(2024, 1, 3)]
    assert categories == ["house", "drink"]
    assert shares == pytest.approx([1.25 / 2, 0.75 / 2]), "two days later, drink's 1.5 counts half"
    assert found["v", date(2024, 1, 1)][:2] == (["drink"], [0.0])


def test_only_the_strongest_are_kept(spark):
    events = spark.createDataFrame(
        [("u", "a", "buy", datetime(2024, 1, 1))], "user_id string, item_id string, event_type string, event_time timestamp"
    )
    items = spark.createDataFrame([("a", ["z", "y", "x"])], "item_id string, categories array<string>")
    (row,) = user_affinity(events, items, {}, 2.0, 2).collect()
    assert row.categories == ["x", "y"]
    assert row.shares == pytest.approx([1 / 3, 1 / 3])
