"""What the report says about the gate: challenger beside champion, the leakage audit, the decisions before this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.evaluation.lists import ALL
from lakerec.stages import ledger
from lakerec.stages.base import Context
from lakerec.stages.offering import model_name

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


def gate(context: Context, rows: dict[str, dict[str, Any]]) -> Gate:
    """Of the last runs: stage → row in ops/runs."""
    compared = _of(context, Tables.COMPARISON, rows.get("promote"))
    parts = [row for row in compared if row[C.SLICE] != ALL]
    known = ledger.entries(context, model_name(context))
    return Gate(
        whole=next((row for row in compared if row[C.SLICE] == ALL), None),
        slices=sorted(parts, key=lambda row: row["gain"]),
        leakage=_of(context, Tables.LEAKAGE, rows.get("evaluate")),
        decisions=[row.asDict() for row in reversed(known[-DECISIONS:])],
    )


def _of(context: Context, table: str, run: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Rows that a run wrote."""
    if run is None:
        return []
    return [row.asDict() for row in context.lake.read(table).where(F.col(C.RUN_ID) == run[C.RUN_ID]).collect()]
