"""Counts on both sides of a model's training, as figures: inputs, vectors, catalogue, exposure.

    ops/runs → when the cleaning began whose rows the model saw ─► events read before │ events read since
    bronze/events, gold/item_index, gold/item_vectors, silver/items, serve/recommendations → one row an item → figures

All is counted in Spark; one row an item of the catalogue, and the vectors of the events that were drawn, come to the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import InputError
from lakerec.evaluation.discrepancy import centroid_cosine, discrepancy, draw
from lakerec.evaluation.retraining import INPUTS, VECTORS, Figure, Items, beyond
from lakerec.registry import gate
from lakerec.reporting.drift_table import DISTANCES, KS, POPULARITY, PSI, TYPES, VALUES, Change, changes
from lakerec.stages import arrays, starting
from lakerec.stages.base import Context, Inputs, last_run
from lakerec.stages.counting import utc
from lakerec.stages.evaluate import TRAIN_RUN
from lakerec.stages.offering import model_name
from lakerec.stages.report_arrivals import ARRIVED
from lakerec.stages.report_drift import NOW, Part, counts_of, divided, newest_part

if TYPE_CHECKING:
    from pyspark.sql import Row

SAMPLE = 1_000
"""Events of each side whose vectors are compared, at most."""
FEWEST = 20
"""Events with a vector that each side must have for that."""
COUNTED = {"shown": Tables.RECOMMENDATIONS, "described": Tables.ITEMS, "embedded": Tables.ITEM_VECTORS}
"""What the number of an item's rows in a table tells."""
BEHAVIOUR = (TYPES, VALUES, POPULARITY)
"""Inputs that tell what users do, which training learns; the others tell of the log, and training would not mend them."""


@dataclass(frozen=True)
class Fitted:
    """What is judged: the champion, or where nothing serves what was fitted last."""

    run: Row
    """Its train run."""
    version: str | None
    """Registered name and version of the champion."""
    model: str | None
    """Which of the run's models serves."""
    until: int
    """Events that were read later are new to it; epoch microseconds."""
    items: int
    """Size of the item index then: it knows the items of lower numbers, since numbers are never changed."""

    @property
    def name(self) -> str:
        return self.version or str(self.run.run_id)


@dataclass(frozen=True)
class Comparison:
    """Which events are compared with which."""

    part: Part
    unseen: int
    """Events that no training has seen."""
    anew: bool
    """Whether all events were read anew since the model was fitted, so that which are new is not known."""


def fitted(context: Context) -> Fitted:
    """The model that is judged.

    Raises:
        InputError: none was fitted.
    """
    last = last_run(context.lake, "train")
    if last is None:
        raise InputError("no model has been fitted in this lake: run `lakerec run` first")
    name = model_name(context.config)
    champion = gate.alias_version(context.tracker, name, gate.CHAMPION)
    tags = {} if champion is None else gate.tags_of(context.tracker, name, champion)
    runs = context.lake.read(Tables.RUNS).where((F.col("stage") == "train") & (F.col(C.RUN_ID) == tags.get(TRAIN_RUN, "")))
    its = runs.first()
    if its is None:
        return Fitted(last, None, None, *_seen(context, last.run_id))
    return Fitted(its, f"{name}/{champion}", tags.get("model"), *_seen(context, its.run_id))


def _seen(context: Context, run_id: str) -> tuple[int, int]:
    """When the cleaning began whose rows a train run saw, epoch microseconds; and the items in the index then."""
    at = F.unix_micros("started_at").alias("at")
    rows = context.lake.read(Tables.RUNS).where(F.col("stage").isin("clean", "featurize", "train"))
    found = rows.select("stage", C.RUN_ID, "details", at).collect()
    trained = next(row.at for row in found if row.run_id == run_id)
    before = {
        stage: sorted((row for row in found if row.stage == stage and row.at < trained), key=lambda row: row.at)
        for stage in ("clean", "featurize")
    }
    featurized = before["featurize"][-1]
    return [row.at for row in before["clean"] if row.at < featurized.at][-1], int(featurized.details["items"])


def comparison(context: Context, inputs: Inputs, model: Fitted) -> Comparison:
    """The events that came since against those before; where none came, or all were read anew, the newest part of them."""
    last = last_run(context.lake, "train")
    assert last is not None, "a model has been fitted"
    read_at, time = F.unix_micros(C.INGESTED_AT), F.unix_micros(C.EVENT_TIME)
    bronze = context.lake.read(Tables.BRONZE_EVENTS, inputs.get(Tables.BRONZE_EVENTS))
    since, unseen = F.count_if(read_at > model.until), F.count_if(read_at > _seen(context, last.run_id)[0])
    row = bronze.agg(F.count("*"), since, unseen, F.min(time), F.max(time)).collect()[0]
    if row[1] in (0, row[0]):
        part = newest_part(context, utc(row[3]), utc(row[4]))
        return Comparison(part, row[2], anew=bool(row[1]))
    told = f"The events that came since {model.name} was fitted, against those before"
    return Comparison(Part(read_at > model.until, F.col(ARRIVED) > model.until, told), row[2], anew=False)


