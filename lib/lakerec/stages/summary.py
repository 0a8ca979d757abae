"""What a verb prints at its end: stages, metrics, one user's list, and where to look further."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakerec.columns import Columns as C
from lakerec.columns import Metrics, Tables
from lakerec.registry.tracking import SQLITE
from lakerec.reporting.report import COLUMNS, TITLES, table_of
from lakerec.reporting.words import FEW_USERS
from lakerec.stages.base import Context, Outcome, last_run
from lakerec.stages.examples import examples
from lakerec.stages.report import report_path

SHORT = {Metrics.PRECISION: "prec", Metrics.COVERAGE: "cover"}
FIGURES = ("rows_in", "rows_out", "rows_quarantined", "rows_duplicate")
WORDS = ("in", "out", "refused", "repeats")


def summarize(context: Context, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """A machine-readable result of the stages that were asked for."""
    names = {outcome.stage for outcome in outcomes}
    result: dict[str, Any] = {"name": context.config.name, "stages": [_stage(outcome) for outcome in outcomes]}
    if "evaluate" in names:
        result |= {"k": context.config.promote.k, "metrics": _metrics(context)}
    if "recommend" in names:
        result["example"] = next(iter(examples(context, {}, users=1)), None)
    if "promote" in names:
        result["promotion"] = _verdict(next(outcome.row["details"] for outcome in outcomes if outcome.stage == "promote"))
    if "report" in names:
        result["report"] = str(report_path(context))
    result["mlflow"] = _how_to_open(context.config.tracking.uri)
    result["mlflow_runs"] = f"#/experiments/{context.tracker.experiment_id}/runs"
    return result


def _verdict(details: dict[str, str]) -> str:
    said = "promoted" if details["promoted"] == "true" else "did not promote"
    return f"{said} {details['model']} (version {details['version']}): {'; '.join(json.loads(details['reasons']))}"


def _how_to_open(uri: str) -> str:
    """The command for a store in a file, by the program beside this Python; the address without password for a server."""
    if not uri.startswith(SQLITE):
        return re.sub(r"//[^/@]*@", "//", uri)
    program = Path(sys.executable).with_name("mlflow")
    near = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    return f"{near} ui --backend-store-uri {uri}"


def _stage(outcome: Outcome) -> dict[str, Any]:
    figures = {name: outcome.row[name] for name in FIGURES}
    base = {"stage": outcome.stage, "skipped": outcome.skipped, "run_id": outcome.run_id}
    return {**base, "seconds": round(outcome.seconds, 1), **figures, "details": outcome.row["details"]}


def _metrics(context: Context) -> list[dict[str, Any]]:
    row = last_run(context.lake, "evaluate")
    assert row is not None, "evaluate has just run"
    rows = context.lake.read(Tables.METRICS).where(
        (F.col(C.RUN_ID) == row.run_id) & (F.col(C.K) == context.config.promote.k)
    )
    return [found.asDict() for found in rows.collect()]


def print_summary(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns."""
    console = Console(highlight=False)
    console.print(_stage_table(result["stages"]) if result["stages"] else "Nothing was run: the config has that stage off.")
    if any(stage["rows_quarantined"] for stage in result["stages"]):
        console.print(Text("Refused rows are in bronze/quarantine, each with its reason; the report counts them."))
    if "metrics" in result:
        console.print(_metric_table(result["metrics"], result["k"]))
        users = next(row["n"] for row in result["metrics"] if (row["slice"], row["metric"]) == ("all", Metrics.NDCG))
        if users < FEW_USERS:
            console.print(Text(f"{users} test users tell little: read the intervals, not the order of the models."))
    if result.get("example"):
        _print_example(console, result["example"])
    if "report" in result:
        console.print(Text(f"Report  {result['report']}"), soft_wrap=True)
    if "promotion" in result:
        console.print(Text(f"Gate    {result['promotion']}"))
    console.print(Text(f"MLflow  {result['mlflow']}"), soft_wrap=True)
    if " ui " in result["mlflow"]:
        console.print(Text(f"        then open http://127.0.0.1:5000/{result['mlflow_runs']}"))


def print_line(result: dict[str, Any]) -> None:
    """Print one line of what arrived, and what else ran."""
    first, *others = result["stages"]
    said = zip(FIGURES, ("rows in", "kept", "refused", "repeats"), strict=True)
    words = ", ".join(f"{first[name]:,} {word}" for name, word in said)
    took = ", ".join(f"{stage['stage']} {stage['seconds']:.1f} s" for stage in (first, *others) if not stage["skipped"])
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {words}; {took}", flush=True)  # noqa: T201


def _stage_table(stages: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 1))
    dropped = [_dropped(stage["details"]) for stage in stages]
    more = ["left out"] if any(dropped) else []
    for name in ("stage", *WORDS, *more, "seconds"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, left_out in zip(stages, dropped, strict=True):
        seconds = "up to date" if stage["skipped"] else f"{stage['seconds']:.1f}"
        cells = [f"{stage[name]:,}" for name in FIGURES] + [f"{left_out:,}" for _ in more]
        table.add_row(stage["stage"], *cells, seconds)
    return table


def _dropped(details: dict[str, str]) -> int:
    """Rows that rules of the sources left out."""
    return sum(int(value) for name, value in details.items() if name.endswith(".dropped"))


def _metric_table(metrics: list[dict[str, Any]], k: int) -> Table:
    """Model × metric, values without their leading zero so that all seven fit."""
    title = f"Test users, full ranking, @{k}, ± 95 % interval; validation chooses, so the first need not serve"
    table = Table(box=None, padding=(0, 1), title=title, title_justify="left")
    table.add_column("model")
    for name in COLUMNS:
        table.add_column(SHORT.get(name, TITLES[name]), justify="right")
    for row in table_of(metrics):
        cells = [_cell(row[name]) for name in COLUMNS]
        table.add_row(row["model"], *cells)
    return table


def _cell(row: dict[str, Any]) -> Text:
    value = Text(_short(row["value"], 4))
    if row["ci_low"] is not None:
        value.append(f"\n±{_short((row['ci_high'] - row['ci_low']) / 2, 4)}", style="dim")
    return value


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def _print_example(console: Console, example: dict[str, Any]) -> None:
    console.print(Text(f"\nFor user {example['user']}, who last met {' · '.join(example['history'][:3])}:"))
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(justify="right")
    table.add_column(max_width=30)
    table.add_column(style="dim")
    for item in example["items"]:
        table.add_row(str(item["rank"]), Text(item["title"]), Text(item["reason"]))
    console.print(table)
    console.print()
