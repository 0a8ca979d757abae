"""Tables of the report that are of parts of the test: by slice, by group of users, and what lists are beside right."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from lakerec.columns import Metrics, Models
from lakerec.reporting.words import PARTS

Row = dict[str, Any]
GAP = "gap:"


def by_part(metrics: list[Row]) -> tuple[list[tuple[str, int]], list[tuple[str, list[Row | None]]]]:
    """NDCG of every model in each part of `PARTS`: parts with their users, and a row a model, best first.

    Args:
        metrics: rows of eval/metrics at one k.
    """
    ndcg = {(row["model"], row["slice"]): row for row in metrics if row["metric"] == Metrics.NDCG}
    users = {name: next((row["n"] for (_, part), row in ndcg.items() if part == name), 0) for name in PARTS}
    shown = [name for name in PARTS if users[name]]
    models = sorted((row for (_, part), row in ndcg.items() if part == "all"), key=lambda row: -row["value"])
    rows = [(row["model"], [ndcg.get((row["model"], part)) for part in shown]) for row in models]
    return [(PARTS[name], users[name]) for name in shown], rows


def by_group(metrics: list[Row], chosen: str) -> list[Row]:
    """Kinds of groups of users: kind, groups (name, users, ndcg, popular; the worst off first), and how far they lie apart.

    Args:
        chosen: whose NDCG is shown, beside that of plain popularity.
    """
    ndcg = {(row["model"], row["slice"]): row for row in metrics if row["metric"] == Metrics.NDCG}
    kinds: dict[str, list[Row]] = defaultdict(list)
    for (model, part), row in ndcg.items():
        kind, named, name = part.partition(":")
        if named and model == chosen and not part.startswith(GAP):
            kinds[kind].append({"name": name, "ndcg": row, "popular": ndcg.get((Models.POPULAR, part))})
    return [
        {
            "kind": kind,
            "groups": sorted(groups, key=lambda group: group["ndcg"]["value"]),
            "gap": ndcg.get((chosen, f"{GAP}{kind}")),
        }
        for kind, groups in sorted(kinds.items())
    ]


def beyond(table: list[Row], columns: tuple[str, ...]) -> list[str]:
    """Those of the columns that some model has a value of."""
    return [name for name in columns if any(name in row for row in table)]


def off_policy(metrics: list[Row]) -> list[Row]:
    """What each model's lists would have earned: model, and the rows ips, snips and dr; the best by the last one first."""
    models: dict[str, Row] = defaultdict(dict)
    for row in metrics:
        if row["metric"] in (Metrics.IPS, Metrics.SNIPS, Metrics.DR):
            models[row["model"]][row["metric"]] = row
    rows = [{"model": model, **found} for model, found in models.items()]
    return sorted(rows, key=lambda row: -row[Metrics.DR]["value"])
