"""`lakerec drift` on tables that are shown in full, and on a shop whose customers and goods change."""

import json
from dataclasses import replace

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.errors import InputError
from lakerec.evaluation.retraining import catalogue_figures
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import conform
from lakerec.registry.tracking import Tracker
from lakerec.stages import drift_days, drift_figures, drifting, pipeline
from lakerec.stages.base import Context, last_run
from pyspark.sql import functions as F

from tests import shop

pytestmark = pytest.mark.spark
RUNS = [
    # run, stage, started, details
    ("clean-1", "clean", "2024-01-02 01:00:00", {}),
    ("featurize-1", "featurize", "2024-01-02 02:00:00", {"items": "3"}),
    ("clean-2", "clean", "2024-01-02 02:30:00", {}),
    ("train-1", "train", "2024-01-02 03:00:00", {"folder": "-", "encoder": "e"}),
    ("evaluate-1", "evaluate", "2024-01-02 04:00:00", {"train_run": "train-1"}),
    ("drift-0", "drift", "2024-01-03 04:00:00", {"model": "lakerec-t/1"}),
    ("drift-x", "drift", "2024-01-03 05:00:00", {"model": "lakerec-t/0"}),
]
EVENTS = [
    # user, item, read at; the one of half past one came after the cleaning that the training saw
    *[("ann", "a", "2024-01-01 12:00:00")] * 30, *[("bob", "b", "2024-01-01 12:00:00")] * 10,
    ("bob", "b", "2024-01-02 01:30:00"), *[("cat", "b", "2024-01-03 12:00:00")] * 20,
    *[("cat", "new", "2024-01-03 12:00:00")] * 9,
]  # fmt: skip
INDEX = [("a", 0), ("b", 1), ("c", 2), ("new", 3)]
VECTORS = [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [1.0, 0.0])]
LISTS = [
    # user, rank, item
    ("ann", 1, "b"), ("ann", 2, "c"), ("bob", 1, "a"), ("cat", 1, "a"),
]  # fmt: skip
METRICS = [("evaluate-1", "ease", "all", "recall", 10, 0.9, 0.8)]
JUDGED = [
    # run, kind, name, value, limit, drifted, users
    ("drift-0", "metric", "2024-01-02", 0.1, 0.8, True, 5),
    ("drift-0", "metric", "2024-01-03", 0.2, None, False, 5),
    ("drift-0", "metric", "2024-01-04", 0.9, 0.8, False, 7),
    ("drift-0", "catalogue", "new items", 0.1, 0.8, False, 5),
    ("drift-x", "metric", "2024-01-01", 0.1, 0.8, True, 5),
]
TAKEN = [
    # user, item, event time; the lists are of the third
    ("ann", "a", "2024-01-01 12:00:00"), ("ann", "a", "2024-01-04 12:00:00"), ("ann", "b", "2024-01-04 13:00:00"),
    ("ann", "new", "2024-01-04 14:00:00"), ("bob", "c", "2024-01-04 15:00:00"), ("bob", "a", "2024-01-05 09:00:00"),
    ("bob", "a", "2024-01-06 09:00:00"), ("zoe", "a", "2024-01-05 10:00:00"), ("cat", "a", "2024-01-07 10:00:00"),
]  # fmt: skip


class Frames:
    """The tables above, read as those of a lake."""

    def __init__(self, spark):
        names = {
            Tables.RUNS: (RUNS, "run_id string, stage string, started_at string, details map<string,string>"),
            Tables.BRONZE_EVENTS: (EVENTS, "user_id string, item_id string, ingested_at string"),
            Tables.ITEM_INDEX: (INDEX, "item_id string, item int"),
            Tables.ITEMS: ([("a",), ("new",), ("b",)], "item_id string"),
            Tables.ITEM_VECTORS: (VECTORS, "item_id string, vector array<float>"),
            Tables.RECOMMENDATIONS: (LISTS, "user_id string, rank int, item_id string"),
            Tables.INTERACTIONS: (TAKEN, "user_id string, item_id string, event_time string"),
            Tables.DRIFT: (
                JUDGED,
                "run_id string, kind string, name string, value double, limit double, drifted boolean, n_now long",
            ),
            Tables.METRICS: (
                METRICS, "run_id string, model string, slice string, metric string, k int, value double, ci_low double"
            ),
        }  # fmt: skip
        more = {
            Tables.BRONZE_EVENTS: {"event_time": F.col("ingested_at"), "event_type": F.lit("view")},
            Tables.ITEM_VECTORS: {"encoder": F.lit("e")},
            Tables.RECOMMENDATIONS: {"model_version": F.lit("lakerec-t/1"), "generated_at": F.lit("2024-01-03")},
        }
        self.spark = spark
        self.frames = {
            table: self._whole(table, spark.createDataFrame(rows, schema).withColumns(more.get(table, {})))
            for table, (rows, schema) in names.items()
        }

    def _whole(self, table, rows):
        missing = [name for name in CONTRACTS[table].names if name not in rows.columns]
        return conform(rows.withColumns({name: F.lit(None) for name in missing}), CONTRACTS[table])

    def read(self, table, version=None):
        return self.frames.get(table) or self.spark.createDataFrame([], CONTRACTS[table].schema)


