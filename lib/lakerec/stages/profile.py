"""Interactions and item vectors → gold/user_vectors, gold/portraits, gold/segments: people as their behaviour shows them.

Labels (stages/labels.py) and spans (stages/spans.py) from few labelled rows come first, where the config names any.

    interactions, weights halving by age ─ ⋈ item vectors ─► user vectors ─ sample → number, centres ─► segments
                                         ─ ⋈ items ────────► interests, rhythm, liking, price band, a sentence → portraits

Everything is of the last event of all. Nothing here feeds the evaluation: it holds events of every split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError
from lakerec.features import people
from lakerec.models.segments import Segmentation, nearest, numbered, segment
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context, Inputs, Result, Stage, write_own
from lakerec.stages.describing import describe
from lakerec.stages.encoding import encode, vectors_of
from lakerec.stages.labels import label
from lakerec.stages.log import event
from lakerec.stages.outside import state
from lakerec.stages.sentiment import felt
from lakerec.stages.spans import find_spans
from lakerec.vectors import block

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CANDIDATES = "candidates"
"""Detail: the numbers of segments that were tried, with silhouette and stability."""
TERMS = 3
"""Terms that name a segment."""
LEAST_SHARE = 0.02
"""Of a segment's weight, that a term must have to name it."""


def run(context: Context, inputs: Inputs) -> Result:
    details, metrics = label(context, inputs)
    for said, figures in (find_spans(context), describe(context, inputs)):
        details, metrics = details | said, metrics | figures
    interactions = context.lake.read(Tables.INTERACTIONS, inputs.get(Tables.INTERACTIONS))
    if context.config.profile.people:
        found = _people(context, inputs, interactions)
        best = max(found.candidates, key=lambda each: each.score) if found else None
        details |= {CANDIDATES: json.dumps([asdict(each) for each in found.candidates] if found else [])}
        metrics |= {"silhouette": best.silhouette, "stability": best.stability} if best else {}
        metrics |= {"segments": float(best.number if best else 0)}
    portraits = context.lake.read(Tables.PORTRAITS).count()
    return Result(rows_in=interactions.count(), rows_out=portraits, details=details, metrics=metrics)


def _people(context: Context, inputs: Inputs, interactions: DataFrame) -> Segmentation | None:
    """Write user vectors, portraits and segments; gives how they were segmented, where they were."""
    lake = context.lake
    weighted = people.recent_weight(interactions, context.config.profile.half_life_days)
    lake.overwrite(_user_vectors(context, inputs, weighted), Tables.USER_VECTORS)
    users = lake.read(Tables.USER_VECTORS).where(F.col(C.VECTOR).isNotNull())
    found = _segmentation(context, users)
    encoder = users.select(C.ENCODER).first() if found else None
    numbers = _numbers(context, found, encoder[C.ENCODER]) if found and encoder else []
    before = lake.read(Tables.PORTRAITS).select(C.USER_ID, F.col(C.SEGMENT).alias(C.PREVIOUS_SEGMENT)).localCheckpoint()
    nobody = users.select(C.USER_ID, F.lit(None).cast("int").alias(C.SEGMENT))
    assigned = _assigned(users, found, numbers) if found else nobody
    lake.overwrite(_portraits(context, inputs, interactions, weighted, assigned), Tables.PORTRAITS)
    if found and encoder:
        _write_segments(context, found, numbers, before, encoder[C.ENCODER])
    return found


def _user_vectors(context: Context, inputs: Inputs, weighted: DataFrame) -> DataFrame:
    """Rows of gold/user_vectors: everybody with an interaction.

    Raises:
        EmptyDataError: no item has a vector.
    """
    items = context.lake.read(Tables.ITEM_VECTORS, inputs.get(Tables.ITEM_VECTORS))
    first = items.select(C.ENCODER).first()
    if first is None:
        raise EmptyDataError("profile.people needs item vectors: run `lakerec embed` first")
    vectors = people.mean_vectors(weighted, items, C.ITEM_ID)
    moments = weighted.groupBy(C.USER_ID).agg(F.max(C.EVENT_TIME).alias(C.KNOWABLE_AT))
    found = moments.join(vectors, on=C.USER_ID, how="left").withColumn(C.ENCODER, F.lit(first[C.ENCODER]))
    if not context.config.profile.user_text:
        return found.withColumn(C.TEXT_VECTOR, F.lit(None).cast("array<float>"))
    own = _own_text(context, inputs).withColumnRenamed(C.VECTOR, C.TEXT_VECTOR)
    return found.join(own, on=C.USER_ID, how="left")


