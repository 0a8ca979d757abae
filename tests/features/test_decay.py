"""Decayed sums equal the sum of each amount by its age, over any span of time."""

import random
from datetime import date, timedelta

import pytest
from lakerec.features.decay import decayed, decayed_sums
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("half_life", [0.01, 0.5, 30.0])
def test_the_closed_form_is_the_sum_over_all_earlier_days(spark, half_life):
    """With a half-life of a hundredth of a day, a chapter has 5 days: the sums cross many."""
    rng = random.Random(1)
    days = [*sorted(rng.sample(range(40), 25)), 20_000]
    amounts = {day: rng.random() for day in days}
    rows = [("u", date(2020, 1, 1) + timedelta(days=day), amounts[day]) for day in days] + [("v", date(2020, 1, 1), 1.0)]
    frame = spark.createDataFrame(rows, "user_id string, day date, weight double")
    found = decayed_sums(frame, ["user_id"], "weight", half_life, "left").where("user_id = 'u'").orderBy("day")
    expected = [sum(amounts[d] * 2 ** ((d - day) / half_life) for d in days if d <= day) for day in days]
    assert [row.left for row in found.collect()] == pytest.approx(expected, rel=1e-12)


def test_a_chapters_last_sum_is_carried_into_the_next(spark):
    """500 half-lives of 1 day end between days 19999 and 20000 of the epoch: the day before still counts half."""
    rows = [("u", date(1970, 1, 1) + timedelta(days=day), 4.0) for day in (19_998, 19_999, 20_000, 20_001)]
    frame = spark.createDataFrame(rows, "user_id string, day date, weight double")
    found = [row.left for row in decayed_sums(frame, ["user_id"], "weight", 1.0, "left").orderBy("day").collect()]
    assert found == [4.0, 6.0, 7.0, 7.5]


def test_a_sum_goes_on_decaying_to_any_later_day(spark):
    frame = spark.createDataFrame([(8.0, date(2024, 1, 1), date(2024, 1, 7))], "amount double, since date, now date")
    assert frame.select(decayed(F.col("amount"), F.col("since"), F.col("now"), 2.0)).first()[0] == 1.0
