"""`lakerec drift`: how far the data moved from what the champion was fitted on, and whether to fit again.

    counts before and since (stages/drift_figures.py), recall by day (stages/drift_days.py) → ops/drift
      └─► decision (evaluation/retraining.py) → ops/runs: retrain, reasons; on Databricks a task value

It reads, writes ops/drift, and fits nothing. The exit code is 0 whatever is decided.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.evaluation.retraining import KINDS, Figure, catalogue_figures, decide, exposure_figures
from lakerec.stages import drift_days, pipeline
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, run_stage, write_own
from lakerec.stages.drift_figures import comparison, fitted, input_figures, items_of, vector_figures

NAME = "drift"


def drift(config: Config, watched: bool = False) -> dict[str, Any]:
    """Compare, decide, and record both; gives what `last` gives.

    Raises:
        InputError: no model has been fitted in this lake.
    """
    with pipeline.opened(config, watched) as context:
        fitted(context)
        with context.tracker.pipeline(NAME):
            run_stage(context, STAGE, force=True)
        result = last(context)
        assert result is not None, "it has just been decided"
        return result


def run(context: Context, inputs: Inputs) -> Result:
    config, model = context.config.drift, fitted(context)
    compared = comparison(context, inputs, model)
    ids, items = items_of(context, inputs, model, compared.part)
    judged = drift_days.days(context, inputs, model)
    figures = [
        *input_figures(context, inputs, compared),
        *vector_figures(context, inputs, model, ids, items),
        *catalogue_figures(items, config.new_items),
        *exposure_figures(items),
        *judged.figures,
    ]
    before = drift_days.earlier_days(context, model, judged.figures)
    decision = decide([*figures, *before], compared.unseen, config.minimum_events, config.metric_days)
    decided = datetime.now(UTC)
    write_own(context, [_row(context.run_id, figure, decided) for figure in figures], Tables.DRIFT)
    details = {
        "model": model.name, "compared": compared.part.told, "retrain": str(decision.retrain).lower(),
        "reasons": json.dumps(decision.reasons), "notes": json.dumps([judged.note] if judged.note else []),
    }  # fmt: skip
    metrics = {"retrain": float(decision.retrain), "drifted": float(sum(figure.drifted for figure in figures))}
    return Result(int(items.now.sum()), len(figures), details=details, metrics=metrics)


def _row(run_id: str, figure: Figure, decided: datetime) -> tuple[Any, ...]:
    """A row of ops/drift."""
    found = (figure.kind, figure.name, figure.value, figure.chance, figure.limit, figure.drifted)
    return run_id, *found, figure.before, figure.now, decided, figure.detail


def last(context: Context) -> dict[str, Any] | None:
    """What was decided last: name, run_id, model, compared, retrain, reasons, notes and rows of ops/drift; None: nothing."""
    row = last_run(context.lake, NAME)
    if row is None:
        return None
    own = context.lake.read(Tables.DRIFT).where(F.col(C.RUN_ID) == row.run_id)
    rows = [each.asDict() for each in own.drop(C.RUN_ID, C.DECIDED_AT).collect()]
    rows.sort(key=lambda each: (KINDS.index(each[C.KIND]), each[C.NAME]))
    told = row.details
    return {
        "name": context.config.name, "run_id": row.run_id, "model": told["model"], "compared": told["compared"],
        "retrain": told["retrain"] == "true", "reasons": json.loads(told["reasons"]), "notes": json.loads(told["notes"]),
        "rows": rows,
    }  # fmt: skip


def print_drift(result: dict[str, Any]) -> None:
    """Print it for people, the decision last; fits 80 columns."""
    console = Console(highlight=False)
    console.print(Text(f"{result['compared']}."))
    table = Table(box=None, padding=(0, 1))
    for name in ("kind", "figure", "value", "limit", "events", ""):
        table.add_column(name, justify="left" if name in ("kind", "figure", "") else "right")
    for row in result["rows"]:
        numbers = ("-" if row[name] is None else f"{row[name]:.3f}" for name in (C.VALUE, C.LIMIT))
        events = "-" if row[C.N_NOW] is None else f"{row[C.N_NOW]:,}"
        table.add_row(row[C.KIND], row[C.NAME], *numbers, events, "drifted" if row[C.DRIFTED] else "")
    console.print(table)
    for note in result["notes"]:
        console.print(Text(f"{note}."))
    console.print(Text(f"Retrain {result['model']}: {'yes' if result['retrain'] else 'no'}"))
    for reason in result["reasons"]:
        console.print(Text(f"- {reason}"))


STAGE = Stage(
    name=NAME,
    run=run,
    summary="how far the data moved, and whether to fit again",
    reads=(
        Tables.BRONZE_EVENTS,
        Tables.ITEMS,
        Tables.INTERACTIONS,
        Tables.ITEM_INDEX,
        Tables.ITEM_VECTORS,
        Tables.RECOMMENDATIONS,
    ),
    writes=(Tables.DRIFT,),
    sections=("drift", "promote"),
)