@pytest.fixture(scope="module")
def context(spark, tmp_path_factory):
    store = {"uri": f"sqlite:///{tmp_path_factory.mktemp('drift')}/mlflow.db"}
    config = Config(name="t", lake={"root": "-"}, tracking=store, source={"events": {"path": "-"}})
    return Context(config, spark, Frames(spark), Tracker(config.tracking, "t"), None, run_id="drift-1")


def test_what_a_model_saw_is_told_by_the_cleaning_before_it(context):
    model = drift_figures.fitted(context)
    assert (model.run.run_id, model.version, model.items) == ("train-1", None, 3)
    compared = drift_figures.comparison(context, {}, model)
    assert compared.part.told == "The events that came since train-1 was fitted, against those before"
    assert (compared.unseen, compared.anew) == (30, False), "the event that came after the first cleaning among them"


def test_events_are_counted_on_both_sides_and_items_with_what_is_known_of_them(context):
    model = drift_figures.fitted(context)
    compared = drift_figures.comparison(context, {}, model)
    ids, items = drift_figures.items_of(context, {}, model, compared.part)
    assert ids.tolist() == ["a", "b", "c", "new"]
    assert {name: np.array(values).astype(int).tolist() for name, values in vars(items).items()} == {
        "before": [30, 10, 0, 0], "now": [0, 21, 0, 9], "shown": [2, 1, 1, 0], "indexed": [1, 1, 1, 1],
        "known": [1, 1, 1, 0], "described": [1, 1, 0, 1], "embedded": [1, 1, 1, 0],
    }  # fmt: skip
    found = {figure.name: figure for figure in drift_figures.input_figures(context, {}, compared)}
    assert found["popular and rare items"].drifted and found["popular and rare items"].reason
    assert (found["popular and rare items"].before, found["popular and rare items"].now) == (40, 21)
    assert found["events on items not met before"].value == 9 / 30
    assert found["events on items not met before"].limit is None
    unknown = next(figure for figure in catalogue_figures(items, 0.05) if figure.name == "events on unknown items")
    assert (unknown.value, unknown.drifted) == (9 / 30, True)


def test_vectors_are_those_of_the_events_and_another_encoder_is_a_reason(context):
    model = drift_figures.fitted(context)
    compared = drift_figures.comparison(context, {}, model)
    items = drift_figures.items_of(context, {}, model, compared.part)
    encoder, mmd, cosine = drift_figures.vector_figures(context, {}, model, *items)
    assert (encoder.drifted, encoder.detail) == (False, "e")
    assert (mmd.before, mmd.now, mmd.drifted) == (40, 21, True), "three quarters of them at a right angle"
    assert cosine.value == pytest.approx(np.sqrt(0.1)), "of (3, 1) and (0, 1)"
    other = replace(model, run=model.run.__class__(**{**model.run.asDict(), "details": {"encoder": "old"}}))
    encoder, *_ = drift_figures.vector_figures(context, {}, other, *items)
    assert (encoder.drifted, encoder.detail) == (True, "old → e") and "cannot place new items" in encoder.reason


