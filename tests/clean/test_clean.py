"""Cleaning on tiny tables shown in full."""

import random

import pytest
from lakerec.clean import increment
from lakerec.clean.bots import mark_bots
from lakerec.clean.cancellations import net, net_of_strangers
from lakerec.clean.events import add_sessions, clean_events, deduplicate, one_row_an_id
from lakerec.clean.items import add_titles, clean_items, clean_users, titles_in
from lakerec.config import BotConfig, CleanConfig
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.difference import DELETE, INSERT, UPDATE

pytestmark = pytest.mark.spark
EVENTS = (
    "event_id string, user_id string, item_id string, event_type string, event_time string, value double, "
    "source_file string, source_row long, digest string, context map<string,string>, tags array<string>"
)


def events(spark, rows, kind="view"):
    """Rows (event_id, user, item, minute, value, and more columns by name) from midnight on."""
    filled = [
        (
            e, u, i, more.get("kind", kind), f"2024-01-{1 + m // 1440:02d} {m // 60 % 24:02d}:{m % 60:02d}:00", v, "f", n,
            more.get("digest"), more.get("context"), None,
        )
        for n, (e, u, i, m, v, *rest) in enumerate(rows) for more in [rest[0] if rest else {}]
    ]  # fmt: skip
    return spark.createDataFrame(filled, EVENTS).selectExpr(
        "* except (event_time)", "cast(event_time as timestamp) event_time"
    )


def ids(frame):
    return sorted(row.event_id for row in frame.collect())


def test_one_winner_for_the_same_user_item_type_and_time(spark):
    frame = events(
        spark, [("a", "u", "x", 0, 1.0), ("b", "u", "x", 0, 3.0), ("c", "u", "x", 0, 3.0), ("d", "u", "y", 0, 1.0)]
    )
    assert ids(deduplicate(frame, None)) == ["b", "d"]


def test_events_with_ids_of_their_own_are_told_apart_by_them_unless_a_key_is_declared(spark):
    given = [("a", "u", "x", 0, 1.0, {"digest": "1"}), ("b", "u", "x", 0, 3.0, {"digest": "2"})]
    frame = events(spark, given)
    assert ids(deduplicate(frame, None)) == ["a", "b"]
    assert ids(deduplicate(frame, ["user_id", "item_id"])) == ["b"]
    assert ids(deduplicate(frame, [])) == ["a", "b"]


def test_fault_07_one_id_with_two_contents_has_one_winner(spark):
    rows = [("a", "u", "x", 0, 1.0, {"digest": "1"}), ("a", "u", "y", 5, 3.0, {"digest": "2"}), ("b", "u", "x", 0, 1.0)]
    for order in (rows, rows[::-1]):
        kept = one_row_an_id(events(spark, order)).collect()
        assert sorted((row.event_id, row.item_id) for row in kept) == [("a", "y"), ("b", "x")]


def test_the_price_is_what_the_context_says_where_that_is_a_number(spark):
    said = {"a": "2.5", "b": " 3 ", "c": "-1", "d": "NaN", "e": "Infinity", "f": "many", "g": None}
    rows = [(name, "u", name, 0, 1.0, {"context": {"price": text}}) for name, text in said.items()]
    frame = events(spark, [*rows, ("h", None, "x", 0, 1.0)])
    found = {row.event_id: row.price for row in clean_events(frame, CleanConfig()).collect()}
    assert found == {"a": 2.5, "b": 3.0, "c": -1.0, **dict.fromkeys("defgh")}


def test_strangers_are_not_one_user(spark):
    frame = events(spark, [("a", None, "x", 0, 1.0), ("b", None, "x", 0, 1.0)])
    assert [row.session_id for row in clean_events(frame, CleanConfig()).collect()] == [None, None]


def test_a_pause_longer_than_the_gap_starts_a_session(spark):
    minutes = [0, 30, 61, 62, 200]
    frame = events(spark, [(str(m), "u", "x", m, 1.0) for m in minutes] + [("twin", "u", "x", 61, 0.5)])
    found = {row.event_id: row.session_id for row in add_sessions(deduplicate(frame, None), 30).collect()}
    assert found.keys() == {str(m) for m in minutes}
    assert found["0"] == found["30"] != found["61"] == found["62"] != found["200"]
    assert len(set(found.values())) == 3
    by_value = add_sessions(deduplicate(frame, ["user_id", "value"]), 30).collect()
    assert {row.event_id: row.session_id for row in by_value} == {"0": found["0"], "twin": found["61"]}


