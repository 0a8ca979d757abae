"""Statistics as of a day, joins as of a moment: by hand on small tables, and against brute force on random events."""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from statistics import pstdev

import pytest
from lakerec.errors import ContractError
from lakerec.features.as_of import join_as_of, only
from lakerec.features.sessions import session_stats
from lakerec.features.statistics import item_stats, user_stats
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = (
    "event_id string, user_id string, item_id string, event_type string, event_time timestamp, value double, "
    "session_id string, source_file string, source_row long, price double"
)
WEIGHTS = {"view": 0.1}
HALF_LIFE = 2.0
BANDS = [2.0, 5.0]


def hours(number):
    return START + timedelta(hours=number)


def events(spark, rows):
    """Rows (user, item, type, hour, value, and maybe price); a session a user and day."""
    filled = [
        (f"e{place}", user, item, kind, hours(hour), value, user and f"{user}{int(hour // 24)}", "f", place,
         *(price or [None]))
        for place, (user, item, kind, hour, value, *price) in enumerate(rows)
    ]  # fmt: skip
    return spark.createDataFrame(filled, SCHEMA)


def users(frame):
    return user_stats(frame, session_stats(frame, 30), WEIGHTS, HALF_LIFE, BANDS)


def items(frame):
    return item_stats(frame, WEIGHTS, HALF_LIFE, BANDS)


def test_a_users_days_by_hand(spark):
    frame = events(
        spark,
        [("u", "a", "view", 1, 3.0), ("u", "b", "buy", 13, 5.0), ("u", "a", "buy", 24 * 7 + 1, None),
         ("v", "a", "buy", 2, 9.0), (None, "a", "buy", 3, 7.0)],
    )  # fmt: skip
    first, second = users(frame).where("user_id = 'u'").orderBy("day").collect()
    assert (first.knowable_at, second.knowable_at) == (datetime(2024, 1, 2), datetime(2024, 1, 9))
    assert (first.first_seen, first.last_seen) == (datetime(2024, 1, 1, 1), datetime(2024, 1, 1, 13))
    assert first.days_since_previous is None
    assert second.days_since_previous == 6.5
    assert [(r.events_1d, r.events_7d, r.events_30d, r.events_all) for r in (first, second)] == [(2, 2, 2, 2), (1, 1, 3, 3)]
    assert [(r.weight_1d, r.weight_7d, r.weight_30d, r.weight_all) for r in (first, second)] == [
        (1.1, 1.1, 1.1, 1.1),
        (1.0, 1.0, 2.1, 2.1),
    ]
    assert [(r.value_1d, r.value_all, r.value_mean, r.value_deviation) for r in (first, second)] == [
        (8.0, 8.0, 4.0, 1.0),
        (0.0, 8.0, 4.0, 1.0),
    ]
    assert [(r["items"], r.sessions) for r in (first, second)] == [(2, 1), (2, 2)]
    assert second.weight_decayed == pytest.approx(1 + 1.1 * 2 ** (-7 / HALF_LIFE))


