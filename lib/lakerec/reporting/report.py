"""The report: one HTML file that needs nothing else, for a manager (headline first) and an engineer (figures below)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lakerec.columns import Metrics, Models
from lakerec.reporting import parts, plots, words
from lakerec.reporting.data_page import FEW, DataPage
from lakerec.reporting.data_plots import plots_of
from lakerec.reporting.words import FEW_USERS, SLICES, TABLES, minutes, number, share

COLUMNS = (Metrics.NDCG, Metrics.HIT_RATE, Metrics.RECALL, Metrics.PRECISION, Metrics.F1, Metrics.MRR, Metrics.COVERAGE)
"""What the terminal has room for."""
WIDE = (*COLUMNS[:-1], Metrics.MAP, Metrics.COVERAGE)
BEYOND = (Metrics.NOVELTY, Metrics.DIVERSITY, Metrics.SERENDIPITY, Metrics.GINI, Metrics.POPULARITY_LIFT)
TITLES = {
    Metrics.NDCG: "NDCG", Metrics.HIT_RATE: "HR", Metrics.RECALL: "recall", Metrics.PRECISION: "precision",
    Metrics.F1: "F1", Metrics.MRR: "MRR", Metrics.MAP: "MAP", Metrics.COVERAGE: "coverage", Metrics.NOVELTY: "novelty",
    Metrics.DIVERSITY: "diversity", Metrics.SERENDIPITY: "serendipity", Metrics.GINI: "Gini",
    Metrics.POPULARITY_LIFT: "popularity lift",
}  # fmt: skip


@dataclass
class ReportData:
    """What the report shows; plain values only."""

    name: str
    k: int
    protocol: str
    made_at: str
    metrics: list[dict[str, Any]]
    """Rows of eval/metrics at `k`."""
    chosen: str
    """The model that validation liked best, or the one that was asked for."""
    promotion: dict[str, Any]
    weights: dict[str, float]
    curves: dict[str, list[dict[str, float]]]
    figures: dict[str, str]
    """Label → value: users, items, events, …"""
    stages: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    """user (never an id), history (titles), items (rank, title, reason)."""
    page: DataPage
    """What the report says about the data."""
    bots_looked_for: bool = True
    asked_for: bool = False
    """Whether `chosen` is what promote.model names."""
    single: list[dict[str, Any]] = field(default_factory=list)
    """Rows of eval/metrics that are of single events."""
    settings: dict[str, float] = field(default_factory=dict)
    """What validation chose, by model and key."""
    cold: dict[str, Any] | None = None
    """How the blend lifts cold items: bias, text, users, whole, cold and placed (before, after)."""
    slices: list[dict[str, Any]] = field(default_factory=list)
    """Slices of users that the blend tried weights of their own for: slices, name, users, common, own, error, kept."""
    start: str = ""
    """What the sequence model's fits began with; empty where there is none."""
    map_points: np.ndarray | None = None
    map_groups: list[str] = field(default_factory=list)
    gate: Any = None
    """What was compared, checked and decided (whole, slices, leakage, decisions)."""
    language: Any = None
    """How adaptation went (kept, rows, k, users, seeds, method, objectives, trained, hidden); None where it is off."""
    people: Any = None
    """Segments and portraits (segments, candidates, portraits, points, groups); None where profile is off."""
    descriptions: Any = None
    learned: list[dict[str, Any]] = field(default_factory=list)
    """Tasks of labels and spans: name, kind, labelled, precision, coverage, kept, labels (label, rows, words)."""


def table_of(metrics: list[dict[str, Any]], wanted: str = "all") -> list[dict[str, Any]]:
    """One row a model for a slice: metric → its row; best NDCG first."""
    models: dict[str, dict[str, Any]] = {}
    for row in metrics:
        if row["slice"] == wanted:
            models.setdefault(row["model"], {"model": row["model"]})[row["metric"]] = row
    return sorted(models.values(), key=lambda row: -row[Metrics.NDCG]["value"])


def render(data: ReportData, path: Path) -> Path:
    """Write the report; the file appears whole or not at all."""
    environment = Environment(
        loader=PackageLoader("lakerec.reporting", "."), autoescape=select_autoescape(), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(number=number, share=share, minutes=minutes)
    whole = table_of(data.metrics)
    html = environment.get_template("report.html").render(
        data=data, page=data.page, table=whole, best=next(row for row in whole if row["model"] == data.chosen),
        popular=next((row for row in whole if row["model"] == Models.POPULAR), None),
        columns=WIDE, titles=TITLES, meanings=words.MEANINGS, units=words.UNITS, plots=_plots(data, whole),
        slices=_slices(data.metrics), slice_words=SLICES | words.PARTS, beyond=parts.beyond(whole, BEYOND),
        parts=parts.by_part(data.metrics), groups=parts.by_group(data.metrics, data.chosen),
        earned=parts.off_policy(data.metrics),
        seeds=_seeds(data.metrics), tables=_tables(data.metrics), single=words.SINGLE, few=FEW, few_users=FEW_USERS,
        bot_words=words.BOT_WORDS, bots_looked_for=data.bots_looked_for, data_plots=plots_of(data.page.kept),
        period=f"{data.page.kept.first:%Y-%m-%d} to {data.page.kept.last:%Y-%m-%d}",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(html, encoding="utf-8")
    staged.replace(path)
    return path


def _slices(metrics: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Title and table of each part that has one of its own; no rows where nobody is in it."""
    return [(title, table_of([row for row in metrics if row["n"]], name)) for name, title in SLICES.items()]


def _tables(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NDCG of the sequence model as it is and made smaller, and by what share it differs from the first."""
    ndcg = {(row["model"], row["slice"]): row["value"] for row in metrics if row["metric"] == Metrics.NDCG}
    ways = {(Models.SEQUENCE, name): told for name, told in TABLES.items()} | {(Models.DISTILLED, "all"): words.DISTILLED}
    found = {told: ndcg[way] for way, told in ways.items() if way in ndcg}
    whole = ndcg.get((Models.SEQUENCE, "all"))
    if not whole or len(found) < 2:
        return []
    return [{"name": told, "value": value, "change": value / whole - 1} for told, value in found.items()]


def _seeds(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NDCG of each seed and their mean, a row a model."""
    rows = [row for row in metrics if row["slice"].startswith("seed") and row["metric"] == Metrics.NDCG]
    models = dict.fromkeys(row["model"] for row in rows)
    return [
        {
            "model": model,
            "values": [row["value"] for row in rows if row["model"] == model and row["slice"] != "seeds"],
            "mean": next(row for row in rows if row["model"] == model and row["slice"] == "seeds"),
        }
        for model in models
    ]


def _plots(data: ReportData, table: list[dict[str, Any]]) -> dict[str, str]:
    ndcg = [row[Metrics.NDCG] for row in table]
    made = {
        "metrics": plots.bars_with_intervals(
            data.chosen,
            [row["model"] for row in ndcg], [row["value"] for row in ndcg], [row["ci_low"] for row in ndcg],
            [row["ci_high"] for row in ndcg], f"NDCG@{data.k}, 95 % interval over users",
        ),
    }  # fmt: skip
    curves = {name: points for name, points in data.curves.items() if name != Models.DISTILLED}
    if any(curves.values()):
        made["curves"] = plots.learning_curves(curves)
    if data.map_points is not None:
        made["map"] = plots.plane_map(data.map_points, data.map_groups)
    if data.people is not None and data.people.points is not None:
        made["people"] = plots.plane_map(data.people.points, data.people.groups)
    return made
