"""Statistics written bit by bit equal those written at once, whatever the order of arrival; rows that are gone go."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from lakerec.columns import Tables
from lakerec.config import Config, LakeConfig
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.stages import statistics
from lakerec.stages.base import Context
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS = (
    "event_id string, user_id string, item_id string, event_type string, event_time timestamp, value double, "
    "session_id string, is_bot boolean, source_file string, source_row long, price double"
)
KEPT = (Tables.USER_STATS, Tables.ITEM_STATS, Tables.SESSION_STATS, Tables.USER_AFFINITY)


def log(seed, size=60):
    """Events by id: (user, item, hour, value, price)."""
    rng = random.Random(seed)
    return {
        f"e{place}": (
            rng.choice(["u", "v", "w", None]),
            rng.choice("abcd"),
            rng.random() * 24 * 40,
            rng.choice([None, 0.1, 3.0]),
            rng.choice([None, 0.7, 2.0, 4.1]),
        )
        for place in range(size)
    }


def fill(lake, events):
    """silver/events of these, and silver/items; gives the version of each."""
    rows = [
        (name, user, item, "buy", START + timedelta(hours=hour), value, user and f"{user}{int(hour // 24)}", False,
         "f", int(name[1:]), *(price or [None]))
        for name, (user, item, hour, value, *price) in events.items()
    ]  # fmt: skip
    frame = lake.spark.createDataFrame(rows, EVENTS)
    others = {name: F.lit(None) for name in CONTRACTS[Tables.EVENTS].names if name not in frame.columns}
    events_version = lake.overwrite(frame.withColumns(others), Tables.EVENTS)
    items = [(item, item, None, ["x", item], None) for item in "abcd"]
    schema = "item_id string, title string, description string, categories array<string>, attributes map<string,string>"
    if not lake.exists(Tables.ITEMS):
        lake.overwrite(lake.spark.createDataFrame(items, schema), Tables.ITEMS)
    return {Tables.EVENTS: events_version, Tables.ITEMS: lake.version(Tables.ITEMS)}


def context_of(lake, run_id, **features):
    chosen = {"statistics": True, "affinity": 20, "half_life_days": 3, "price_bands": [1, 4], **features}
    config = Config(name="t", lake=lake.config, source={"events": {"path": "-"}}, features=chosen)
    return Context(config, lake.spark, lake, None, None, run_id=run_id)


def tables(lake):
    return {table: Counter(map(str, lake.read(table).collect())) for table in KEPT}


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_bit_by_bit_equals_at_once(spark, tmp_path, seed, monkeypatch):
    """Each arrival brings events in any order of time and takes one away; a user's last event may be among those."""
    monkeypatch.setattr(
        statistics, "changed_since", lambda context, inputs, table: spark.createDataFrame([], "item_id string")
    )
    rng, whole = random.Random(seed), log(seed)
    bits, at_once = (Lake(spark, LakeConfig(root=str(tmp_path / name))) for name in ("bits", "once"))
    names = rng.sample(sorted(whole), len(whole))
    present = {name: whole[name] for name in names[:40]}
    statistics.write(context_of(bits, "r0"), fill(bits, present))
    for number, start in enumerate(range(40, 60, 10), 1):
        gone = rng.choice(sorted(present))
        changes = [present.pop(gone), *(whole[name] for name in names[start : start + 10])]
        present |= {name: whole[name] for name in names[start : start + 10]}
        touched = [
            spark.createDataFrame(sorted({(row[place],) for row in changes if row[place]}), f"{key} string")
            for place, key in enumerate(("user_id", "item_id"))
        ]
        statistics.write(context_of(bits, f"r{number}"), fill(bits, present), *touched)
    statistics.write(context_of(at_once, "r"), fill(at_once, present))
    assert tables(bits) == tables(at_once)
    assert all(tables(bits).values())


