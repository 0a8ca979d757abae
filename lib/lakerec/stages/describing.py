"""profile.descriptions → gold/item_descriptions: a text for each item that has none, with its provenance.

    silver/items ─ prompt ─► what is new or changed ─ causal model on the workers ─► written ─ says only what the row says?
                                                                         yes → model's text      no → template, and why

The model is a folder, or is trained here on the catalogue's own texts (`model: catalogue`). What is written feeds no model.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError
from lakerec.features.grounding import lacks, plain
from lakerec.features.text import told
from lakerec.lake.platform import is_local
from lakerec.language.files import resolve_model
from lakerec.language.fresh import fresh_model, tokens
from lakerec.language.spark import workers_problems, write_texts
from lakerec.language.vocabulary import CAUSAL
from lakerec.language.writer import writer_fingerprint, writing
from lakerec.language_config import DescriptionConfig, EncoderConfig
from lakerec.stages.base import Context, Inputs
from lakerec.stages.encoding import spread
from lakerec.stages.log import event
from lakerec.stages.train import models_folder
from lakerec.training.adapt import Task, adapt, save_texts
from lakerec.training.launcher import launch

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CATALOGUE = "catalogue"
BY_MODEL, BY_TEMPLATE = "model", "template"
PROMPT, FALLBACK, ROW, WRITTEN = "prompt", "fallback", "row", "written"
SEEN = 1_000
"""Characters of a description that enter a prompt or a training text."""
SLICE = 2_000
"""Texts committed at a time on a laptop; ten times as many on a cluster."""
VOCABULARY, TRAINED_ON = 50_000, 50_000
"""Attributes that are looked for, most frequent first; texts that a model of the catalogue is trained on."""
LEARNING_RATE, BATCH, LEAST_STEPS = 2e-3, 32, 300


def describe(context: Context, inputs: Inputs) -> tuple[dict[str, str], dict[str, float]]:
    """Bring gold/item_descriptions up to date, where they are asked for; gives details and metrics."""
    config, lake = context.config.profile.descriptions, context.lake
    if config is None:
        return {}, {}
    items = lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    folder = _model(context, config, items)
    model = writer_fingerprint(folder, config)
    asked = wanted(items, config, model)
    known = lake.read(Tables.ITEM_DESCRIPTIONS)
    gone = known.join(asked, on=C.ITEM_ID, how="left_anti").withColumn("_gone", F.lit(True))
    if not gone.isEmpty():
        lake.change(gone.localCheckpoint(), Tables.ITEM_DESCRIPTIONS, F.col("_gone"))
    done = (known.limit(0) if context.full else known).select(C.ITEM_ID, "input_hash", C.MODEL)
    waiting = asked.join(done, on=[C.ITEM_ID, "input_hash", C.MODEL], how="left_anti").localCheckpoint()
    total = waiting.count()
    vocabulary = _vocabulary(items) if total else frozenset()
    slices = -(-total // (SLICE if is_local(context.spark) else 10 * SLICE))
    for number in range(slices):
        context.progress.update("descriptions written", number * total // slices, total)
        part = waiting.where(F.pmod(F.xxhash64(C.ITEM_ID), F.lit(slices)) == number)
        _write(context, part, config, folder, model, vocabulary)
    rows = lake.read(Tables.ITEM_DESCRIPTIONS)
    by_model = rows.where(F.col("written_by") == BY_MODEL).count()
    every = rows.count()
    metrics = {"described": float(every), "described_by_model": float(by_model), "descriptions_written": float(total)}
    return {"descriptions": json.dumps({"model": model, "items": every, "by_model": by_model})}, metrics


def wanted(items: DataFrame, config: DescriptionConfig, model: str) -> DataFrame:
    """item_id, prompt, fallback, row, prompt_hash, input_hash, model of each item that is to get a description."""
    has = F.length(F.trim(F.coalesce(C.DESCRIPTION, F.lit("")))) > 0
    rows = items if config.all_items else items.where(~has)
    found = rows.select(
        C.ITEM_ID, prompt(config).alias(PROMPT), told(config.fallback, SEEN).alias(FALLBACK), _row().alias(ROW),
        F.sha2(F.lit(json.dumps([config.prompt, config.cue])), 256).alias("prompt_hash"), F.lit(model).alias(C.MODEL),
    )  # fmt: skip
    hashed = found.withColumn("input_hash", F.sha2(F.concat_ws("\0", PROMPT, FALLBACK, ROW), 256))
    return hashed.where(F.length(FALLBACK) > 0)


def prompt(config: DescriptionConfig) -> Column:
    """What the model goes on with: the lines of the template, then the cue."""
    lines = told(config.prompt, SEEN, "\n")
    return F.concat(lines, F.when(F.length(lines) > 0, "\n").otherwise(""), F.lit(config.cue))


def _row() -> Column:
    """All that is known of an item, in one string."""
    values = F.array_join(F.map_values(F.coalesce(C.ATTRIBUTES, F.create_map())), " . ")
    return F.concat_ws(" . ", C.TITLE, F.array_join(C.CATEGORIES, " . "), C.DESCRIPTION, values)


def _vocabulary(items: DataFrame) -> frozenset[str]:
    """Categories and values of attributes, the most frequent, as the grounding check compares them."""
    values = F.concat(F.coalesce(C.CATEGORIES, F.array()), F.map_values(F.coalesce(C.ATTRIBUTES, F.create_map())))
    each = items.select(F.explode(values).alias("value")).groupBy("value").count()
    rows = each.orderBy(F.desc("count"), "value").limit(VOCABULARY).collect()
    return frozenset(found for row in rows if (found := plain(row["value"])))


def _write(
    context: Context, waiting: DataFrame, config: DescriptionConfig, folder: Path, model: str, vocabulary: frozenset[str]
) -> None:
    encoder = context.config.encoder
    tasks, threads = spread(context, encoder)
    written = write_texts(waiting.repartition(tasks), config, folder, model, threads, encoder.gpus_per_task)
    checked = written.mapInArrow(
        _checked(vocabulary), f"{C.ITEM_ID} string, {C.DESCRIPTION} string, written_by string, {WRITTEN} string,"
        f" refused array<string>, {C.MODEL} string, prompt_hash string, input_hash string",
    )  # fmt: skip
    with workers_problems():
        context.lake.merge(checked.withColumn(C.RUN_ID, F.lit(context.run_id)), Tables.ITEM_DESCRIPTIONS)


def _checked(vocabulary: frozenset[str]) -> Any:
    """For mapInArrow: the model's text where it says only what the row says, else the template's."""

    def check(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            written, rows = columns[WRITTEN], columns[ROW]
            refused = [
                lacks(text, row, vocabulary) if text else ["nothing written"]
                for text, row in zip(written, rows, strict=True)
            ]
            kept = [not reasons for reasons in refused]
            texts = [own if good else other for own, other, good in zip(written, columns[FALLBACK], kept, strict=True)]
            yield pa.RecordBatch.from_pydict(
                {
                    C.ITEM_ID: batch.column(C.ITEM_ID), C.DESCRIPTION: texts,
                    "written_by": [BY_MODEL if good else BY_TEMPLATE for good in kept], WRITTEN: written,
                    "refused": pa.array(refused, pa.list_(pa.string())), C.MODEL: columns[C.MODEL],
                    "prompt_hash": columns["prompt_hash"], "input_hash": columns["input_hash"],
                }
            )  # fmt: skip

    return check


def given_model(config: DescriptionConfig) -> Path | None:
    """Folder of the model that the config names; None where it is one of the catalogue.

    Raises:
        EnvironmentProblem: it is nowhere, or does not write.
    """
    if config.model == CATALOGUE:
        return None
    return writing(resolve_model(config.model, "profile.descriptions.model", CATALOGUE))


def _model(context: Context, config: DescriptionConfig, items: DataFrame) -> Path:
    """Folder of the model.

    One of the catalogue stays until what it is trained by changes, or --full: another one would write all texts anew.
    """
    if (given := given_model(config)) is not None:
        return given
    by = [config.prompt, config.cue, config.fallback, config.seed, config.epochs, config.width, config.layers]
    writers = models_folder(context).resolve() / "writers"
    place = writers / hashlib.sha256(json.dumps(by).encode()).hexdigest()[:12]
    for folder in writers.glob("*"):
        if folder != place or context.full:
            shutil.rmtree(folder)
    if not (place / CATALOGUE).is_dir():
        _train(context, config, items, place / CATALOGUE)
    return place / CATALOGUE


def _train(context: Context, config: DescriptionConfig, items: DataFrame, folder: Path) -> None:
    """Train a small model on prompts with their items' descriptions, or the template's.

    Raises:
        EmptyDataError: there are too few texts.
    """
    own = F.nullif(F.trim(F.translate(C.DESCRIPTION, "\r\n", "  ")), F.lit(""))
    text = F.concat(prompt(config), F.lit(" "), F.coalesce(own.substr(1, SEEN), told(config.fallback, SEEN)))
    rows = items.where(F.length(told(config.fallback, SEEN)) > 0).select(C.ITEM_ID, text.alias(C.TEXT))
    texts = [row[C.TEXT] for row in rows.orderBy(F.xxhash64(C.ITEM_ID), C.ITEM_ID).limit(TRAINED_ON).collect()]
    if len(texts) < 2:
        raise EmptyDataError("profile.descriptions: fewer than two items have a title or categories to learn from")
    epochs = max(config.epochs, math.ceil(LEAST_STEPS * BATCH / len(texts)))
    scratch = folder.parent / ".scratch"
    fresh, shared = scratch / CATALOGUE, scratch / "texts.safetensors"
    try:
        fresh_model(fresh, texts, config.width, config.layers, config.seed)
        save_texts(shared, tokens(fresh, texts), np.zeros((0, 2), np.int64))
        task = Task(
            folder=str(fresh), inputs=str(shared), output=str(folder), objectives={CAUSAL: 1.0}, method="full",
            encoder=EncoderConfig(precision="fp32").model_dump(mode="json"),
            vocabulary={"size": 0, "mask": 0, "special": []}, epochs=epochs, batch=BATCH,
            learning_rate=LEARNING_RATE, seed=config.seed,
        )  # fmt: skip

        def show(point: Any) -> None:
            context.progress.update("learning to write, epoch", point.epoch, epochs)
            event(
                "profile", context.run_id, f"learning to write, epoch {point.epoch} of {epochs}", loss=point.losses[CAUSAL]
            )

        launch(adapt, task.__dict__, 1, 0, context.spark, "adapt", on_epoch=show)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
