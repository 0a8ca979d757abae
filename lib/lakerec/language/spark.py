"""The one bridge from language to Spark: text columns in, vector columns out, the model loaded once a worker process.

    texts (text_hash, text) ─ mapInArrow ─► whole partition → Encoder.encode → rows of gold/text_vectors

On a cluster a stage-level resource profile asks for a GPU a task; local mode knows no profiles and runs on the CPU.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lakerec.columns import Columns as C
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.lake.platform import is_local
from lakerec.language.encoder import settled
from lakerec.language.files import fingerprint

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import Column, DataFrame, SparkSession

    from lakerec.language.encoder import Encoded, Encoder, Tokenized

SCHEMA = ", ".join((
    f"{C.TEXT_HASH} string", f"{C.ENCODER} string", f"{C.VECTOR} array<float>", f"{C.TOKENS} int", f"{C.ERROR} string",
    f"{C.PADDED} int", f"{C.SECONDS} float",
))  # fmt: skip
Work = Callable[["Encoder", Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""A partition's work, given the worker's encoder."""
ROWS_HELD = 20_000
"""Texts that are sorted by length together; more of them pad less but take memory."""


def encode_texts(texts: DataFrame, config: EncoderConfig, threads: int | None = None, label: str | None = None) -> DataFrame:
    """Vectors of distinct texts, labelled with the encoder's fingerprint.

    Args:
        texts: text_hash, text; its partitions are the tasks.
        threads: torch threads a worker process; None: torch's own choice.
        label: the fingerprint that was found when the run began; None: as the files are now.

    Raises:
        EnvironmentProblem: in a task, where a worker's model files are not those of the label.
    """
    return on_workers(texts.select(C.TEXT_HASH, C.TEXT), _encode_partition(settled(config), threads, label), SCHEMA, config)


def with_encoder(
    rows: DataFrame, work: Work, schema: str, config: EncoderConfig, threads: int | None, label: str
) -> DataFrame:
    """What `work` makes of each partition's Arrow batches, with the worker's encoder at hand; arguments as above."""
    settings = settled(config).model_dump_json()

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from work(worker_encoder(settings, threads, label), batches)

    return on_workers(rows, run, schema, config)


def on_workers(rows: DataFrame, work: Callable[..., Any], schema: str, config: EncoderConfig) -> DataFrame:
    """mapInArrow, on a cluster with as many GPUs a task as the config asks for."""
    spark = rows.sparkSession
    profile = gpu_profile(spark, config.gpus_per_task) if config.gpus_per_task and not is_local(spark) else None
    return rows.mapInArrow(work, schema, profile=profile)


def gpu_profile(spark: SparkSession, gpus: float) -> ResourceProfile:
    """Tasks that need `gpus` GPUs, or a share of one, each; where executors come and go, also executors that have them.

    With dynamic allocation off, executors are what the cluster started, and a profile may only say what tasks need.
    """
    from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests

    builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource("gpu", gpus))
    if spark.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        builder = builder.require(ExecutorResourceRequests().cores(1).resource("gpu", math.ceil(gpus)))
    return builder.build


def _encode_partition(
    config: EncoderConfig, threads: int | None, label: str | None = None
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """A function for mapInArrow; it travels to the workers, so it holds settings only."""
    settings, label = config.model_dump_json(), label or fingerprint(config)

    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        encoder = worker_encoder(settings, threads, label)
        for table, texts in _tokenized_ahead(encoder, _held(batches)):
            yield from _vectors(encoder.vectors(texts), table, label).to_batches()

    return encode


def _tokenized_ahead(encoder: Encoder, tables: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, Tokenized]]:
    """Each table with its texts as tokens; those of the next are made while the model works on this one's."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[tuple[pa.Table, Future[Tokenized]]] = deque()
        for table in tables:
            waiting.append((table, pool.submit(encoder.tokenize, table[C.TEXT].to_pylist())))
            if len(waiting) > 1:
                this, texts = waiting.popleft()
                yield this, texts.result()
        for this, texts in waiting:
            yield this, texts.result()


def _held(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Arrow batches joined until enough texts are there to sort by length."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(part) for part in held) >= ROWS_HELD:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _vectors(encoded: Encoded, table: pa.Table, label: str) -> pa.Table:
    """Rows of gold/text_vectors; those with an error have no vector."""
    good = np.array([error is None for error in encoded.errors])
    offsets = np.concatenate([[0], np.cumsum(good * encoded.vectors.shape[1])]).astype(np.int32)
    flat = pa.array(encoded.vectors[good].ravel(), pa.float32())
    mask = pa.array(~good)
    vectors = pa.ListArray.from_arrays(pa.array(offsets), flat)
    if not good.all():
        vectors = pa.compute.if_else(mask, None, vectors)
    return pa.table(
        {
            C.TEXT_HASH: table[C.TEXT_HASH],
            C.ENCODER: pa.array([label] * len(table)),
            C.VECTOR: vectors,
            C.TOKENS: pa.array(encoded.tokens),
            C.ERROR: pa.array(encoded.errors, pa.string()),
            C.PADDED: pa.array(encoded.padded),
            C.SECONDS: pa.array(encoded.seconds),
        }
    )


def worker_encoder(settings: str, threads: int | None, label: str) -> Encoder:
    """The encoder of this worker process: on the GPU that Spark gave the task, where the config asks for one.

    Raises:
        EnvironmentProblem: this machine's files are not those of the fingerprint `label`.
    """
    import torch
    from pyspark import TaskContext

    if threads is not None:
        torch.set_num_threads(threads)
    config = EncoderConfig.model_validate_json(settings)
    if not (config.gpus_per_task and torch.cuda.is_available()):
        return _loaded(settings, "cpu", label)
    task = TaskContext.get()
    gpus = task.resources().get("gpu") if task is not None else None
    return _loaded(settings, f"cuda:{gpus.addresses[0] if gpus else 0}", label)


@lru_cache(maxsize=1)
def _loaded(settings: str, device: str, label: str) -> Encoder:
    """Loaded once a process and device; files are looked at before and after, so that none changes while it loads."""
    from lakerec.language.encoder import Encoder

    config = EncoderConfig.model_validate_json(settings)
    before, encoder = fingerprint(config), Encoder(config, device)
    if not before == fingerprint(config) == label:
        raise EnvironmentProblem(
            f"encoder.model: the files of `{config.model}` are not those that the run began with: they changed, or a worker "
            "has others than the driver; start it again when all have the same"
        )
    return encoder


def vectorizer(config: EncoderConfig, threads: int | None = None) -> Callable[[Column], Column]:
    """An iterator pandas UDF `text → array<float>`, for SQL: spark.udf.register("vectorize", vectorizer(config))."""
    from pyspark.sql.functions import pandas_udf

    config = settled(config)
    settings, label = config.model_dump_json(), fingerprint(config)

    def vectorize(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        encoder = worker_encoder(settings, threads, label)
        for texts in batches:
            encoded = encoder.encode(texts.tolist())
            rows = [None if error else vector for vector, error in zip(encoded.vectors, encoded.errors, strict=True)]
            yield pd.Series(rows)

    vectorize.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    udf: Callable[[Column], Column] = pandas_udf("array<float>")(vectorize)  # type: ignore[call-overload]
    return udf
