"""What `lakerec plan` prints; that it plans right is told in tests/stages/test_pipeline.py."""

from types import SimpleNamespace

import pytest
from lakerec import __version__
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages import base, planning
from lakerec.stages.base import Context
from pyspark.sql import functions as F

from tests.small_models import small_bert


@pytest.mark.parametrize(
    ("hours", "tried", "said"),
    [
        (None, 0, "known after a first run"),
        (0.001, 0, "less than a minute at the last run's speed"),
        (0.2, 0, "some 12 minutes at"),
        (5.26, 0, "some 5.3 hours at"),
        (5.26, 64, "some 5.3 hours as fast as 64 of them just now"),
    ],
)
def test_a_plan_says_how_long_encoding_takes(hours, tried, said, capsys):
    planning.print_plan(
        {"stages": [], "embed": {"texts": 1661, "tokens": 19231, "hours": hours, "tried": tried, "before": []}}
    )
    printed = " ".join(capsys.readouterr().out.split())
    assert f"to embed: 1,661 distinct texts, about 19,231 tokens; time: {said}" in printed and "once" not in printed


def test_a_plan_says_that_stages_before_may_bring_more_texts(capsys):
    waiting = {"texts": 0, "tokens": 0, "hours": 0.0, "tried": 0, "before": ["ingest", "featurize"]}
    planning.print_plan({"stages": [], "embed": waiting})
    assert capsys.readouterr().out.splitlines()[-1] == "  and what is new once ingest, featurize ran"


@pytest.mark.spark
def test_where_no_run_has_told_how_fast_encoding_is_some_texts_are_tried(spark, lake, tmp_path):
    rows = [(name, f"a text of {name}", f"hash {name}") for name in "abc"]
    frame = spark.createDataFrame(rows, "item_id string, text string, text_hash string")
    others = {name: F.lit(None) for name in CONTRACTS[Tables.ITEM_TEXT].names if name not in frame.columns}
    lake.overwrite(frame.withColumns(others), Tables.ITEM_TEXT)
    model = {"model": small_bert(tmp_path), "precision": "fp32"}
    config = Config(name="t", lake=lake.config, source={"events": {"path": "-"}}, encoder=model)
    found = planning._texts(Context(config, spark, lake, None, None))
    assert (found["texts"], found["tokens"], found["tried"]) == (3, 3 * 6, 3) and 0 < found["hours"] < 1


def test_a_plan_has_a_line_a_stage_however_many_tables_it_reads(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    rows = dict.fromkeys((Tables.METRICS, Tables.EVENTS, Tables.INTERACTIONS, Tables.PORTRAITS), 1_000_000)
    steps = [{"stage": "report", "due": True, "why": "after train", "rows": rows}, {"stage": "clean", "due": False,
             "why": "up to date", "rows": {}}]  # fmt: skip
    planning.print_plan({"stages": steps, "embed": {"texts": None, "tokens": None, "hours": None, "tried": 0, "before": []}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["report", "run", "after", "train", "4,000,000"], ["clean", "skip", "up", "to", "date"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("named", "inputs", "said"),
    [
        ({}, {}, "gold/item_vectors is gone"),
        ({"after": ("train", "evaluate")}, {Tables.ITEM_VECTORS: 1}, "train ran again or evaluate ran again"),
        ({"fingerprint": str}, {Tables.ITEM_VECTORS: 1}, "its files changed"),
    ],
)
def test_a_stage_that_is_due_says_why(named, inputs, said):
    last = SimpleNamespace(code=__version__, config_digest="d", inputs={Tables.ITEM_VECTORS: 1}, outputs={})
    stage = base.Stage(name="any", run=lambda *_: base.Result(), summary="", **named)
    assert base._why(stage, last, inputs, {}, "d") == said