def test_lists_are_judged_by_new_items_of_their_users_day_by_day(context):
    """On the fourth Ann takes b, which is in her list, and new, which is not, and Bob c, which is not; on the fifth Bob
    takes a. What somebody had met, and who has no list, is not looked at; the last day is not over."""
    model = replace(drift_figures.fitted(context), version="lakerec-t/1", model="ease")
    found = drift_days.days(context, {}, model)
    assert [(day.name, day.value, day.now, day.limit, day.drifted) for day in found.figures] == [
        ("2024-01-04", 0.25, 2, 0.8, True), ("2024-01-05", 1.0, 1, 0.8, False), ("2024-01-07", 1.0, 1, None, False),
    ]  # fmt: skip
    other = replace(model, version="lakerec-t/2")
    assert "the lists are of lakerec-t/1, which is not the champion" in drift_days.days(context, {}, other).note


def test_days_of_earlier_runs_on_the_same_model_count_where_the_present_lists_say_nothing_of_them(context):
    model = replace(drift_figures.fitted(context), version="lakerec-t/1", model="ease")
    present = drift_days.days(context, {}, model).figures
    (day,) = drift_days.earlier_days(context, model, present)
    assert (day.name, day.value, day.limit, day.drifted, day.now) == ("2024-01-02", 0.1, 0.8, True, 5)


def test_a_lake_without_a_model_is_told_what_to_run(spark, tmp_path):
    with pytest.raises(InputError, match="no model has been fitted in this lake: run `lakerec run` first"):
        drifting.drift(shop.config(tmp_path))
    assert not (tmp_path / "mlflow.db").exists()


def test_text_fits_80_columns_and_ends_with_the_decision(capsys):
    row = {"kind": "exposure", "name": "events and places by popularity", "value": 0.1234, "chance": 0.1, "limit": 0.25,
           "drifted": True, "n_before": 1, "n_now": 1_234_567, "detail": ""}  # fmt: skip
    told = {"compared": "These against those", "model": "m/1", "retrain": True, "reasons": ["so"], "notes": ["not that"]}
    drifting.print_drift({**told, "rows": [row, {**row, "chance": None, "limit": None, "drifted": False}]})
    lines = capsys.readouterr().out.splitlines()
    assert any("events and places by popularity" in line and "drifted" in line for line in lines), "no row is wrapped"
    assert max(map(len, lines)) <= 80 and lines[-2:] == ["Retrain m/1: yes", "- so"] and "not that." in lines


@pytest.mark.slow
def test_a_shop_that_stays_as_it_is_is_left_alone_and_one_that_changes_is_fitted_again(spark, tmp_path):
    config = shop.config(tmp_path, "train.models=[content]")
    with pipeline.opened(config) as context:
        pipeline.run(context, pipeline.ORDER[:-1])
    calm = drifting.drift(config)
    assert (calm["retrain"], calm["model"]) == (False, "lakerec-shop/1")
    assert calm["reasons"] == [
        "0 events have come since the last training, whether its model serves or not: "
        "nothing is decided below 100 (drift.minimum_events)"
    ]
    assert "compares the last quarter of its time" in calm["compared"]
    lines = [f"c{number % 40},{'p3' if number % 2 else f'n{number % 5}'},2024-02-01 10:{number % 60:02d}:00,1"
             for number in range(200)]  # fmt: skip
    (tmp_path / "raw" / "events" / "day-2.csv").write_text("\n".join(["customer,product,at,quantity", *lines]) + "\n")
    with pipeline.opened(config) as context:
        pipeline.run(context, ("ingest", "clean", "featurize"))
    moved = drifting.drift(config)
    assert moved["retrain"] and moved["compared"].startswith("The events that came since lakerec-shop/1 was fitted")
    reasons = " ".join(moved["reasons"])
    for reason in ("popular and rare items", "of the new events are on items that the model does not know", "MMD²"):
        assert reason in reasons
    rows = {(row["kind"], row["name"]): row for row in moved["rows"]}
    assert {kind for kind, _ in rows} == {"inputs", "vectors", "catalogue", "exposure"}
    assert moved["notes"] == ["metric by day: no events since the lists were made"]
    assert rows["catalogue", "new items"]["detail"] == "5 of 37 items"
    with pipeline.opened(config) as context:
        row = last_run(context.lake, "drift")
        assert (row.details["retrain"], json.loads(row.details["reasons"])) == ("true", moved["reasons"])
        assert row.tracking_run and context.lake.read(Tables.DRIFT).select("run_id").distinct().count() == 2
        assert [stage.name for stage, _ in pipeline.plan(context)] == [
            each for each in pipeline.ORDER if each not in ("adapt", "profile")
        ]
