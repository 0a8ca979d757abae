"""What is told of users, by hand."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from lakerec.features import people

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 6, 21)  # a Saturday
ITEMS = [("a", "Alien", ["Horror", "Space"]), ("b", "Blade", ["Horror"]), ("c", None, []), ("d", "Dune", ["Space", "Space"])]


@pytest.fixture(scope="module")
def items(spark):
    return spark.createDataFrame(ITEMS, "item_id string, title string, categories array<string>")


def met(spark, *rows):
    """Interactions (user, item, days after START[, weight])."""
    filled = [(user, item, START + timedelta(days=days), float(*more or (1,))) for user, item, days, *more in rows]
    return spark.createDataFrame(filled, "user_id string, item_id string, event_time timestamp, weight double")


def test_weights_halve_up_to_the_last_event_of_all(spark):
    rows = people.recent_weight(met(spark, ("u", "a", 0), ("u", "b", 10), ("v", "a", 20, 4)), 10).collect()
    assert {(row.user_id, row.item_id): row.weight for row in rows} == {("u", "a"): 0.25, ("u", "b"): 0.5, ("v", "a"): 4.0}


def test_a_user_is_the_weighted_mean_of_what_they_met(spark):
    vectors = spark.createDataFrame([("a", [1.0, 0.0]), ("b", [0.0, 1.0])], "item_id string, vector array<float>")
    frame = met(spark, ("u", "a", 0, 3), ("u", "b", 0, 4), ("v", "c", 0), ("w", "a", 0, 0))
    found = {row.user_id: row.vector for row in people.mean_vectors(frame, vectors, "item_id").collect()}
    assert set(found) == {"u"}, "an item without a vector, or without weight, tells nothing"
    np.testing.assert_allclose(found["u"], [0.6, 0.8], atol=1e-6)
    kinds = frame.withColumnRenamed("user_id", "kind")
    (row,) = people.mean_vectors(kinds, vectors, "item_id", "kind").collect()
    assert row.kind == "u" and row.vector == found["u"], "of something else than users"


def test_opposite_vectors_that_cancel_are_no_vector(spark):
    vectors = spark.createDataFrame([("a", [1.0]), ("b", [-1.0])], "item_id string, vector array<float>")
    assert people.mean_vectors(met(spark, ("u", "a", 0), ("u", "b", 0)), vectors, "item_id").count() == 0


def test_interests_share_a_weight_and_name_what_weighs_most(spark, items):
    frame = met(spark, ("u", "a", 0, 2), ("u", "b", 0, 3), ("u", "c", 0, 1), ("v", "d", 0))
    found = {row.user_id: row.interests for row in people.interests(frame, items, 2, 1).collect()}
    assert [(each.name, round(each.share, 4), each["items"]) for each in found["u"]] == [
        ("Horror", round(4 / 6, 4), ["Blade"]), ("Space", round(1 / 6, 4), ["Alien"]),
    ]  # fmt: skip
    assert [(each.name, each.share) for each in found["v"]] == [("Space", 1.0)], "a category that stands twice counts once"
    alone = people.interests(met(spark, ("w", "c", 0)), items, 2, 1).first().interests
    assert [(each.name, each["items"]) for each in alone] == [("c", ["c"])], "without categories the item is the interest"


def test_rhythm_is_hour_weekend_and_pause(spark):
    row = people.rhythm(met(spark, ("u", "a", 0), ("u", "b", 0), ("u", "a", 2.5), ("u", "a", 6))).first()
    assert (row.events, row.hour, row.weekend_share, row.days_between) == (4, 21, 0.5, 3.0)
    assert people.rhythm(met(spark, ("u", "a", 0))).first().days_between is None


def test_liking_is_against_the_users_own_mean_and_needs_values_that_differ(spark, items):
    rows = (
        [("u", "b", 5.0)] * 3
        + [("u", "d", 1.0)] * 3
        + [("u", "a", None)]
        + [("v", "b", 4.0)] * 5
        + [("w", "b", 1.0), ("w", "d", 3.0)]
    )
    events = spark.createDataFrame(rows, "user_id string, item_id string, value double")
    found = {row.user_id: [tuple(each) for each in row.liking] for row in people.liking(events, items).collect()}
    assert found == {"u": [("Horror", 2.0, 3), ("Space", -2.0, 3)]}