def input_figures(context: Context, inputs: Inputs, compared: Comparison) -> list[Figure]:
    """What the report says of its last batch, of this comparison."""
    limits = {PSI: context.config.drift.psi, KS: DISTANCES[1]}
    found = [_input(each, limits.get(each.scale)) for each in changes(counts_of(context, inputs, compared.part))]
    if compared.anew:
        reason = "all events were read anew since the model was fitted, so that which of them are new to it is not known"
        found.append(Figure(INPUTS, "read anew", 1.0, None, 1.0, True, detail="every event", reason=reason))
    return found


def _input(change: Change, limit: float | None) -> Figure:
    drifted, told = beyond(change.value, limit, change.chance), f"{change.before} → {change.now}"
    reason = f"{change.what}: {told}, {change.measure} (limit: {limit})" if change.what in BEHAVIOUR else ""
    return Figure(INPUTS, change.what, change.value, change.chance, limit, drifted, *change.sizes, told, reason)


def items_of(context: Context, inputs: Inputs, model: Fitted, part: Part) -> tuple[np.ndarray, Items]:
    """External ids, object [n], and what is known of each item."""
    index = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX)).select(C.ITEM_ID, C.ITEM)
    events = divided(context, inputs, part).groupBy(C.ITEM_ID)
    sides = events.agg((F.count("*") - F.sum(NOW)).alias("before"), F.sum(NOW).alias("now"))
    rows = index.join(sides, on=C.ITEM_ID, how="full")
    for name, table in COUNTED.items():
        counted = context.lake.read(table, inputs.get(table)).groupBy(C.ITEM_ID).agg(F.count("*").alias(name))
        rows = rows.join(counted, on=C.ITEM_ID, how="left")
    found = rows.fillna(-1, [C.ITEM]).fillna(0).orderBy(C.ITEM_ID).toArrow()
    column = {name: found[name].to_numpy() for name in found.column_names}
    indexed = column[C.ITEM] >= 0
    return column[C.ITEM_ID], Items(
        column["before"], column["now"], column["shown"], indexed, known=indexed & (column[C.ITEM] < model.items),
        described=column["described"] > 0, embedded=column["embedded"] > 0,
    )  # fmt: skip


def vector_figures(context: Context, inputs: Inputs, model: Fitted, ids: np.ndarray, items: Items) -> list[Figure]:
    """Whether the events lie elsewhere among the items' vectors, and whether these are of the encoder that the model knows.

    Args:
        ids: external ids of `items`, object [n].
    """
    then, today = model.run.details.get(starting.ENCODER, ""), starting.encoder_of(context, inputs)
    other = then != today
    reason = "the item vectors are of another encoder than the model knows: it cannot place new items" if other else ""
    told = f"{then or 'none'} → {today or 'none'}" if other else today or "none"
    figures = [Figure(VECTORS, "other encoder", float(other), None, 1.0, other, detail=told, reason=reason)]
    config, seed = context.config.drift, context.config.seed
    drawn = [draw(side * items.embedded, SAMPLE, seed) for side in (items.before, items.now)]
    before, now = len(drawn[0]), len(drawn[1])
    if min(before, now) < FEWEST:
        return figures
    rows = _vectors(context, inputs, ids, np.concatenate(drawn))
    found = discrepancy(rows[:before], rows[before:], seed)
    drifted = beyond(found.mmd, config.mmd, found.chance) and found.p < config.p
    cosine = centroid_cosine(rows[:before], rows[before:])
    reason = f"the events moved among the item vectors: MMD² {found.mmd:.3f}, p {found.p:.3f} (limit: {config.mmd})"
    return [
        *figures,
        Figure(VECTORS, "MMD²", found.mmd, found.chance, config.mmd, drifted, before, now, f"p {found.p:.3f}", reason),
        Figure(VECTORS, "cosine of the centroids", cosine, before=before, now=now, detail="1: the same direction"),
    ]


def _vectors(context: Context, inputs: Inputs, ids: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """float32 [len(drawn), d] of the items at these places of `ids`, all of which have one."""
    places, back = np.unique(drawn, return_inverse=True)
    asked = [(str(ids[place]), number) for number, place in enumerate(places)]
    wanted = context.spark.createDataFrame(asked, f"{C.ITEM_ID} string, {C.ITEM} int")
    vectors = context.lake.read(Tables.ITEM_VECTORS, inputs.get(Tables.ITEM_VECTORS))
    return arrays.by_index(vectors.join(F.broadcast(wanted), on=C.ITEM_ID), len(places))[back]
