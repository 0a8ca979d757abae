"""What the report says about the gate: challenger beside champion, the audit, decisions; and what was asked beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.evaluation.lists import ALL
from lakerec.stages import backtest, drifting, ledger
from lakerec.stages.base import Context, last_run
from lakerec.stages.offering import model_name
from lakerec.stages.recommend import FAITHFULNESS

DECISIONS = 5


@dataclass(frozen=True)
class Gate:
    """What was compared, checked and decided."""

    whole: dict[str, Any] | None = None
    """Row of eval/comparison for all users; None where nothing served to compare with."""
    slices: list[dict[str, Any]] = field(default_factory=list)
    """The others, those that lose most first."""
    leakage: list[dict[str, Any]] = field(default_factory=list)
    """Rows of eval/leakage."""
    decisions: list[dict[str, Any]] = field(default_factory=list)
    """The newest rows of ops/promotions, newest first."""
    drift: dict[str, Any] | None = None
    """What `lakerec drift` decided last, and when; None: nobody asked."""
    backtest: dict[str, Any] | None = None
    """What `lakerec backtest` found last (cutoffs, models: values, agreement, users, metric, k); None: nobody asked."""
    faithfulness: dict[str, Any] | None = None
    """How far scores fall without the evidence that reasons name (users, named, drawn, ci_low, ci_high)."""


def gate(context: Context, rows: dict[str, dict[str, Any]]) -> Gate:
    """Of the last runs: stage → row in ops/runs."""
    compared = _of(context, Tables.COMPARISON, rows.get("promote"))
    parts = [row for row in compared if row[C.SLICE] != ALL]
    known = ledger.entries(context, model_name(context.config))
    return Gate(
        whole=next((row for row in compared if row[C.SLICE] == ALL), None),
        slices=sorted(parts, key=lambda row: row["gain"]),
        leakage=_of(context, Tables.LEAKAGE, rows.get("evaluate")),
        decisions=[row.asDict() for row in reversed(known[-DECISIONS:])],
        drift=_drift(context),
        backtest=_backtest(context),
        faithfulness=json.loads(rows.get("recommend", {}).get("details", {}).get(FAITHFULNESS, "null")),
    )


def _drift(context: Context) -> dict[str, Any] | None:
    run, found = last_run(context.lake, drifting.NAME), drifting.last(context)
    return None if run is None or found is None else {**found, "looked_at": run.started_at}


def _backtest(context: Context) -> dict[str, Any] | None:
    run = last_run(context.lake, backtest.NAME)
    return None if run is None else backtest.told(context, run.run_id, run.details)


def _of(context: Context, table: str, run: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Rows that a run wrote."""
    if run is None:
        return []
    return [row.asDict() for row in context.lake.read(table).where(F.col(C.RUN_ID) == run[C.RUN_ID]).collect()]