def _own_text(context: Context, inputs: Inputs) -> DataFrame:
    """user_id, vector: of what each user wrote, by the encoder of the items' texts."""
    lake, config = context.lake, context.config.profile
    kept = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS)).where(F.col(C.USER_ID).isNotNull())
    said = lake.read(Tables.BRONZE_EVENTS).select(C.EVENT_ID, C.CONTEXT).dropDuplicates([C.EVENT_ID])
    texts = F.explode(
        F.array_compact(F.array(*(F.nullif(F.trim(F.col(C.CONTEXT)[name]), F.lit("")) for name in config.user_text)))
    )
    rows = kept.join(said, on=C.EVENT_ID).select(C.USER_ID, C.EVENT_TIME, F.lit(1.0).alias(C.WEIGHT), texts.alias(C.TEXT))
    rows = rows.withColumn(C.TEXT_HASH, F.sha2(C.TEXT, 256))
    done = encode(context, rows, chosen_encoder(context))
    vectors = vectors_of(context, done.encoder).where(F.col(C.VECTOR).isNotNull())
    return people.mean_vectors(people.recent_weight(rows, config.half_life_days), vectors, C.TEXT_HASH)


def _segmentation(context: Context, users: DataFrame) -> Segmentation | None:
    """Of a sample of users by a digest of their id; None where it is off, or there are too few users."""
    config = context.config.profile
    if not config.segments:
        return None
    sample = users.orderBy(F.xxhash64(C.USER_ID), C.USER_ID).limit(config.sample).select(C.VECTOR).toArrow()
    vectors = block(sample[C.VECTOR])
    least = 2 * min(config.segments) + 1
    if len(vectors) < least:
        event("profile", context.run_id, "too few users for segments", users=len(vectors), least=least)
        return None
    return segment(vectors, config.segments, context.config.seed)


def _numbers(context: Context, found: Segmentation, encoder: str) -> list[int]:
    """The segments' numbers: those of the last run that told any, where it told the same ones by the same encoder.

    Others get numbers that no segment ever had.
    """
    context.lake.ensure(Tables.SEGMENTS)  # one of an older lakerec gains what is read below
    told = context.lake.read(Tables.SEGMENTS).where(F.col(C.RUN_ID) != context.run_id)
    runs = context.lake.read(Tables.RUNS).select(C.RUN_ID, "started_at")
    last = told.select(C.RUN_ID).distinct().join(runs, on=C.RUN_ID).agg(F.max_by(C.RUN_ID, "started_at")).first()
    rows = told.where((F.col(C.RUN_ID) == (last[0] if last else None)) & (F.col(C.ENCODER) == encoder)).collect()
    most = told.agg(F.max(C.SEGMENT)).first()
    used = [most[0]] if most and most[0] is not None else []
    before = np.array([row[C.VECTOR] for row in rows]).reshape(-1, found.centres.shape[1])
    return numbered(found.centres, before, [row[C.SEGMENT] for row in rows], used)


def _assigned(users: DataFrame, found: Segmentation, numbers: list[int]) -> DataFrame:
    """user_id, segment: the nearest centre, for every user with a vector."""
    centres, names = found.centres, np.array(numbers, dtype=np.int32)

    def assign(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                own = names[nearest(block(batch.column(C.VECTOR)), centres)]
                yield pa.RecordBatch.from_pydict({C.USER_ID: batch.column(C.USER_ID), C.SEGMENT: pa.array(own)})

    return users.select(C.USER_ID, C.VECTOR).mapInArrow(assign, f"{C.USER_ID} string, {C.SEGMENT} int")


def _portraits(
    context: Context, inputs: Inputs, interactions: DataFrame, weighted: DataFrame, assigned: DataFrame
) -> DataFrame:
    """Rows of gold/portraits."""
    lake, config = context.lake, context.config.profile
    items = lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    known = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS))
    if config.sentiment is not None:
        known = felt(context, known, config.sentiment)
    moments = interactions.groupBy(C.USER_ID).agg(F.max(C.EVENT_TIME).alias(C.KNOWABLE_AT))
    rows = people.rhythm(interactions).join(moments, on=C.USER_ID)
    rows = rows.join(people.interests(weighted, items, config.interests, config.evidence), on=C.USER_ID, how="left")
    rows = rows.join(people.liking(known, items), on=C.USER_ID, how="left").join(assigned, on=C.USER_ID, how="left")
    rows = rows.join(_price_bands(context), on=C.USER_ID, how="left")
    return rows.withColumn(C.SENTENCE, sentence())


def _price_bands(context: Context) -> DataFrame:
    """user_id, price_band_mean: the last one of gold/user_stats."""
    stats = context.lake.read(Tables.USER_STATS)
    return stats.groupBy(C.USER_ID).agg(F.max_by(C.PRICE_BAND_MEAN, C.DAY).alias(C.PRICE_BAND_MEAN))


