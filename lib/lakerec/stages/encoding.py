"""Distinct texts → gold/text_vectors, each once per encoder, and what that took.

distinct texts ─ anti-join (text_hash, encoder) ─► pending → slices → encode → append, slice by slice
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import EncoderConfig
from lakerec.errors import LakeError
from lakerec.lake.platform import is_local, slots
from lakerec.language.encoder import GPU_HELD, encoder_fingerprint
from lakerec.language.spark import encode_texts, workers_problems
from lakerec.stages.base import Context

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOKENS_PER_SECOND = "tokens_per_second"
"""Metric and detail of a run that encoded: start of the workers and writing included."""
TRIES = 5
LOCAL_SLICE, CLUSTER_SLICE, GPU_SLICE = 5_000, 100_000, 4 * GPU_HELD
"""Texts committed at a time: some twenty seconds on a laptop's processor, minutes on a cluster's, on GPUs so many of each: a
task tokenizes the next of its blocks while the model has one."""


@dataclass(frozen=True)
class Work:
    """What a model did for some texts."""

    tokens: int = 0
    padded: int = 0
    """Tokens with the padding of their batches."""
    seconds: float = 0.0
    """That the model took, over all tasks and the batches that each runs at a time."""
    errors: int = 0
    """Texts that it could not encode."""

    def __sub__(self, before: Work) -> Work:
        less = (mine - theirs for mine, theirs in zip(astuple(self), astuple(before), strict=True))
        return Work(*less)


@dataclass(frozen=True)
class Encoding:
    """Vectors of an encoder for all texts that were asked for."""

    encoder: str
    """Fingerprint."""
    encoded: int
    """Texts that had no vector before."""
    work: Work
    """Over all texts that the encoder ever encoded here."""
    speeds: dict[str, float] = field(default_factory=dict)
    """Of this run, where it encoded any."""


def encode(context: Context, texts: DataFrame, config: EncoderConfig) -> Encoding:
    """Give every text of `texts` (text_hash, text) a row of this encoder in gold/text_vectors.

    Raises:
        EnvironmentProblem: the encoder's files changed meanwhile, or a worker has others; what was committed before stays.
    """
    encoder = encoder_fingerprint(config)
    context.lake.ensure(Tables.TEXT_VECTORS)  # one of an older lakerec gains what is read below
    total = pending(texts, context.lake.read(Tables.TEXT_VECTORS), encoder).count()
    before, clock = _work(vectors_of(context, encoder)), time.monotonic()
    if not total:
        return Encoding(encoder, 0, before)
    slices = max(1, -(-total // (config.rows_per_slice or _slice(context, config))))
    for number in range(slices):
        if slices == 1:
            context.progress.update(f"encoding {total:,} texts", 0, None)
        else:
            context.progress.update("texts encoded", number * (total // slices), total)
        part = texts.where(F.pmod(F.xxhash64(C.TEXT_HASH), F.lit(slices)) == number) if slices > 1 else texts
        _encode_slice(context, part, config, encoder)
    seconds, work = time.monotonic() - clock, _work(vectors_of(context, encoder))
    return Encoding(encoder, total, work, _speeds(context, config, total, seconds, work - before))


def _slice(context: Context, config: EncoderConfig) -> int:
    """Distinct texts that are committed at a time, where the config leaves it open."""
    if is_local(context.spark):
        return LOCAL_SLICE
    return (
        max(CLUSTER_SLICE, GPU_SLICE * slots(context.spark, config.gpus_per_task)) if config.gpus_per_task else CLUSTER_SLICE
    )


def vectors_of(context: Context, encoder: str) -> DataFrame:
    """The encoder's rows of gold/text_vectors, as they are now."""
    return context.lake.read(Tables.TEXT_VECTORS).where(F.col(C.ENCODER) == encoder)


def pending(texts: DataFrame, vectors: DataFrame, encoder: str) -> DataFrame:
    """Distinct texts (text_hash, text) that have no vector of this encoder yet."""
    known = vectors.where(F.col(C.ENCODER) == encoder).select(C.TEXT_HASH)
    distinct = texts.select(C.TEXT_HASH, C.TEXT).dropDuplicates([C.TEXT_HASH])
    return distinct.join(known, on=C.TEXT_HASH, how="left_anti")


def _encode_slice(context: Context, texts: DataFrame, config: EncoderConfig, encoder: str) -> None:
    """Encode and append what is left of one slice. Of two runs that do so at once one writes, and the other looks again.

    Raises:
        LakeError: others were quicker at every try.
    """
    lake = context.lake
    for _ in range(TRIES):
        version = lake.version(Tables.TEXT_VECTORS)
        left = pending(texts, lake.read(Tables.TEXT_VECTORS, version), encoder)
        _append(context, left, config, encoder, 0 if version is None else version + 1)
        if lake.author is None or lake.wrote(Tables.TEXT_VECTORS, version):
            return
    raise LakeError(
        f"{Tables.TEXT_VECTORS}: other runs encoded at each of {TRIES} tries: run it again when they have finished"
    )


def _append(context: Context, texts: DataFrame, config: EncoderConfig, encoder: str, transaction: int) -> None:
    partitions, threads = spread(context, config)
    vectors = encode_texts(texts.repartition(partitions), config, threads, encoder)
    with workers_problems():
        context.lake.append(vectors, Tables.TEXT_VECTORS, f"encode {encoder}", transaction)


def spread(context: Context, config: EncoderConfig) -> tuple[int, int | None]:
    """Tasks, and torch threads of each (None: torch's own choice).

    On a laptop one worker process with all threads: two with one each would load the model twice.
    """
    if is_local(context.spark):
        partitions = config.partitions or 1
        return partitions, max(1, slots(context.spark) // partitions)
    return (
        config.partitions or slots(context.spark, config.gpus_per_task) or context.spark.sparkContext.defaultParallelism
    ), None


def _work(vectors: DataFrame) -> Work:
    sums = [F.coalesce(F.sum(name), F.lit(0)) for name in (C.TOKENS, C.PADDED, C.SECONDS)]
    found = vectors.agg(*sums, F.count(C.ERROR)).first()
    assert found is not None, "an aggregate has a row"
    return Work(int(found[0]), int(found[1]), float(found[2]), int(found[3]))


def _speeds(context: Context, config: EncoderConfig, texts: int, seconds: float, work: Work) -> dict[str, float]:
    """What a run that encoded is measured by; workers' start and writing are part of its time.

    `model_share` is of the time of all that could have run the model: GPUs where tasks ask for one, else processor cores.
    """
    found = {"texts_per_second": texts / seconds, TOKENS_PER_SECOND: work.tokens / seconds}
    found["padding_ratio"] = work.padded / max(1, work.tokens)
    found["model_share"] = work.seconds / (seconds * max(1, slots(context.spark, config.gpus_per_task)))
    if config.price_per_hour:
        found["cost_per_million_texts"] = config.price_per_hour * seconds / 3600 / texts * 1_000_000
    return found
