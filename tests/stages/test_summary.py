"""What a verb prints at its end; fits 80 columns."""

import pytest
from lakerec.columns import Metrics
from lakerec.stages.summary import print_summary

from tests.pages import metric


def stage(name, refused=0):
    figures = {"rows_in": 12, "rows_out": 10, "rows_quarantined": refused, "rows_duplicate": 0}
    return {"stage": name, "skipped": False, "seconds": 1.0, "details": {}, **figures}


def shown(capsys, monkeypatch, **more):
    monkeypatch.setenv("COLUMNS", "80")
    print_summary({"stages": [stage("ingest")], "mlflow": "mlflow ui --x", "mlflow_runs": "#/experiments/7/runs", **more})
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    return " ".join(out.split())


def test_the_address_is_that_of_the_experiments_runs(capsys, monkeypatch):
    assert "then open http://127.0.0.1:5000/#/experiments/7/runs" in shown(capsys, monkeypatch)


@pytest.mark.parametrize("refused", [0, 2])
def test_where_refused_rows_are_is_said_if_there_are_some(capsys, monkeypatch, refused):
    text = shown(capsys, monkeypatch, stages=[stage("ingest", refused)])
    assert ("Refused rows are in bronze/quarantine" in text) == bool(refused)


@pytest.mark.parametrize(("users", "told"), [(13, True), (100, False)])
def test_few_test_users_are_said_however_many_items_there_are(capsys, monkeypatch, users, told):
    rows = [metric("ease", name, 0.1) | {"n": 5_000 if name == Metrics.COVERAGE else users} for name in Metrics.ALL]
    text = shown(capsys, monkeypatch, metrics=rows, k=10)
    assert (f"{users} test users tell little" in text) == told
