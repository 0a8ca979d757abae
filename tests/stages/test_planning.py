"""What `lakerec plan` prints; that it plans right is told in tests/stages/test_pipeline.py."""

from types import SimpleNamespace

import pytest
from lakerec import __version__
from lakerec.columns import Tables
from lakerec.stages import base, planning


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (None, "known after a first run"),
        (0.001, "less than a minute at"),
        (0.2, "some 12 minutes at"),
        (5.26, "some 5.3 hours at"),
    ],
)
def test_a_plan_says_how_long_encoding_takes(hours, said, capsys):
    planning.print_plan({"stages": [], "embed": {"texts": 1661, "tokens": 19231, "hours": hours, "before": []}})
    printed = " ".join(capsys.readouterr().out.split())
    assert f"to embed: 1,661 distinct texts, about 19,231 tokens; time: {said}" in printed and "once" not in printed


def test_a_plan_says_that_stages_before_may_bring_more_texts(capsys):
    waiting = {"texts": 0, "tokens": 0, "hours": 0.0, "before": ["ingest", "featurize"]}
    planning.print_plan({"stages": [], "embed": waiting})
    assert capsys.readouterr().out.splitlines()[-1] == "  and what is new once ingest, featurize ran"


def test_a_plan_has_a_line_a_stage_however_many_tables_it_reads(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    rows = dict.fromkeys((Tables.METRICS, Tables.EVENTS, Tables.INTERACTIONS, Tables.PORTRAITS), 1_000_000)
    steps = [{"stage": "report", "due": True, "why": "after train", "rows": rows}, {"stage": "clean", "due": False,
             "why": "up to date", "rows": {}}]  # fmt: skip
    planning.print_plan({"stages": steps, "embed": {"texts": None, "tokens": None, "hours": None, "before": []}})
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
