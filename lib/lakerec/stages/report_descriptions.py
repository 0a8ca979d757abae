"""What the report says about written descriptions: how many the rows bear out, and some of both kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.stages.base import Context
from lakerec.stages.describing import BY_MODEL, BY_TEMPLATE

EXAMPLES = 3


@dataclass(frozen=True)
class Descriptions:
    """Of gold/item_descriptions."""

    items: int
    by_model: int
    reasons: dict[str, int]
    """number, name, attribute: texts of the model's that had one which the row lacks."""
    kept: list[dict[str, Any]]
    """item_id, description."""
    refused: list[dict[str, Any]]
    """item_id, written, refused, description."""


def descriptions(context: Context) -> Descriptions:
    """Of the table as it is."""
    rows = context.lake.read(Tables.ITEM_DESCRIPTIONS)
    kinds = F.array_distinct(F.transform("refused", lambda reason: F.split(reason, " ")[0]))
    reasons = rows.select(F.explode(kinds).alias("kind")).groupBy("kind").count().orderBy(F.desc("count"), "kind").collect()
    counts = {row["written_by"]: row["count"] for row in rows.groupBy("written_by").count().collect()}
    ordered = rows.orderBy(F.xxhash64(C.ITEM_ID), C.ITEM_ID)

    def some(by: str) -> list[dict[str, Any]]:
        return [row.asDict() for row in ordered.where(F.col("written_by") == by).limit(EXAMPLES).collect()]

    return Descriptions(
        items=sum(counts.values()), by_model=counts.get(BY_MODEL, 0),
        reasons={row["kind"]: row["count"] for row in reasons}, kept=some(BY_MODEL), refused=some(BY_TEMPLATE),
    )  # fmt: skip
