"""What the report says about people: segments, their movement, a map, and some portraits; nobody by id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.reporting.plots import plane
from lakerec.reporting.words import number
from lakerec.stages.base import Context
from lakerec.stages.profile import CANDIDATES
from lakerec.vectors import block

MAPPED_USERS, PORTRAITS = 4_000, 3


@dataclass(frozen=True)
class People:
    """The last profile run."""

    segments: list[dict[str, Any]]
    """Largest first: number, name, users, share, terms (name, share, lift), came_from in words."""
    candidates: list[dict[str, Any]]
    """number, silhouette, stability of each number that was tried."""
    portraits: list[dict[str, Any]]
    """Of users with most interactions: number in gold/user_index, sentence, interests (name, share, items)."""
    points: np.ndarray | None
    """Users in the plane, float [n, 2]; a sample where there are many."""
    groups: list[str]
    """The name of each one's segment."""


def people(context: Context, run: dict[str, Any]) -> People:
    """Of a profile run's row in ops/runs."""
    found = context.lake.read(Tables.SEGMENTS).where(F.col(C.RUN_ID) == run["run_id"]).orderBy(F.desc(C.USERS)).collect()
    names = {row[C.SEGMENT]: row["name"] for row in found}
    points, groups = _map(context, names)
    first = all(set(row["came_from"]) <= {-1} for row in found)
    return People(
        segments=[{**row.asDict(recursive=True), "came_from": "–" if first else _came(row["came_from"])} for row in found],
        candidates=json.loads(run["details"].get(CANDIDATES, "[]")),
        portraits=_portraits(context),
        points=points,
        groups=groups,
    )


def _came(counts: dict[int, int]) -> str:
    """Where a segment's users were before, the most first."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{number(users)} {'new' if segment < 0 else f'from {segment}'}" for segment, users in ordered[:4])


def _map(context: Context, names: dict[int, str]) -> tuple[np.ndarray | None, list[str]]:
    vectors = context.lake.read(Tables.USER_VECTORS).where(F.col(C.VECTOR).isNotNull())
    rows = vectors.join(context.lake.read(Tables.PORTRAITS).select(C.USER_ID, C.SEGMENT), on=C.USER_ID)
    sample = rows.orderBy(F.xxhash64(C.USER_ID), C.USER_ID).limit(MAPPED_USERS).select(C.VECTOR, C.SEGMENT).toArrow()
    if not names or not len(sample):
        return None, []
    return plane(block(sample[C.VECTOR])), [names.get(segment, "") for segment in sample[C.SEGMENT].to_pylist()]


def _portraits(context: Context) -> list[dict[str, Any]]:
    rows = context.lake.read(Tables.PORTRAITS).join(context.lake.read(Tables.USER_INDEX), on=C.USER_ID)
    chosen = rows.orderBy(F.desc(C.EVENTS), C.USER).limit(PORTRAITS).select(C.USER, C.SENTENCE, C.INTERESTS)
    return [row.asDict(recursive=True) for row in chosen.collect()]