def test_bots_are_marked_by_each_threshold_and_never_deleted(spark):
    agent = {"context": {"agent": "Googlebot/2.1"}}
    frame = events(
        spark,
        [(f"f{n}", "fast", "x", 5, 1.0) for n in range(4)]
        + [(f"b{n}", "broad", f"i{n}", n * n * 7, 1.0) for n in range(4)]
        + [(f"r{n}", "regular", "x", n * 10, 1.0) for n in range(4)]
        + [("a", "agent", "x", 5, 1.0, agent), ("h", "human", "x", 5, 1.0), ("s", None, "x", 5, 1.0)],
    )
    declared = {"rate": {"events_per_minute": 3}, "breadth": {"items_per_day": 3}, "user_agent": {"agent": "agent"},
                "regularity": {"least_variation": 0.01, "regular_pauses": 3}}  # fmt: skip
    owners = {"rate": "fast", "breadth": "broad", "regularity": "regular", "user_agent": "agent"}
    for reason, keys in declared.items():
        marked = mark_bots(frame, BotConfig(**keys)).where("is_bot").collect()
        assert {(row.user_id, *row.bot_reasons) for row in marked} == {(owners[reason], reason)}
    every = mark_bots(frame, BotConfig(**{key: value for keys in declared.values() for key, value in keys.items()}))
    assert every.count() == frame.count() and every.where("is_bot").count() == 13
    assert mark_bots(frame, BotConfig()).where("is_bot").count() == 0


def test_cancellations_take_from_the_latest_purchases_before_them(spark):
    back = {"kind": "cancellation"}
    frame = events(
        spark,
        [
            ("early", "u", "x", 0, -2.0, back),  # of what was bought before the log begins: takes nothing
            ("a", "u", "x", 1, 5.0), ("b", "u", "x", 2, 3.0), ("take", "u", "x", 3, -4.0, back), ("c", "u", "x", 4, 2.0),
            ("other", "u", "y", 2, 3.0),
            ("one", "w", "x", 1, None), ("gone", "w", "y", 1, None), ("back", "w", "y", 2, None, back),
        ],
        kind="purchase",
    )  # fmt: skip
    left = {row.event_id: row.net_value for row in net(frame, {"cancellation": "purchase"}).collect()}
    assert left == {
        "early": 0, "a": 4, "b": 0, "take": 0, "c": 2, "other": 3, "one": None, "gone": 0, "back": 0,
    }  # fmt: skip
    assert {row.net_value == row.value for row in net(frame.where("value > 0"), {}).collect()} == {True}
    alone = net_of_strangers(
        events(spark, [("s", None, "x", 2, 3.0), ("t", None, "x", 3, -3.0, back)]), {"cancellation": ""}
    )
    assert [(row.event_id, row.net_value) for row in alone.collect()] == [("s", 3), ("t", 0)]


def test_cancellations_agree_with_a_stack(spark):
    rng = random.Random(3)
    rows = [
        (f"{n:03d}", f"u{rng.randrange(3)}", f"i{rng.randrange(2)}", n, float(rng.randrange(1, 5)),
         {"kind": rng.choice(["purchase", "cancellation"])})
        for n in range(200)
    ]  # fmt: skip
    expected, stacks = {}, {}
    for name, user, item, _, value, more in rows:
        stack = stacks.setdefault((user, item), [])
        expected[name] = 0.0
        if more["kind"] == "purchase":
            expected[name] = value
            stack.append(name)
            continue
        while value and stack:
            taken = min(value, expected[stack[-1]])
            expected[stack[-1]] -= taken
            value -= taken
            if not expected[stack[-1]]:
                stack.pop()
    found = net(events(spark, rows), {"cancellation": "purchase"}).collect()
    assert {row.event_id: row.net_value for row in found} == expected


