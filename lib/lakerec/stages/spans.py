"""profile.spans → gold/pseudo_spans: words in texts, such as brands, where few texts have theirs marked.

    labelled texts ─ mapInArrow: words' vectors ─► driver ─ models/spans.py ─► tagger
    all other texts ─ mapInArrow: vectors, tags, spans ≥ threshold ─► pseudo_spans

No word's vector is kept, so each run encodes every text anew, as often as there are tasks.
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
from lakerec.language.encoder import encoder_fingerprint
from lakerec.language.spark import with_encoder, workers_problems
from lakerec.language_config import SpanTask
from lakerec.models.spans import Tagger, fit_tagger
from lakerec.models.words import marked, word_vectors, words
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context
from lakerec.stages.encoding import spread
from lakerec.stages.given import ID, forget_others, given_rows, texts_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakerec.language.encoder import Encoder
    from lakerec.language.spark import Work

LABELLED, CHARACTERS = 2_000, 250_000
"""Labelled texts that are learned from at most, by a digest of their id, and their characters: some 40,000 words, whose
vectors and those of their neighbours take 200 MB of the driver's memory at 384 dimensions."""
HELD = 256
"""Texts whose tokens' vectors a worker holds at a time."""
PHRASES = "phrases"
FIGURES = ("precision", "coverage", "f1", "threshold", "temperature", "labelled", "marked")
FOUND = f"{ID} string, {C.START} int, {C.END} int, {C.TEXT} string, {C.LABEL} string, {C.CONFIDENCE} double"
ROWS = pa.schema({
    ID: pa.string(), C.START: pa.int32(), C.END: pa.int32(), C.TEXT: pa.string(), C.LABEL: pa.string(),
    C.CONFIDENCE: pa.float64(),
})  # fmt: skip


def find_spans(context: Context) -> tuple[dict[str, str], dict[str, float]]:
    """Details and metrics of all tasks."""
    details: dict[str, str] = {}
    metrics: dict[str, float] = {}
    for name, task in context.config.profile.spans.items():
        found, more = _run(context, name, task)
        figures = {figure: value for figure, value in asdict(found).items() if figure in FIGURES and value is not None}
        said = {**figures, **more, "labels": found.labels, "left_out": found.left_out}
        details[f"spans.{name}"] = json.dumps(said)
        metrics |= {f"{figure}_spans_{name}": float(value) for figure, value in (figures | more).items()}
    forget_others(context, (Tables.PSEUDO_SPANS,), context.config.profile.spans)
    return details, metrics


def _run(context: Context, name: str, task: SpanTask) -> tuple[Tagger, dict[str, int]]:
    """What was learned; spans that are kept, and rows of the labelled table whose words their text does not have."""
    texts = texts_of(context, task).where(F.length(C.TEXT) > 0).localCheckpoint()
    given = _given(context, name, task).localCheckpoint()
    known = _bounded(texts.join(given, on=ID))
    own = [row[C.TEXT] for row in known]
    marks, missed = zip(*(marked(row[C.TEXT], _phrases(row)) for row in known), strict=True) if known else ((), ())
    try:
        found = fit_tagger(own, *_vectors(context, known), marks, task.precision, context.config.seed)
    except ValueError as error:
        raise EmptyDataError(
            f"profile.spans.{name}: of {len(known)} texts that are labelled in {task.path} and known here, {error}"
        ) from None
    where = f"{C.TASK} = '{name}'"
    rest = texts.join(given, on=ID, how="left_anti").where(F.lit(found.precision is not None))
    rest = _encoded(context, rest, _predict(found), FOUND)
    named = {C.TASK: name, C.ENCODER: encoder_fingerprint(chosen_encoder(context)), C.RUN_ID: context.run_id}
    with workers_problems():
        context.lake.overwrite(
            rest.withColumns({key: F.lit(value) for key, value in named.items()}), Tables.PSEUDO_SPANS, where
        )
    kept = context.lake.read(Tables.PSEUDO_SPANS).where(where).count()
    return found, {"kept": kept, "missed": sum(len(each) for each in missed)}


