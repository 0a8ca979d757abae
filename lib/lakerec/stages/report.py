"""Gather what the last runs left in the lake, and render the report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import ConfigError
from lakerec.evaluation.engagement import NO_LIST
from lakerec.reporting.data_page import DataPage
from lakerec.reporting.plots import plane
from lakerec.reporting.report import ReportData, render
from lakerec.reporting.words import number, share
from lakerec.stages import arrays
from lakerec.stages.adopting import ADAPT
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run
from lakerec.stages.examples import examples
from lakerec.stages.offering import judged, offered
from lakerec.stages.report_arrivals import arrivals, bots, newest_batches, refused, tags
from lakerec.stages.report_descriptions import descriptions
from lakerec.stages.report_drift import drift
from lakerec.stages.report_events import distributions
from lakerec.stages.report_gate import gate
from lakerec.stages.report_labels import learned
from lakerec.stages.report_language import language
from lakerec.stages.report_people import people

STAGES = ("ingest", "clean", "featurize", "adapt", "embed", "profile", "train", "evaluate", "promote", "recommend")
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
    run = F.col(C.RUN_ID) == rows["evaluate"]["run_id"]
    metrics = [row.asDict() for row in context.lake.read(Tables.METRICS).where(run & F.col(C.K).isin(k, NO_LIST)).collect()]
    trained = rows["train"]["details"]
    points, groups = _map(context, inputs)
    page = data_page(context, inputs)
    return ReportData(
        name=config.name,
        k=k,
        protocol=config.split.protocol.replace("_", " "),
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        metrics=[row for row in metrics if row[C.K] == k],
        single=[row for row in metrics if row[C.K] == NO_LIST],
        asked_for=config.promote.model is not None,
        chosen=offered(trained, config.promote.model),
        promotion=_promotion(rows),
        weights=json.loads(trained["weights"]),
        settings=json.loads(trained.get("settings", "{}")),
        slices=json.loads(trained.get("slices", "[]")),
        cold=json.loads(trained.get("cold", "null")),
        start=json.loads(trained.get("start", "{}")).get("told", ""),
        curves=json.loads(trained["curves"]),
        figures=_figures(context, inputs, rows, page),
        stages=list(rows.values()),
        examples=_examples(context, inputs),
        page=page,
        bots_looked_for=config.clean.bots.looks,
        map_points=points,
        map_groups=groups,
        gate=gate(context, rows),
        language=language(context, rows[ADAPT]) if ADAPT in rows and config.adapt.objectives else None,
        people=people(context, rows["profile"]) if "profile" in rows and config.profile.people else None,
        learned=learned(context, rows["profile"]) if "profile" in rows else [],
        descriptions=descriptions(context) if "profile" in rows and config.profile.descriptions else None,
    )


def _promotion(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if "promote" not in rows:
        return {}
    details = rows["promote"]["details"]
    return {**details, "promoted": details["promoted"] == "true", "reasons": json.loads(details["reasons"])}


def data_page(context: Context, inputs: Inputs) -> DataPage:
    """What the report says about the data: a dozen passes, none of which collects a row a user, item or event."""
    kept = distributions(context, inputs)
    arrived = arrivals(context)
    events = context.lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS))
    return DataPage(
        arrivals=arrived,
        batches=newest_batches(context),
        refused=refused(context, inputs, {row[C.SOURCE]: row["rows_in"] for row in arrived}),
        tags=tags(events, kept.events),
        bots=bots(events),
        kept=kept,
        drift=drift(context, inputs, kept.first, kept.last),
    )


def _figures(context: Context, inputs: Inputs, rows: dict[str, dict[str, Any]], page: DataPage) -> dict[str, str]:
    """Tiles: label → value, of what models learn from."""
    interactions = context.lake.read(Tables.INTERACTIONS, inputs.get(Tables.INTERACTIONS))
    each = interactions.groupBy(C.USER).agg(F.count("*").alias(C.EVENTS), F.countDistinct(C.ITEM).alias(C.ITEMS))
    users, events, pairs = each.agg(F.count("*"), F.sum(C.EVENTS), F.sum(C.ITEMS)).collect()[0]
    items = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX)).count()
    return {
        "users": number(users),
        "items": number(items),
        "interactions": number(events or 0),
        "sessions": number(page.kept.sessions.number),
        "density": share((pairs or 0) / max(1, users * items)),
        "test users": number(int(rows["evaluate"]["details"]["users"])),
    }


def _examples(context: Context, inputs: Inputs) -> list[dict[str, Any]]:
    """Lists of some users, who are called by their number."""
    return [{**example, "user": f"no. {example['number']}"} for example in examples(context, inputs)]


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
        Tables.RECOMMENDATIONS, Tables.EVENTS, Tables.BRONZE_EVENTS, Tables.FILES, Tables.INTERACTIONS,
        Tables.COMPARISON, Tables.LEAKAGE, Tables.PROMOTIONS, Tables.DRIFT, Tables.BACKTEST,
    ),
    sections=("report", "promote", "adapt", "profile"),
    after=STAGES,
    makes="path",
)  # fmt: skip
