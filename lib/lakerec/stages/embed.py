"""gold/item_text → gold/text_vectors and gold/item_vectors: each distinct text once per encoder.

distinct texts ─ anti-join (text_hash, encoder) ─► pending → slices → encode → append, slice by slice
item_text ⋈ text_vectors of this encoder → item_vectors
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.lake.platform import is_local
from lakerec.language.encoder import encoder_fingerprint
from lakerec.language.spark import encode_texts
from lakerec.stages.base import Context, Inputs, Result, Stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOKENS_PER_SECOND = "tokens_per_second"
"""Metric and detail of a run that encoded: start of the workers and writing included."""
LOCAL_SLICE, CLUSTER_SLICE = 5_000, 100_000
"""Texts committed at a time: some twenty seconds on a laptop's processor, minutes on GPUs."""


def run(context: Context, inputs: Inputs) -> Result:
    lake, config = context.lake, context.config.encoder
    encoder = fingerprint(context)
    texts = lake.read(Tables.ITEM_TEXT, inputs.get(Tables.ITEM_TEXT))
    waiting = pending(texts, lake.read(Tables.TEXT_VECTORS), encoder)
    total, done = waiting.count(), 0
    before, clock = _tokens(_vectors(context, encoder)) if total else 0, time.monotonic()
    slices = max(1, -(-total // (config.rows_per_slice or (LOCAL_SLICE if is_local(context.spark) else CLUSTER_SLICE))))
    for number in range(slices if total else 0):
        context.progress.update("texts encoded", done, total)
        part = waiting.where(F.pmod(F.xxhash64(C.TEXT_HASH), F.lit(slices)) == number) if slices > 1 else waiting
        encode_slice(context, part, f"{context.run_id}-{number}")
        done += total // slices
    seconds, vectors = time.monotonic() - clock, _vectors(context, encoder)
    tokens = _tokens(vectors)
    found = texts.join(vectors.where(F.col(C.VECTOR).isNotNull()), on=C.TEXT_HASH, how="inner")
    lake.overwrite(found.dropDuplicates([C.ITEM_ID]), Tables.ITEM_VECTORS)
    failed = vectors.where(F.col(C.ERROR).isNotNull()).count()
    details = {"encoder": encoder, "encoded": str(total), "errors": str(failed), "tokens": str(tokens)}
    metrics = {}
    if total:
        metrics = {"texts_per_second": total / seconds, TOKENS_PER_SECOND: (tokens - before) / seconds}
        details[TOKENS_PER_SECOND] = str(round(metrics[TOKENS_PER_SECOND]))
    rows_out = lake.read(Tables.ITEM_VECTORS).count()
    return Result(rows_in=texts.count(), rows_out=rows_out, details=details, metrics=metrics)


def _vectors(context: Context, encoder: str) -> DataFrame:
    """The encoder's rows of gold/text_vectors, as they are now."""
    return context.lake.read(Tables.TEXT_VECTORS).where(F.col(C.ENCODER) == encoder)


def _tokens(vectors: DataFrame) -> int:
    return int(vectors.agg(F.coalesce(F.sum(C.TOKENS), F.lit(0))).first()[0])  # type: ignore[index]


def fingerprint(context: Context) -> str:
    """Of the encoder that the config names."""
    return encoder_fingerprint(context.config.encoder)


def pending(texts: DataFrame, vectors: DataFrame, encoder: str) -> DataFrame:
    """Distinct texts (text_hash, text) that have no vector of this encoder yet."""
    known = vectors.where(F.col(C.ENCODER) == encoder).select(C.TEXT_HASH)
    distinct = texts.select(C.TEXT_HASH, C.TEXT).dropDuplicates([C.TEXT_HASH])
    return distinct.join(known, on=C.TEXT_HASH, how="left_anti")


def encode_slice(context: Context, texts: DataFrame, transaction: str) -> None:
    """Encode and append one slice."""
    config = context.config
    local = is_local(context.spark)
    # On a laptop one worker process with all threads: two with one each would load the model twice.
    partitions = config.encoder.partitions or (1 if local else context.spark.sparkContext.defaultParallelism)
    spread = texts.repartition(partitions)
    threads = max(1, context.spark.sparkContext.defaultParallelism // partitions) if local else None
    vectors = encode_texts(spread, config.encoder, threads)
    context.lake.append(vectors, Tables.TEXT_VECTORS, transaction, 1)


STAGE = Stage(
    name="embed",
    run=run,
    summary="item texts to vectors, only what is new",
    reads=(Tables.ITEM_TEXT,),
    writes=(Tables.TEXT_VECTORS, Tables.ITEM_VECTORS),
    sections=("encoder",),
    fingerprint=fingerprint,
)
