"""What the report says about labels and spans that were learned from few rows: how right they are, and what was found."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.stages.base import Context

TABLES = {"labels": Tables.PSEUDO_LABELS, "spans": Tables.PSEUDO_SPANS}
WORDS = 3
"""Words that are shown of a label."""


def learned(context: Context, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a profile run's row in ops/runs, one row a task: name, kind, labelled, precision, coverage, kept, labels.

    `labels` has label, rows and words: the most common spans of items' texts. What people wrote is not shown.
    """
    found = []
    for key, said in sorted(run["details"].items()):
        kind, _, name = key.partition(".")
        if kind in TABLES:
            figures = json.loads(said)
            told = {each: figures.get(each) for each in ("labelled", "precision", "coverage", "kept")}
            found.append({"name": name, "kind": kind, **told, "labels": _labels(context, kind, name)})
    return found


def _labels(context: Context, kind: str, name: str) -> list[dict[str, Any]]:
    """The most common label first."""
    rows = context.lake.read(TABLES[kind]).where(F.col(C.TASK) == name)
    counts = rows.groupBy(C.LABEL).count().orderBy(F.desc("count"), C.LABEL).collect()
    words: dict[str, list[str]] = {}
    if kind == "spans" and getattr(context.config.profile.spans.get(name), "of", "texts") == "items":
        each = rows.groupBy(C.LABEL, F.lower(C.TEXT).alias(C.TEXT)).count()
        order = Window.partitionBy(C.LABEL).orderBy(F.desc("count"), C.TEXT)
        for row in each.withColumn(C.RANK, F.row_number().over(order)).where(F.col(C.RANK) <= WORDS).collect():
            words.setdefault(row[C.LABEL], []).append(row[C.TEXT])
    return [{"label": row[C.LABEL], "rows": row["count"], "words": ", ".join(words.get(row[C.LABEL], []))} for row in counts]
