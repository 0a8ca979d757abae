"""Gather what the last runs left in the lake, and render the report."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import ConfigError
from lakerec.models.data import Histories
from lakerec.reporting.plots import plane
from lakerec.reporting.report import ReportData, render
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run
from lakerec.stages.examples import examples
from lakerec.stages.promote import best_by_validation, judged

STAGES = ("ingest", "clean", "featurize", "embed", "train", "evaluate", "promote", "recommend")
MAPPED_ITEMS = 4_000


def run(context: Context, inputs: Inputs) -> Result:
    judged(context, inputs)
    rows = {name: row.asDict() for name in STAGES if (row := last_run(context.lake, name)) is not None}
    data = gather(context, inputs, rows)
    path = render(data, report_path(context))
    context.tracker.log_artifact(path)
    return Result(rows_in=len(data.metrics), rows_out=1, details={"path": str(path)})


def report_path(context: Context) -> Path:
    """Where the report goes.

    Raises:
        ConfigError: the lake is no local folder and `report.path` is not given.
    """
    if context.config.report.path is not None:
        return Path(context.config.report.path)
    root = context.lake.root
    if root is None or not root.startswith("/"):
        raise ConfigError("report.path: name a file, since the lake is no local folder to put the report beside")
    return Path(root).parent / "report.html"


def gather(context: Context, inputs: Inputs, rows: dict[str, dict[str, Any]]) -> ReportData:
    """What the report shows."""
    config, k = context.config, context.config.promote.k
    metrics = context.lake.read(Tables.METRICS).where((F.col(C.RUN_ID) == rows["evaluate"]["run_id"]) & (F.col(C.K) == k))
    trained = rows["train"]["details"]
    points, groups = _map(context, inputs)
    histories = arrays.known_until(context, inputs, Splits.TEST).histories
    return ReportData(
        name=config.name,
        k=k,
        protocol=config.split.protocol.replace("_", " "),
        period=_period(context),
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        metrics=[row.asDict() for row in metrics.collect()],
        chosen=best_by_validation(trained),
        promotion=_promotion(rows),
        weights=json.loads(trained["weights"]),
        curves=json.loads(trained["curves"]),
        figures=_figures(context, inputs, rows, histories),
        quarantine=refused(context),
        stages=list(rows.values()),
        examples=examples(context, inputs),
        events_per_user=histories.lengths,
        map_points=points,
        map_groups=groups,
    )


def _promotion(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if "promote" not in rows:
        return {}
    details = rows["promote"]["details"]
    return {**details, "promoted": details["promoted"] == "true", "reasons": json.loads(details["reasons"])}


def _period(context: Context) -> str:
    """First and last day of the events that are kept."""
    first, last = context.lake.read(Tables.EVENTS).agg(F.min(C.EVENT_TIME), F.max(C.EVENT_TIME)).first()  # type: ignore[misc]
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _figures(context: Context, inputs: Inputs, rows: dict[str, dict[str, Any]], histories: Histories) -> dict[str, str]:
    """Tiles: label → value."""
    lengths = histories.lengths
    items = len(arrays.item_ids(context, inputs))
    sessions = context.lake.read(Tables.EVENTS).agg(F.countDistinct(C.SESSION_ID)).first()[0]  # type: ignore[index]
    users = np.repeat(np.arange(len(lengths)), lengths)
    density = len(np.unique(users * items + histories.items)) / max(1, len(lengths) * items)
    return {
        "users": f"{len(lengths):,}",
        "items": f"{items:,}",
        "interactions": f"{int(lengths.sum()):,}",
        "sessions": f"{sessions:,}",
        "density": f"{density:.2%}",
        "test users": rows["evaluate"]["details"]["users"],
    }


def refused(context: Context) -> list[dict[str, Any]]:
    """Refused rows by source and reason, with one example whose letters and digits are masked."""
    reason = F.explode(C.REASONS).alias("reason")
    rows = context.lake.read(Tables.QUARANTINE).select(C.SOURCE, reason, C.RAW)
    counted = rows.groupBy(C.SOURCE, "reason").agg(F.count("*").alias("rows"), F.min(C.RAW).alias("example"))
    found = [row.asDict() for row in counted.orderBy(F.col("rows").desc(), "reason").collect()]
    return [{**row, "example": mask(row["example"] or "")[:160]} for row in found]


def mask(text: str) -> str:
    """The shape of a row without its values: letters become x, digits 0; the names of a JSON object's columns stay.

    >>> mask('{"id": "Ann-17"}')
    '{"id": "xxx-00"}'
    >>> mask("Ann-17,5")
    'xxx-00,0'
    """
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if isinstance(row, dict):
        return json.dumps({name: mask(f"{value}") for name, value in row.items()}, ensure_ascii=False)
    return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))


def _map(context: Context, inputs: Inputs) -> tuple[np.ndarray | None, list[str]]:
    """Item vectors in the plane with each item's first category, a seeded sample where there are many."""
    size = len(arrays.item_ids(context, inputs))
    vectors = arrays.item_vectors(context, inputs, size)
    if vectors is None:
        return None, []
    _, categories = arrays.descriptions(context, inputs)
    known = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)
    if len(known) > MAPPED_ITEMS:
        known = np.sort(np.random.default_rng(context.config.seed).choice(known, MAPPED_ITEMS, replace=False))
    return plane(vectors[known]), [categories[item][0] if categories[item] else "" for item in known]


STAGE = Stage(
    name="report",
    run=run,
    summary="one self-contained HTML page",
    reads=(
        Tables.METRICS, Tables.QUARANTINE, Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEM_VECTORS, Tables.ITEMS,
        Tables.RECOMMENDATIONS,
    ),
    sections=("report", "promote"),
    after=STAGES,
    makes="path",
)  # fmt: skip