def test_what_a_user_met_within_windows_by_hand(spark):
    met = {0: "ab", 6: "c", 7: "a", 13: "aa", 36: "b", 37: "c"}
    frame = events(spark, [("u", item, "buy", 24 * day, None) for day, items in met.items() for item in items])
    rows = users(frame).orderBy("day").collect()
    assert [(r.items_1d, r.items_7d, r.items_30d, r["items"]) for r in rows] == [
        (2, 2, 2, 2),
        (1, 3, 3, 3),
        (1, 2, 3, 3),  # a again, when its first day has just left the week; b has left it
        (1, 1, 3, 3),
        (1, 1, 2, 3),  # c has left the 30 days, a has not
        (1, 2, 3, 3),
    ]
    assert [(r.sessions_1d, r.sessions_7d, r.sessions_30d, r.sessions) for r in rows] == [
        (1, 1, 1, 1), (1, 2, 2, 2), (1, 2, 3, 3), (1, 2, 4, 4), (1, 1, 3, 5), (1, 2, 3, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_distinct_ones_within_windows_are_those_that_a_list_of_them_has(spark, seed):
    """Days lie so that pairs meet again just within, at, and just beyond the ends of windows."""
    rng = random.Random(seed)
    days = list(accumulate(rng.choice([0, 1, 1, 2, 5, 6, 7, 8, 22, 29, 30, 31]) for _ in range(60)))
    log = [(rng.choice(["u", "v", None]), rng.choice("abc"), day) for day in days for _ in range(rng.choice([1, 1, 3]))]
    frame = events(spark, [(user, item, "buy", 24 * day + rng.random() * 24, None) for user, item, day in log])
    for key, place, name, rows in (
        ("user_id", 0, "items", users(frame)),
        ("item_id", 1, "users", items(frame)),
    ):
        windows = {f"{name}_1d": 1, f"{name}_7d": 7, f"{name}_30d": 30, name: 10_000}
        found = {(row[key], (row.day - START.date()).days): [row[window] for window in windows] for row in rows.collect()}
        assert found == {
            (entity, day): [
                len({row[1 - place] for row in log if row[place] == entity and day - n < row[2] <= day} - {None})
                for n in windows.values()
            ]
            for entity, day in {(row[place], row[2]) for row in log if row[place]}
        }


def test_events_without_a_user_count_for_their_item_though_not_as_a_user(spark):
    frame = events(spark, [("u", "a", "buy", 1, 1.0), (None, "a", "buy", 2, 2.0), (None, "a", "buy", 3, 3.0)])
    (row,) = items(frame).collect()
    assert (row.item_id, row.events_all, row.users, row.value_all) == ("a", 3, 1, 6.0)
    assert {row.user_id for row in users(frame).collect()} == {"u"}


def test_the_join_takes_what_was_known_at_the_moment_and_nothing_of_later(spark):
    features = spark.createDataFrame(
        [("u", hours(24), 1), ("u", hours(48), 2), ("v", hours(0), 9)], "user_id string, knowable_at timestamp, figure int"
    )
    micro = timedelta(microseconds=1)
    moments = [
        ("before", "u", hours(24) - micro), ("at", "u", hours(24)), ("after", "u", hours(24) + micro),
        ("at", "u", hours(48)), ("twin", "u", hours(48)), ("long after", "u", hours(9999)),
        ("stranger", None, hours(48)), ("unknown", "w", hours(48)),
    ]  # fmt: skip
    rows = spark.createDataFrame(moments, "name string, user_id string, event_time timestamp")
    found = sorted((r.name, r.user_id or "", r.figure or 0) for r in join_as_of(rows, features, "user_id").collect())
    assert found == [
        ("after", "u", 1), ("at", "u", 1), ("at", "u", 2), ("before", "u", 0), ("long after", "u", 2),
        ("stranger", "", 0), ("twin", "u", 2), ("unknown", "w", 0),
    ]  # fmt: skip


def test_a_column_that_both_sides_have_is_refused(spark):
    rows = spark.createDataFrame([("u", START, 1)], "user_id string, event_time timestamp, figure int")
    features = rows.withColumnRenamed("event_time", "knowable_at")
    with pytest.raises(ContractError, match="figure would be in the result twice"):
        join_as_of(rows, features, "user_id")


def shuffled_log(seed, size=120):
    """Random rows, on midnights too, with strangers, missing values and missing prices."""
    rng = random.Random(seed)
    return [
        (rng.choice(["u", "v", "w", None]), rng.choice("abcd"), rng.choice(["view", "buy"]),
         rng.choice([24 * rng.randrange(60), rng.randrange(24 * 60), rng.random() * 24 * 60]),
         rng.choice([None, 0.1, 2.5, -1.0]), rng.choice([None, 0.0, 1.5, 2.0, 6.0]))
        for _ in range(size)
    ]  # fmt: skip


def brute(rows, place, key, hour):
    """Figures of one entity at an hour, by its events before the last midnight, as of its last day with an event."""
    midnight = hour // 24 * 24
    own = [row for row in rows if row[place] == key and row[3] < midnight]
    if not own:
        return None
    day = max(row[3] for row in own) // 24
    weight = {"view": 0.1, "buy": 1.0}
    values = [row[4] for row in own if row[4] is not None]
    recent = [row for row in own if row[3] // 24 > day - 7]
    priced = [row for row in own if row[5]]
    last_price = [row[5] for row in priced if row[3] // 24 == max(row[3] // 24 for row in priced)]
    price = sum(last_price) / len(last_price) if priced else None
    bands = sum(weight[row[2]] * sum(row[5] >= edge for edge in BANDS) for row in priced)
    whole = sum(weight[row[2]] for row in priced)
    prices = {"price_last": price, "price_band": None if price is None else sum(price >= edge for edge in BANDS)}
    daily = defaultdict(float)
    for row in own:
        daily[row[3] // 24] += weight[row[2]]
    return {
        "events_all": len(own),
        "events_7d": len(recent),
        "weight_30d": sum(weight[row[2]] for row in own if row[3] // 24 > day - 30),
        "weight_decayed": sum(w * 2 ** ((d - day) / HALF_LIFE) for d, w in daily.items()),
        "value_7d": sum(row[4] or 0 for row in recent),
        "value_deviation": pstdev(values) if values else None,
        "items" if place == 0 else "users": len({row[1 - place] for row in own} - {None}),
        **(prices if place else {"price_band_mean": bands / whole if priced else None}),
    }


@pytest.mark.parametrize(("key", "place"), [("user_id", 0), ("item_id", 1)])
def test_no_feature_of_an_event_depends_on_an_event_at_or_after_its_time(spark, key, place):
    rows = shuffled_log(place)
    frame = events(spark, rows)
    features = users(frame) if key == "user_id" else items(frame)
    joined = join_as_of(frame, features, key).collect()
    assert len(joined) == len(rows)
    seen = 0
    for row in joined:
        expected = brute(rows, place, row[key], rows[row.source_row][3]) if row[key] else None
        if expected is None:
            assert row.knowable_at is None
            continue
        seen += 1
        assert row.knowable_at <= row.event_time
        found = {name: row[name] for name in expected}
        assert found == pytest.approx(expected), row
    assert seen > len(rows) / 2


def test_what_comes_later_changes_nothing_earlier_to_the_last_bit(spark):
    rows = shuffled_log(7)
    cut = 24 * 30
    whole = items(events(spark, rows)).where(F.col("knowable_at") <= F.lit(hours(cut)))
    part = items(events(spark, [row for row in reversed(rows) if row[3] < cut]))
    assert sorted(map(tuple, whole.collect())) == sorted(map(tuple, part.collect()))


def test_statistics_of_the_touched_are_those_of_all(spark):
    frame = events(spark, shuffled_log(3))
    touched = spark.createDataFrame([("a",), ("c",), ("a",)], "item_id string")
    alone = items(only(frame, touched, "item_id"))
    all_rows = items(frame).where("item_id in ('a', 'c')")
    assert sorted(map(tuple, alone.collect())) == sorted(map(tuple, all_rows.collect()))
