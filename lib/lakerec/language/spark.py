"""The one bridge from language to Spark: text columns in, vector columns out, the model loaded once a worker process.

    texts (text_hash, text) ─ mapInArrow ─► whole partition → Encoder.encode → rows of gold/text_vectors
    rows with a prompt      ─ mapInArrow ─► Writer.write ───────────────────► the rows with what was written

On a cluster a stage-level resource profile asks for a GPU a task; local mode knows no profiles and runs on the CPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from lakerec.columns import Columns as C
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.lake.platform import is_local
from lakerec.language.ahead import made_ahead
from lakerec.language.encoder import CPU_HELD, settled
from lakerec.language.files import fingerprint
from lakerec.language_config import DescriptionConfig

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import Column, DataFrame, SparkSession

    from lakerec.language.chunker import Tokenized
    from lakerec.language.encoder import Encoded, Encoder
    from lakerec.language.writer import Writer

SCHEMA = ", ".join((
    f"{C.TEXT_HASH} string", f"{C.ENCODER} string", f"{C.VECTOR} array<float>", f"{C.TOKENS} int", f"{C.ERROR} string",
    f"{C.PADDED} int", f"{C.SECONDS} float",
))  # fmt: skip
ROWS_AT_ONCE = 10_000
"""Vectors that go to Spark together, as many as Spark itself sends."""
Work = Callable[["Encoder", Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""A partition's work, given the worker's encoder."""
Model = TypeVar("Model")


def encode_texts(texts: DataFrame, config: EncoderConfig, threads: int | None = None, label: str | None = None) -> DataFrame:
    """Vectors of distinct texts, labelled with the encoder's fingerprint.

    Args:
        texts: text_hash, text; its partitions are the tasks.
        threads: torch threads a worker process; None: torch's own choice.
        label: the fingerprint that was found when the run began; None: as the files are now.

    Raises:
        EnvironmentProblem: in a task, where a worker's model files are not those of the label.
    """
    work = _encode_partition(settled(config), threads, label)
    return on_workers(texts.select(C.TEXT_HASH, C.TEXT), work, SCHEMA, config.gpus_per_task)


def with_encoder(
    rows: DataFrame, work: Work, schema: str, config: EncoderConfig, threads: int | None, label: str
) -> DataFrame:
    """What `work` makes of each partition's Arrow batches, with the worker's encoder at hand; arguments as above."""
    settings = settled(config).model_dump_json()

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from work(worker_encoder(settings, threads, label), batches)

    return on_workers(rows, run, schema, config.gpus_per_task)


def on_workers(rows: DataFrame, work: Callable[..., Any], schema: str, gpus: float) -> DataFrame:
    """mapInArrow, on a cluster with so many GPUs a task."""
    spark = rows.sparkSession
    profile = gpu_profile(spark, gpus) if gpus and not is_local(spark) else None
    return rows.mapInArrow(work, schema, profile=profile)


def write_texts(
    prompts: DataFrame, config: DescriptionConfig, folder: Path, label: str, threads: int | None, gpus: float
) -> DataFrame:
    """The rows with a column `written`: what a causal model in `folder`, on every worker, goes on with behind `prompt`.

    Args:
        label: the writer's fingerprint that was found when the run began.
        gpus: of a task.

    Raises:
        EnvironmentProblem: in a task, where a worker's model files are not those of the label.
    """
    settings, place = config.model_dump_json(), str(folder)

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = _loaded_writer(settings, place, _device(threads, gpus), label)
        for table in _held(batches, CPU_HELD):
            written = pa.array(writer.write(table["prompt"].to_pylist()), pa.string())
            yield from table.append_column("written", written).to_batches()

    fields = [f"`{name}` {kind}" for name, kind in prompts.dtypes]
    return on_workers(prompts, write, ", ".join([*fields, "written string"]), gpus)


@contextmanager
def workers_problems() -> Iterator[None]:
    """An EnvironmentProblem of a task that is run within is one of the driver.

    Raises:
        EnvironmentProblem: a task raised it.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        found = re.search(rf"{EnvironmentProblem.__name__}: (.*)", str(error))
        raise EnvironmentProblem(found[1]) if found else error from None


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

        def tokens(table: pa.Table) -> Tokenized:
            return encoder.tokenize(table[C.TEXT].to_pylist())

        for table, texts in made_ahead(tokens, _held(batches, encoder.held)):
            yield from _vectors(encoder.vectors(texts), table, label).to_batches(ROWS_AT_ONCE)

    return encode


def _held(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Arrow batches joined until enough texts are there to sort by length."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(part) for part in held) >= rows:
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
    gpus = EncoderConfig.model_validate_json(settings).gpus_per_task
    return _loaded(settings, _device(threads, gpus), label)


def _device(threads: int | None, gpus: float) -> str:
    """Where this worker process runs its model: on the GPU that Spark gave the task, where tasks ask for one."""
    import torch
    from pyspark import TaskContext

    if threads is not None:
        torch.set_num_threads(threads)
    if not (gpus and torch.cuda.is_available()):
        return "cpu"
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    return f"cuda:{given.addresses[0] if given else 0}"


@lru_cache(maxsize=1)
def _loaded(settings: str, device: str, label: str) -> Encoder:
    """Loaded once a process and device."""
    from lakerec.language.encoder import Encoder

    config = EncoderConfig.model_validate_json(settings)
    return _as_labelled(lambda: Encoder(config, device), lambda: fingerprint(config), label, "encoder", config.model)


@lru_cache(maxsize=1)
def _loaded_writer(settings: str, folder: str, device: str, label: str) -> Writer:
    from lakerec.language.writer import Writer, writer_fingerprint

    config, place = DescriptionConfig.model_validate_json(settings), Path(folder)
    found = partial(writer_fingerprint, place, config)
    return _as_labelled(lambda: Writer(place, config, device), found, label, "profile.descriptions", folder)


def _as_labelled(load: Callable[[], Model], found: Callable[[], str], label: str, section: str, name: str) -> Model:
    """A model whose files have the fingerprint `label`, looked at before and after, so that none changes while it loads."""
    before, model = found(), load()
    if not before == found() == label:
        raise EnvironmentProblem(
            f"{section}.model: the files of `{name}` are not those that the run began with: they changed, or a worker "
            "has others than the driver; start it again when all have the same"
        )
    return model


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
