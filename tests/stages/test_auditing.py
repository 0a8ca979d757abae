"""The audit on tiny tables: a leak planted in any of them is found, and an evaluation that finds one promotes nothing."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from lakerec.columns import Splits, Tables
from lakerec.config import Config
from lakerec.errors import InputError, LeakageError
from lakerec.evaluation import leakage
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages import arrays, audited_data, audited_text, auditing, pipeline
from lakerec.stages.base import Context, last_run
from lakerec.stages.evidence import Evidence
from pyspark.sql import functions as F

from tests import shop

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 1, tzinfo=UTC)
TRAIN, VALID, TEST = Splits.ALL
LOG = {
    "u": [(1, 0, TRAIN), (3, 1, TRAIN), (8, 2, VALID), (9, 3, TEST)],
    "v": [(2, 1, TRAIN), (4, 2, TRAIN), (7, 0, VALID), (9, 3, TEST)],
    "w": [(5, 4, TRAIN)],
}
"""By user: hour, item, split. Cuts at 6 and 9 hours."""


class Lake:
    """Tables in memory."""

    def __init__(self, spark):
        self.spark, self.frames = spark, {}

    def read(self, table, version=None):
        return self.frames[table]

    def exists(self, table):
        return table in self.frames

    def put(self, table, rows):
        self.frames[table] = self.spark.createDataFrame(rows, CONTRACTS[table].schema)


@pytest.fixture
def lake(spark):
    lake = Lake(spark)
    fill(lake)
    return lake


def fill(lake, log=LOG, sequences=None):
    """gold/interactions of a log, gold/sequences of this one or another, gold/item_index."""
    rows = [
        (user, f"i{item}", START + timedelta(hours=hour), "buy", 1.0, split, number, item, place)
        for number, (user, events) in enumerate(log.items())
        for place, (hour, item, split) in enumerate(events)
    ]
    lake.put(Tables.INTERACTIONS, rows)
    lake.put(Tables.SEQUENCES, list(examples(sequences or log)))
    lake.put(Tables.ITEM_INDEX, [(f"i{item}", item) for item in range(5)])


def examples(log):
    for number, (user, events) in enumerate(log.items()):
        present = [split for split in Splits.ALL if any(event[2] == split for event in events)]
        for split, later in zip(present, [*present[1:], None], strict=True):
            own = [event for event in events if event[2] == split]
            past = [event for event in events if Splits.ALL.index(event[2]) < Splits.ALL.index(split)]
            yield user, number, items(own), times(own), split, items(past), times(past), later


def items(events):
    return [item for _, item, _ in events]


def times(events):
    return [int((START + timedelta(hours=hour)).timestamp()) for hour, *_ in events]


def evidence(lake, protocol="temporal", profile=None, **run):
    """Of a train run that read the tables as they are now."""
    config = Config(
        name="t", lake={"root": "-"}, source={"events": {"path": "-"}}, split={"protocol": protocol}, profile=profile or {}
    )
    context = Context(config, lake.spark, lake, None, None, run_id="evaluate-1")
    inputs = {Tables.SEQUENCES: 4, Tables.ITEM_INDEX: 0}
    details = {"data": arrays.digest(4, arrays.known_until(context, inputs, VALID).histories)}
    trained = SimpleNamespace(**{"run_id": "train-1", "inputs": dict(inputs), "details": details} | run)
    found = Evidence(context, inputs, trained, "-")
    vars(found)["runs"] = {}
    return found


def moved(user, place, split):
    """The log with an event in another split."""
    events = list(LOG[user])
    events[place] = (*events[place][:2], split)
    return LOG | {user: events}


def test_events_in_the_wrong_split_and_examples_that_hold_later_ones(lake):
    clean = audited_data.events(evidence(lake))
    assert clean.ok and clean.checked == 9
    fill(lake, moved("u", 3, TRAIN), moved("u", 3, TRAIN))
    late = audited_data.events(evidence(lake))
    assert "1 train rows at or after the cut where it ends" in late.detail
    assert "1 events that come after one of a later split of their user" in late.detail
    by_user = audited_data.events(evidence(lake, "leave_last_out"))
    assert by_user.detail == "1 events that come after one of a later split of their user"
    more = [*LOG["u"][:2], (9, 3, TRAIN), *LOG["u"][2:]]
    fill(lake, LOG, LOG | {"u": more})
    taught = audited_data.events(evidence(lake))
    assert "3 rows of gold/sequences with other events than their split's" in taught.detail, "train, and the past of two"


def test_a_train_run_of_other_tables_or_histories(lake):
    assert audited_data.models(evidence(lake)).ok
    other = audited_data.models(evidence(lake, inputs={Tables.SEQUENCES: 99, Tables.ITEM_INDEX: 0}))
    assert other.detail.startswith("1 tables of other versions than train-1 read: gold/sequences")
    foreign = audited_data.models(evidence(lake, details={"data": "of histories with the test"}))
    assert foreign.found == 1 and foreign.detail.startswith("1 digest of the histories up to valid")


def test_statistics_that_count_what_came_later(lake):
    """User u has two events on the first day; the planted row of it counts the one of the day after as well."""
    given = {"user_id": "u", "item_id": "i0", "event_type": "buy", "is_bot": False}
    events = [given | {"event_id": f"e{hour}", "event_time": START + timedelta(hours=hour)} for hour in (1, 3, 30)]
    lake.put(Tables.EVENTS, [tuple(map(event.get, CONTRACTS[Tables.EVENTS].names)) for event in events])
    for counted, early in ((2, 0), (3, 1)):
        lake.frames[Tables.USER_STATS] = lake.spark.createDataFrame(
            [("u", START + timedelta(days=1), counted)], "user_id string, knowable_at timestamp, events_all long"
        )
        found = audited_data.features(evidence(lake))
        assert found.found == early and found.ok == (not early)
    assert found.detail == "1 rows of gold/user_stats that count events at or after their knowable_at"


def test_what_profile_wrote_feeds_no_model(lake):
    assert audited_text.descriptions(evidence(lake)).ok
    read = audited_text.descriptions(evidence(lake, inputs={Tables.SEQUENCES: 0, Tables.PORTRAITS: 3}))
    assert read.detail == "1 tables that train read and that hold later events: gold/portraits"


def test_a_description_in_a_text_or_of_another_input(lake, monkeypatch):
    """Both are made anew from silver/items, by the config of the runs that made them."""
    lake.put(Tables.ITEMS, [("i0", "tea", None, ["drinks"], None), ("i1", "lamp", None, [], None)])
    both = evidence(lake, profile={"descriptions": {"model": "catalogue"}})
    monkeypatch.setattr(Evidence, "same_config", lambda self, stage: SimpleNamespace(inputs={}))
    features, described = both.context.config.features, both.context.config.profile.descriptions
    texts = audited_text.item_text(lake.read(Tables.ITEMS), features.item_text, features.max_description)
    lake.frames[Tables.ITEM_TEXT] = texts
    rows = audited_text.describing.wanted(lake.read(Tables.ITEMS), described, "m")
    rows = rows.withColumns(
        {"description": F.lit("A thing to have."), "written_by": F.lit("model"), "written": F.lit(None).cast("string"),
         "refused": F.array().cast("array<string>"), "run_id": F.lit("profile-1")}
    )  # fmt: skip
    lake.frames[Tables.ITEM_DESCRIPTIONS] = rows
    clean = audited_text.descriptions(both)
    assert clean.ok and clean.checked == 1 + 2
    told = F.when(F.col("item_id") == "i0", F.concat("text", F.lit(" A thing to have."))).otherwise(F.col("text"))
    lake.frames[Tables.ITEM_TEXT] = texts.withColumn("text", told).withColumn("text_hash", F.sha2("text", 256))
    foreign = F.when(F.col("item_id") == "i1", F.lit("made of portraits")).otherwise(F.col("input_hash"))
    lake.frames[Tables.ITEM_DESCRIPTIONS] = rows.withColumn("input_hash", foreign)
    leak = audited_text.descriptions(both)
    assert leak.detail == (
        "1 texts of described items that are not made of silver/items alone, "
        "1 descriptions that were not written from their item's row"
    )


@pytest.mark.slow
def test_an_evaluation_that_finds_a_leak_fails_and_nothing_is_promoted(spark, tmp_path):
    """After featurize, c0's row of train gets the item that c0 is tested on; train learns from it, evaluate says so."""
    config = shop.config(tmp_path, "train.models=[popular, ease]")
    with pipeline.opened(config) as context:
        pipeline.run(context, ["ingest", "clean", "featurize"])
        rows = context.lake.read(Tables.SEQUENCES)
        test = rows.where("user_id = 'c0' AND split = 'test'").first()
        mine = F.expr("user_id = 'c0' AND split = 'train'")
        longer = {
            name: F.when(mine, F.concat(name, F.array(F.lit(test[name][0]).cast(kind)))).otherwise(F.col(name))
            for name, kind in (("items", "int"), ("times", "long"))
        }
        context.lake.overwrite(rows.withColumns(longer).localCheckpoint(), Tables.SEQUENCES)
        with pytest.raises(LeakageError, match=r"what is held out has leaked: events \(1 rows of gold/sequences") as caught:
            pipeline.run(context, ["embed", "train", "evaluate", "promote"])
        assert caught.value.exit_code == 1 and "\n" not in str(caught.value)
        found = {row.check: row for row in context.lake.read(Tables.LEAKAGE).collect()}
        assert len(found) == len(auditing.CHECKS) and not found[leakage.EVENTS].ok
        run_id = found[leakage.EVENTS].run_id
        trained = last_run(context.lake, "train").run_id
        assert auditing.refusals(context, run_id, trained)[0].startswith("leak in events: 1 rows of gold/sequences")
        assert {row.train_run for row in found.values()} == {trained}
        assert last_run(context.lake, "evaluate") is None and context.lake.read(Tables.METRICS).isEmpty()
        with pytest.raises(InputError, match="no model was fitted and judged here"):
            pipeline.run(context, ["promote"])
        assert context.lake.read(Tables.PROMOTIONS).isEmpty()


@pytest.mark.long
@pytest.mark.parametrize("protocol", ["leave_last_out", "temporal"])
def test_a_clean_shop_with_statistics_passes(spark, tmp_path, protocol):
    overrides = (
        f"split.protocol={protocol}",
        "train.models=[popular, ease, two_tower, behaviour]",
        "features.statistics=true",
    )
    short = ("train.behaviour.epochs=1", "train.two_tower.epochs=1")
    with pipeline.opened(shop.config(tmp_path, *overrides, *short)) as context:
        pipeline.run(context, ["ingest", "clean", "featurize", "embed", "train", "evaluate"])
        rows = context.lake.read(Tables.LEAKAGE).collect()
    assert len(rows) == len(auditing.CHECKS) and all(row.ok for row in rows)
    nothing = {row.check for row in rows if not row.checked}
    assert nothing <= {leakage.ADAPTATION, leakage.VOCABULARY}