def _given(context: Context, name: str, task: SpanTask) -> DataFrame:
    """id, phrases: structs of span and label of a text; none where its rows' spans are empty."""
    columns = {C.SPAN: task.span, C.LABEL: task.label}
    rows = given_rows(context, f"profile.spans.{name}", task, columns)
    there = F.length(F.coalesce(C.SPAN, F.lit(""))) > 0
    rows = rows.where(~there | (F.length(C.LABEL) > 0))
    return rows.groupBy(ID).agg(F.sort_array(F.collect_set(F.when(there, F.struct(C.SPAN, C.LABEL)))).alias(PHRASES))


def _bounded(labelled: DataFrame) -> list[dict[str, Any]]:
    """As many rows as are learned from."""
    rows = labelled.orderBy(F.xxhash64(ID), ID).limit(LABELLED).toArrow().to_pylist()
    ends = np.cumsum([len(row[C.TEXT]) for row in rows])
    return rows[: int(np.searchsorted(ends, CHARACTERS, side="right"))]


def _phrases(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each[C.SPAN], each[C.LABEL]) for each in row[PHRASES]]


def _vectors(context: Context, known: list[dict[str, Any]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Bounds [words, 2] and vectors [words, d] of each labelled text's words, by the encoder that reads the others."""
    rows = context.spark.createDataFrame([(row[ID], row[C.TEXT]) for row in known], f"{ID} string, {C.TEXT} string")
    with workers_problems():
        table = _encoded(context, rows, _send, f"{ID} string, {C.VECTOR} array<float>").toArrow()
    flat = dict(zip(table[ID].to_pylist(), table[C.VECTOR].combine_chunks(), strict=True))
    bounds = [words(row[C.TEXT]) for row in known]
    vectors = [flat[row[ID]].values.to_numpy() for row in known]
    size = max((len(each) // len(own) for own, each in zip(bounds, vectors, strict=True) if len(own)), default=0)
    return bounds, [each.reshape(len(own), size) for own, each in zip(bounds, vectors, strict=True)]


def _encoded(context: Context, texts: DataFrame, work: Work, schema: str) -> DataFrame:
    config = chosen_encoder(context)
    partitions, threads = spread(context, config)
    rows = texts.select(ID, C.TEXT).repartition(partitions)
    return with_encoder(rows, work, schema, config, threads, encoder_fingerprint(config))


def _read(encoder: Encoder, batches: Iterable[pa.RecordBatch]) -> Iterator[list[tuple[str, str, np.ndarray, np.ndarray]]]:
    """id, text, and bounds [words, 2] and vectors [words, d] of its words, some texts at a time."""
    for batch in batches:
        for first in range(0, len(batch), HELD):
            part = batch.slice(first, HELD)
            texts = part.column(C.TEXT).to_pylist()
            bounds = [words(text) for text in texts]
            vectors = [
                word_vectors(own, its.places, its.vectors) for own, its in zip(bounds, encoder.states(texts), strict=True)
            ]
            yield list(zip(part.column(ID).to_pylist(), texts, bounds, vectors, strict=True))


def _send(encoder: Encoder, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The words' vectors of a text in one list."""
    for part in _read(encoder, batches):
        flat = pa.array([vectors.ravel() for *_, vectors in part], pa.list_(pa.float32()))
        yield pa.RecordBatch.from_pydict({ID: [key for key, *_ in part], C.VECTOR: flat})


def _predict(found: Tagger) -> Work:
    """Rows of gold/pseudo_spans, without what is the same in all."""

    def predict(encoder: Encoder, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in _read(encoder, batches):
            rows = [
                dict(zip(ROWS.names, (key, span.start, span.end, text[span.start : span.end], *span[2:]), strict=True))
                for key, text, bounds, vectors in part
                for span in found.spans(bounds, vectors)
            ]
            yield pa.RecordBatch.from_pylist(rows, ROWS)

    return predict
