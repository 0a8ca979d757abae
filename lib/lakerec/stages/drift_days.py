"""The served lists judged by what their users took afterwards: recall by day, beside that of the evaluation.

    serve/recommendations (made at) + gold/interactions later than that → items new to the user → in the list? → by day

Lists replace one another, so a day before they were made is known from earlier runs, in ops/drift. Recall and not the hit
rate is compared: that grows with the number of items a user takes, and so with the length of what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Metrics, Tables
from lakerec.evaluation.lists import ALL
from lakerec.evaluation.retraining import METRIC, Figure, day_figure
from lakerec.stages.base import Context, Inputs
from lakerec.stages.drift_figures import Fitted
from lakerec.stages.evaluate import TRAIN_RUN

DAY_RECALL, HIT, FIRST = "_recall", "_hit", "_first"


@dataclass(frozen=True)
class Days:
    """Figures of the days since the present lists were made."""

    figures: list[Figure] = field(default_factory=list)
    note: str = ""
    """Why there are none, in words."""


def days(context: Context, inputs: Inputs, model: Fitted) -> Days:
    """Judge the champion's lists; its newest day is not over, so nothing is decided by it."""
    lists = context.lake.read(Tables.RECOMMENDATIONS, inputs.get(Tables.RECOMMENDATIONS))
    made = lists.agg(F.unix_micros(F.max(C.GENERATED_AT)), F.max(C.MODEL_VERSION)).collect()[0]
    if made[0] is None:
        return Days(note="metric by day: no lists have been made")
    if made[1] != model.version:
        return Days(note=f"metric by day: the lists are of {made[1]}, which is not the champion")
    k = max((k for k in context.config.evaluate.k if k <= context.config.recommend.k), default=context.config.recommend.k)
    found = _by_day(context, inputs, made[0], k)
    if not found:
        return Days(note="metric by day: no events since the lists were made")
    evaluated = _evaluated(context, model, k)
    over = [day_figure(str(day), recall, users, evaluated) for day, recall, users in found[:-1]]
    return Days([*over, day_figure(str(found[-1][0]), *found[-1][1:], None)])


def _by_day(context: Context, inputs: Inputs, made: int, k: int) -> list[tuple[date, float, int]]:
    """Day, mean recall at k, users who took something new on it; the oldest day first.

    Args:
        made: when the lists were, epoch microseconds.
    """
    lists = context.lake.read(Tables.RECOMMENDATIONS, inputs.get(Tables.RECOMMENDATIONS))
    taken = context.lake.read(Tables.INTERACTIONS, inputs.get(Tables.INTERACTIONS))
    taken = taken.join(lists.select(C.USER_ID).distinct(), on=C.USER_ID, how="left_semi")
    first = taken.groupBy(C.USER_ID, C.ITEM_ID).agg(F.min(C.EVENT_TIME).alias(FIRST))
    new = first.where(F.unix_micros(FIRST) > made)
    shown = lists.where(F.col(C.RANK) <= k).select(C.USER_ID, C.ITEM_ID, F.lit(1.0).alias(HIT))
    judged = new.join(shown, on=[C.USER_ID, C.ITEM_ID], how="left").withColumn(C.DAY, F.to_date(FIRST))
    recall = judged.groupBy(C.DAY, C.USER_ID).agg(F.mean(F.coalesce(HIT, F.lit(0.0))).alias(DAY_RECALL))
    by_day = recall.groupBy(C.DAY).agg(F.mean(DAY_RECALL), F.count("*")).orderBy(C.DAY)
    return [tuple(row) for row in by_day.collect()]


def _evaluated(context: Context, model: Fitted, k: int) -> tuple[float, float] | None:
    """Recall at k of the champion on the test users, and the lower end of its interval; None where it was not evaluated."""
    runs = context.lake.read(Tables.RUNS).where("stage = 'evaluate'")
    its = runs.where(F.col("details")[TRAIN_RUN] == model.run.run_id).orderBy(F.col("started_at").desc()).first()
    if its is None:
        return None
    rows = context.lake.read(Tables.METRICS).where(
        (F.col(C.RUN_ID) == its.run_id) & (F.col(C.MODEL) == model.model) & (F.col(C.SLICE) == ALL)
        & (F.col(C.METRIC) == Metrics.RECALL) & (F.col(C.K) == k)
    )  # fmt: skip
    row = rows.first()
    return None if row is None else (float(row[C.VALUE]), float(row[C.CI_LOW]))


def earlier_days(context: Context, model: Fitted, present: list[Figure]) -> list[Figure]:
    """Days of earlier runs on this model's lists that `present` lacks; of several rows of a day that of most users."""
    runs = context.lake.read(Tables.RUNS).where((F.col("stage") == "drift") & (F.col("details")["model"] == model.name))
    rows = context.lake.read(Tables.DRIFT).where((F.col(C.KIND) == METRIC) & F.col(C.LIMIT).isNotNull())
    own = rows.join(runs.select(C.RUN_ID), on=C.RUN_ID, how="left_semi")
    most = own.groupBy(C.NAME).agg(F.max_by(F.struct(C.VALUE, C.CHANCE, C.LIMIT, C.DRIFTED, C.N_NOW), C.N_NOW).alias("row"))
    known = {figure.name for figure in present}
    return [
        Figure(METRIC, name, row[C.VALUE], row[C.CHANCE], row[C.LIMIT], row[C.DRIFTED], now=row[C.N_NOW])
        for name, row in most.collect()
        if name not in known
    ]
