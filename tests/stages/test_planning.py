"""What `lakerec plan` prints; that it plans right is told in tests/stages/test_pipeline.py."""

import pytest
from lakerec.columns import Tables
from lakerec.stages import planning


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
    planning.print_plan({"stages": [], "embed": {"texts": 1661, "tokens": 19231, "hours": hours}})
    printed = " ".join(capsys.readouterr().out.split())
    assert f"to embed: 1,661 distinct texts, about 19,231 tokens; time: {said}" in printed


def test_a_plan_has_a_line_a_stage_however_many_tables_it_reads(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    rows = dict.fromkeys((Tables.METRICS, Tables.EVENTS, Tables.INTERACTIONS, Tables.PORTRAITS), 1_000_000)
    steps = [{"stage": "report", "due": True, "why": "after train", "rows": rows}, {"stage": "clean", "due": False,
             "why": "up to date", "rows": {}}]  # fmt: skip
    planning.print_plan({"stages": steps, "embed": {"texts": None, "tokens": None, "hours": None}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["report", "run", "after", "train", "4,000,000"], ["clean", "skip", "up", "to", "date"],
    ]  # fmt: skip