CONFIG = CleanConfig(
    session_gap_minutes=30, cancels={"cancellation": "purchase"},
    bots={"events_per_minute": 2, "items_per_day": 5, "least_variation": 0.05, "regular_pauses": 3},
)  # fmt: skip


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2)]])
def test_silver_comes_out_the_same_in_whatever_order_events_arrive(spark, seed):
    rng = random.Random(seed)
    rows = []
    for number in range(120):
        given = {"digest": f"d{number}"} if rng.random() < 0.3 else {}
        name = f"g{rng.randrange(25)}" if given else f"e{number}"
        user = rng.choice(["a", "b", "c", "d", None])
        kind = rng.choice(["purchase", "purchase", "cancellation"])
        minute = rng.randrange(3) * 1440 + rng.randrange(0, 400, rng.choice([1, 10]))
        rows.append((name, user, f"i{rng.randrange(4)}", minute, float(rng.randrange(1, 4)), {"kind": kind, **given}))
    bronze = events(spark, rows).localCheckpoint()
    names = CONTRACTS["silver/events"].names
    whole = clean_events(bronze, CONFIG).select(*names)
    order = list(range(len(rows)))
    rng.shuffle(order)
    silver, seen = None, set()
    for part in (order[:70], order[70:100], order[100:]):
        new = bronze.where(bronze.source_row.isin(part))
        if silver is None:
            silver = clean_events(new, CONFIG).select(*names).localCheckpoint()
            continue
        changes = increment.changes(silver, new, CONFIG, names).localCheckpoint()
        seen |= {row["_action"] for row in changes.collect()}
        kept = silver.join(changes, on="event_id", how="left_anti").select(*names)
        silver = kept.unionByName(changes.where(f"_action <> '{DELETE}'").select(*names)).localCheckpoint()
    assert sorted(map(str, silver.collect())) == sorted(map(str, whole.collect()))
    assert {INSERT, UPDATE} <= seen


def test_of_each_column_the_newest_value_that_is_not_empty_counts(spark):
    schema = (
        "item_id string, title string, description string, categories array<string>, attributes map<string,string>, "
        "ingested_at string, source_file string, source_row long, digest string"
    )
    rows = [
        ("x", "Tea", "Green leaves", ["hot"], {"size": "S"}, "day 1", "a", 7, "1"),
        ("x", "Tea", "Leaves", ["drink"], {"size": "M"}, "day 2", "a", 1, "2"),  # the newest description
        ("x", "Mint", None, [], {"size": "L"}, "day 2", "a", 2, "3"),  # the newest attributes
        ("x", "Mint tea", "", None, {}, "day 2", "b", 0, "4"),  # the newest title
        ("x", None, None, None, None, "day 2", "b", 3, "5"),
        ("y", None, "", None, None, "day 1", "a", 0, "6"),
        ("z", "One", None, None, None, "day 1", "a", 0, "7"),  # two of one place, as `explode` makes them
        ("z", "Two", None, None, None, "day 1", "a", 0, "8"),
    ]
    nothing = spark.createDataFrame([], "item_id string, title string, n long")
    for order in (rows, rows[::-1]):
        bronze = spark.createDataFrame(order, schema)
        assert [tuple(row) for row in clean_items(bronze, nothing).orderBy("item_id").collect()] == [
            ("x", "Mint tea", "Leaves", ["drink"], {"size": "L"}),
            ("y", "y", None, None, None),
            ("z", "Two", None, None, None),
        ]
        users = clean_users(bronze.withColumnRenamed("item_id", "user_id")).orderBy("user_id").collect()
        assert [tuple(row) for row in users] == [("x", {"size": "L"}), ("y", None), ("z", None)]


def test_one_description_an_item_and_titles_from_events_where_there_is_none(spark):
    schema = (
        "item_id string, title string, description string, categories array<string>, attributes map<string,string>, "
        "source_file string, source_row long, ingested_at string, digest string"
    )
    bronze = spark.createDataFrame(
        [
            ("x", "Old", None, None, None, "f", 0, "1", "a"),
            ("x", "New", None, ["c"], None, "f", 1, "1", "b"),
            ("n", None, None, None, None, "f", 2, "1", "c"),
        ],
        schema,
    )
    schema = "item_id string, context map<string,string>"
    first = [("x", {"title": "Other"}), ("e", {"title": "Rare"}), ("e", {"title": "Rare"}), ("i", None)]
    later = [("n", {"title": "Named"}), *[("e", {"title": " Seen "})] * 3]
    titles = titles_in(spark.createDataFrame(first, schema))
    changed = add_titles(titles, titles_in(spark.createDataFrame(later, schema)))
    both = titles.join(changed, on=["item_id", "title"], how="left_anti").unionByName(changed)
    assert sorted(both.collect()) == sorted(titles_in(spark.createDataFrame(first + later, schema)).collect())
    rows = clean_items(bronze, both).orderBy("item_id").collect()
    assert [(row.item_id, row.title, row.categories) for row in rows] == [
        ("e", "Seen", None), ("i", "i", None), ("n", "Named", None), ("x", "New", ["c"]),
    ]  # fmt: skip