@pytest.mark.slow
def test_rows_of_the_last_event_go_with_it_and_nothing_new_is_not_written(spark, lake):
    events = {"e0": ("u", "a", 1, 1.0), "e1": ("v", "a", 2, 1.0), "e2": ("v", "b", 30, 1.0)}
    statistics.write(context_of(lake, "r0", affinity=0), fill(lake, events))
    del events["e0"]
    touched = spark.createDataFrame([("u", "a")], "user_id string, item_id string")
    statistics.write(context_of(lake, "r1", affinity=0), fill(lake, events), touched, touched)
    assert {row.user_id for row in lake.read(Tables.USER_STATS).collect()} == {"v"}
    assert {(row.item_id, row.users) for row in lake.read(Tables.ITEM_STATS).collect()} == {("a", 1), ("b", 1)}
    before = lake.version(Tables.USER_STATS)
    statistics.write(context_of(lake, "r2", affinity=0), fill(lake, events), touched, touched)
    assert lake.version(Tables.USER_STATS) == before, "nothing changed, nothing written"


def test_events_of_an_older_lakerec_have_no_price(lake):
    inputs = fill(lake, {"e0": ("u", "a", 1, 1.0, 2.0)})
    older = lake.read(Tables.EVENTS).drop("price").localCheckpoint()
    older.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(lake.name(Tables.EVENTS))
    statistics.write(context_of(lake, "r", affinity=0), {**inputs, Tables.EVENTS: lake.version(Tables.EVENTS)})
    assert [(row.price_last, row.price_band, row.users_7d) for row in lake.read(Tables.ITEM_STATS).collect()] == [
        (None, None, 1)
    ]


@pytest.mark.parametrize(("within", "expected"), [("user", {("a", "b"), ("b", "a")}), ("session", set())])
def test_pairs_within_users_or_sessions(spark, lake, within, expected):
    inputs = fill(lake, {"e0": ("u", "a", 1, 1.0), "e1": ("u", "b", 30, 1.0)})
    events = lake.read(Tables.EVENTS).selectExpr(
        "*", "1.0D AS weight", "'train' AS split", "0 AS user", "0 AS item", "cast(source_row AS int) AS position"
    )
    lake.overwrite(events, Tables.INTERACTIONS)
    chosen = context_of(lake, "r", statistics=False, price_bands=[], affinity=0, item_pairs=5, pairs_within=within)
    statistics.write(chosen, inputs)
    assert {(row.item_id, row.other_item_id) for row in lake.read(Tables.ITEM_PAIRS).collect()} == expected
    statistics.write(context_of(lake, "r", statistics=False, price_bands=[], affinity=0), inputs)
    assert lake.read(Tables.ITEM_PAIRS).isEmpty(), "what is turned off leaves no old rows"


def test_the_graph_is_written_once_for_each_version(spark, lake):
    arrival = "'f' AS source_file, 0L AS source_row, 'b' AS batch_id, current_timestamp() AS ingested_at, 'd' AS digest"
    graph = spark.createDataFrame([("m", "actor", "p")], "head string, relation string, tail string").selectExpr(
        "*", *arrival.split(", ")
    )
    links = spark.createDataFrame([("a", "m")], "item_id string, entity_id string").selectExpr("*", *arrival.split(", "))
    versions = {
        Tables.BRONZE_GRAPH: lake.overwrite(graph, Tables.BRONZE_GRAPH),
        Tables.BRONZE_GRAPH_LINKS: lake.overwrite(links, Tables.BRONZE_GRAPH_LINKS),
    }
    chosen = context_of(lake, "r", statistics=False, price_bands=[], affinity=0)
    statistics.write(chosen, {**fill(lake, {"e0": ("u", "a", 1, 1.0)}), **versions})
    assert [tuple(row) for row in lake.read(Tables.GRAPH_EDGES).collect()] == [("m", "actor", "p", "a", None)]
    assert [tuple(row) for row in lake.read(Tables.ITEM_ENTITIES).collect()] == [("a", "actor", "head", ["p"], 1)]
