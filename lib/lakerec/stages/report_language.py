"""What the report says about adaptation: how well text alone finds items that nobody had met, before and after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.evaluation.intervals import interval_over_seeds
from lakerec.stages.adopting import KEPT
from lakerec.stages.base import Context

WORDS = {
    "random": "by chance", "popular": "most popular first", "base": "encoder as it came", "adapted": "adapted encoder",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """The last adapt run."""

    kept: bool
    rows: list[dict[str, Any]]
    """One a model: name, and (mean, low, high) of recall by (split, candidates)."""
    k: int
    users: int
    seeds: int
    method: str
    objectives: str
    trained: float
    """Share of the weights that were trained."""
    hidden: float


def language(context: Context, run: dict[str, Any]) -> Language:
    """Of an adapt run's row in ops/runs."""
    found = context.lake.read(Tables.COLD_RETRIEVAL).where(F.col(C.RUN_ID) == run["run_id"])
    values: dict[str, dict[tuple[str, str], list[float]]] = {name: {} for name in WORDS}
    rows = found.orderBy(C.SEED).collect()
    for row in rows:
        values[row[C.MODEL]].setdefault((row[C.SPLIT], row[C.CANDIDATES]), []).append(row[C.VALUE])
    details, config = run["details"], context.config.adapt
    return Language(
        kept=details[KEPT] == "true",
        rows=[
            {"name": WORDS[name], **{"_".join(key): interval_over_seeds(np.array(each)) for key, each in by.items()}}
            for name, by in values.items()
        ],
        k=rows[0][C.K],
        users=round(float(np.mean([row[C.N] for row in rows]))),
        seeds=len(json.loads(details["curves"])),
        method=config.method,
        objectives=", ".join(f"{name} {weight:g}" for name, weight in config.objectives.items()),
        trained=int(details["trained"]) / max(1, int(details["parameters"])),
        hidden=config.hidden,
    )
