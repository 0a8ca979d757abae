"""profile.labels → gold/pseudo_labels and gold/label_requests: few labelled rows, and what follows from them.

labelled rows ⋈ vectors ─ self-training, calibration (models/labelling.py) ─► every row without a label
    confidence ≥ threshold → pseudo_labels          unsure, and unlike each other → label_requests
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError
from lakerec.lake.contracts import CONTRACTS
from lakerec.language_config import LabelTask
from lakerec.models.labelling import Labeller, fit_labeller, margin, requests
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context, Inputs
from lakerec.stages.encoding import encode, vectors_of
from lakerec.stages.given import ID, forget_others, given_rows, texts_of
from lakerec.vectors import block

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LABELLED, UNLABELLED = 50_000, 20_000
"""Rows that are learned from at most, by a digest of their id."""
FIGURES = ("precision", "coverage", "accuracy", "threshold", "temperature", "rounds", "labelled")


def label(context: Context, inputs: Inputs) -> tuple[dict[str, str], dict[str, float]]:
    """Details and metrics of all tasks."""
    details: dict[str, str] = {}
    metrics: dict[str, float] = {}
    for name, task in context.config.profile.labels.items():
        found, kept = _run(context, inputs, name, task)
        figures = {figure: value for figure, value in asdict(found).items() if figure in FIGURES and value is not None}
        details[f"labels.{name}"] = json.dumps(
            {**figures, "kept": kept, "classes": found.classes, "left_out": found.left_out}
        )
        metrics |= {f"{figure}_{name}": float(value) for figure, value in figures.items()} | {f"kept_{name}": float(kept)}
    forget_others(context, (Tables.PSEUDO_LABELS, Tables.LABEL_REQUESTS), context.config.profile.labels)
    return details, metrics


def _run(context: Context, inputs: Inputs, name: str, task: LabelTask) -> tuple[Labeller, int]:
    rows = _rows(context, inputs, task).localCheckpoint()
    given = given_labels(context, name, task)
    joined = rows.join(given, on=ID, how="left")
    known = _arrays(joined.where(F.col(C.LABEL).isNotNull()), LABELLED)
    rest = joined.where(F.col(C.LABEL).isNull() & F.col(C.VECTOR).isNotNull()).drop(C.LABEL)
    sample = _arrays(rest, UNLABELLED)
    try:
        found = fit_labeller(known["vectors"], known[C.LABEL], sample["vectors"], task.precision, context.config.seed)
    except ValueError as error:
        raise EmptyDataError(
            f"profile.labels.{name}: of the rows labelled in {task.path} that have a vector, {error}"
        ) from None
    where = f"{C.TASK} = '{name}'"
    kept = _predicted(rest, found).withColumn(C.TASK, F.lit(name)).withColumn(C.RUN_ID, F.lit(context.run_id))
    context.lake.overwrite(kept, Tables.PSEUDO_LABELS, where)
    asked = context.spark.createDataFrame(
        _requests(context, name, task, found, sample), CONTRACTS[Tables.LABEL_REQUESTS].schema
    )
    context.lake.overwrite(asked, Tables.LABEL_REQUESTS, where)
    return found, context.lake.read(Tables.PSEUDO_LABELS).where(where).count()


def _rows(context: Context, inputs: Inputs, task: LabelTask) -> DataFrame:
    """id, text, encoder, vector of all that could be labelled."""
    texts = texts_of(context, task)
    if task.of == "items":
        vectors = context.lake.read(Tables.ITEM_VECTORS, inputs.get(Tables.ITEM_VECTORS))
        return texts.join(vectors.withColumnRenamed(C.ITEM_ID, ID), on=ID)
    done = encode(context, texts.withColumnRenamed(ID, C.TEXT_HASH), chosen_encoder(context))
    vectors = vectors_of(context, done.encoder).where(F.col(C.VECTOR).isNotNull())
    return texts.join(vectors.withColumnRenamed(C.TEXT_HASH, ID), on=ID).select(ID, C.TEXT, C.ENCODER, C.VECTOR)


def given_labels(context: Context, name: str, task: LabelTask) -> DataFrame:
    """id, label as a person gave it; what was labelled two ways is left out."""
    rows = given_rows(context, f"profile.labels.{name}", task, {C.LABEL: task.label}).where(F.length(C.LABEL) > 0)
    return rows.groupBy(ID).agg(F.min(C.LABEL).alias(C.LABEL), F.count("*").alias("_n")).where("_n = 1").drop("_n")


def _arrays(rows: DataFrame, most: int) -> dict[str, Any]:
    """A sample by a digest of the id: vectors float32 [n, d], and the other columns as arrays of objects."""
    table = rows.where(F.col(C.VECTOR).isNotNull()).orderBy(F.xxhash64(ID), ID).limit(most).toArrow()
    columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in table.column_names if name != C.VECTOR}
    return {**columns, "vectors": block(table[C.VECTOR])}


def _predicted(rows: DataFrame, found: Labeller) -> DataFrame:
    """id, encoder, label, confidence of the rows that the model is sure enough of."""

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = np.array(found.classes, dtype=object)
        for batch in batches:
            if not len(batch):
                continue
            probabilities = found.probabilities(block(batch.column(C.VECTOR)))
            confidence = probabilities.max(axis=1)
            sure = confidence >= found.threshold
            yield pa.RecordBatch.from_pydict(
                {
                    ID: batch.column(ID).filter(pa.array(sure)), C.ENCODER: batch.column(C.ENCODER).filter(pa.array(sure)),
                    C.LABEL: pa.array(names[probabilities.argmax(axis=1)][sure].tolist(), pa.string()),
                    C.CONFIDENCE: pa.array(confidence[sure]),
                }
            )  # fmt: skip

    schema = f"{ID} string, {C.ENCODER} string, {C.LABEL} string, {C.CONFIDENCE} double"
    return rows.select(ID, C.ENCODER, C.VECTOR).mapInArrow(predict, schema)


def _requests(
    context: Context, name: str, task: LabelTask, found: Labeller, sample: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Rows of gold/label_requests."""
    if not len(sample["vectors"]):
        return []
    probabilities = found.probabilities(sample["vectors"])
    margins, order = margin(probabilities), np.argsort(-probabilities, axis=1)[:, :2]
    chosen = requests(sample["vectors"], probabilities, task.requests, context.config.seed)
    return [
        (
            name,
            rank,
            sample[ID][row],
            sample[C.TEXT][row],
            [found.classes[each] for each in order[row]],
            float(margins[row]),
            context.run_id,
        )
        for rank, row in enumerate(chosen, start=1)
    ]