def sentence() -> Column:
    """A portrait's other columns in words."""
    best = F.slice(C.INTERESTS, 1, 2)
    share = F.round(F.aggregate(best, F.lit(0.0), lambda total, each: total + each["share"]) * 100).cast("int")
    names = F.array_join(F.transform(best, lambda each: each["name"]), " and ")
    such = F.array_join(F.array_distinct(F.transform(best, lambda each: each[C.ITEMS][0])), " and ")
    what = F.when(
        F.size(C.INTERESTS) > 0, F.concat(F.lit("mostly "), names, F.lit(" ("), share, F.lit(" %), such as "), such)
    )
    liked = F.when(
        (F.size(C.LIKING) > 0) & (F.col(C.LIKING)[0]["above"] > 0),
        F.concat(F.lit("values "), F.col(C.LIKING)[0]["name"], F.lit(" most")),
    )
    when = F.concat(F.lit("most often at "), C.HOUR, F.lit(" h UTC"))
    days = F.when(F.col(C.WEEKEND_SHARE) > 0.5, ", at weekends").otherwise("")
    days_between = F.concat(F.ceil(C.DAYS_BETWEEN), F.when(F.ceil(C.DAYS_BETWEEN) == 1, " day").otherwise(" days"))
    pause = F.when(F.col(C.DAYS_BETWEEN) > 0, F.concat(F.lit("back after some "), days_between))
    price = F.when(F.col(C.PRICE_BAND_MEAN).isNotNull(), F.concat(F.lit("price band "), F.round(C.PRICE_BAND_MEAN, 1)))
    count = F.concat(F.col(C.EVENTS), F.when(F.col(C.EVENTS) == 1, " interaction").otherwise(" interactions"))
    return F.array_join(F.array_compact(F.array(count, what, liked, F.concat(when, days), pause, price)), "; ")


def _write_segments(context: Context, found: Segmentation, numbers: list[int], before: DataFrame, encoder: str) -> None:
    """Rows of gold/segments of this run: sizes, names, and where their users were before."""
    portraits = context.lake.read(Tables.PORTRAITS).where(F.col(C.SEGMENT).isNotNull())
    terms = _terms(portraits)
    moved = portraits.join(before, on=C.USER_ID, how="left").select(
        C.SEGMENT, F.coalesce(C.PREVIOUS_SEGMENT, F.lit(-1)).alias("was")
    )
    counts: dict[int, dict[int, int]] = {}
    for row in moved.groupBy(C.SEGMENT, "was").count().collect():
        counts.setdefault(row[C.SEGMENT], {})[row["was"]] = row["count"]
    users = sum(sum(each.values()) for each in counts.values())
    rows = []
    for number, centre in zip(numbers, found.centres, strict=True):
        own, size = terms.get(number, []), sum(counts.get(number, {}).values())
        name = ", ".join(term for term, *_ in own) or f"segment {number}"
        where = size, size / max(1, users), own, centre.tolist(), counts.get(number, {}), encoder
        rows.append((context.run_id, number, name, *where))
    write_own(context, rows, Tables.SEGMENTS)


def _terms(portraits: DataFrame) -> dict[int, list[tuple[Any, ...]]]:
    """Interests that distinguish each segment: share there × log of (share there / share with all), the highest first."""
    flat = portraits.select(C.SEGMENT, C.USER_ID, F.explode(C.INTERESTS).alias("_one")).select(
        C.SEGMENT, "_one.name", "_one.share"
    )
    users = portraits.groupBy(C.SEGMENT).agg(F.count("*").alias("_users"))
    inside = flat.groupBy(C.SEGMENT, "name").agg(F.sum("share").alias("_sum")).join(users, on=C.SEGMENT)
    everywhere = Window.partitionBy("name")
    all_users = users.agg(F.sum("_users").alias("_all"))
    shares = inside.crossJoin(F.broadcast(all_users)).select(
        C.SEGMENT, "name", (F.col("_sum") / F.col("_users")).alias("share"),
        (F.sum("_sum").over(everywhere) / F.col("_all")).alias("_whole"),
    )  # fmt: skip
    lifted = shares.withColumn("lift", F.col("share") / F.col("_whole")).where(F.col("share") >= LEAST_SHARE)
    order = Window.partitionBy(C.SEGMENT).orderBy(F.desc(F.col("share") * F.log("lift")), "name")
    best = lifted.withColumn(C.RANK, F.row_number().over(order)).where((F.col(C.RANK) <= TERMS) & (F.col("lift") > 1))
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in best.orderBy(C.SEGMENT, C.RANK).collect():
        found.setdefault(row[C.SEGMENT], []).append((row["name"], row["share"], row["lift"]))
    return found


def _outside(context: Context) -> str:
    """Of the tables that people labelled, as they lie now."""
    config = context.config.profile
    tasks = (("labels", config.labels), ("spans", config.spans))
    return state(context.spark, {f"profile.{kind}.{name}": task for kind, found in tasks for name, task in found.items()})


STAGE = Stage(
    name="profile",
    run=run,
    summary="people: vectors, portraits, segments; labels and spans from few labelled rows",
    reads=(Tables.INTERACTIONS, Tables.ITEM_VECTORS, Tables.ITEMS, Tables.EVENTS),
    writes=(
        Tables.USER_VECTORS,
        Tables.PORTRAITS,
        Tables.SEGMENTS,
        Tables.PSEUDO_LABELS,
        Tables.LABEL_REQUESTS,
        Tables.PSEUDO_SPANS,
        Tables.ITEM_DESCRIPTIONS,
    ),
    sections=("profile", "encoder", "adapt"),
    after=("embed",),
    fingerprint=_outside,
    wanted=lambda config: (
        config.profile.people
        or bool(config.profile.labels or config.profile.spans)
        or config.profile.descriptions is not None
    ),
)
