"""gold/item_text → gold/text_vectors and gold/item_vectors: each distinct text once per encoder.

distinct texts ─ what has no vector of the encoder (stages/encoding.py) ─► text_vectors
item_text ⋈ text_vectors ─ fewer dimensions (stages/reducing.py), other kinds (stages/fusing.py) ─► item_vectors
"""

from __future__ import annotations

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.language.encoder import encoder_fingerprint
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.encoding import encode, vectors_of
from lakerec.stages.fusing import fused
from lakerec.stages.reducing import check_dimensions, reduced

KEPT_VARIANCE = "kept_variance"


def run(context: Context, inputs: Inputs) -> Result:
    check_dimensions(context)
    lake = context.lake
    texts = lake.read(Tables.ITEM_TEXT, inputs.get(Tables.ITEM_TEXT))
    done = encode(context, texts, chosen_encoder(context))
    vectors = vectors_of(context, done.encoder)
    found = texts.join(vectors.where(F.col(C.VECTOR).isNotNull()), on=C.TEXT_HASH, how="inner")
    result = reduced(context, found.dropDuplicates([C.ITEM_ID]).select(C.ITEM_ID, C.ENCODER, C.VECTOR), done.encoder)
    whole = fused(context, result.vectors)
    lake.overwrite(whole.vectors, Tables.ITEM_VECTORS)
    failed = vectors.where(F.col(C.ERROR).isNotNull()).count()
    details = {"encoder": done.encoder, "encoded": str(done.encoded), "errors": str(failed), "tokens": str(done.work.tokens)}
    metrics = done.speeds | whole.metrics | ({} if result.kept is None else {KEPT_VARIANCE: result.kept})
    details |= {name: f"{value:.4f}" for name, value in metrics.items()} | whole.details
    rows_out = lake.read(Tables.ITEM_VECTORS).count()
    return Result(rows_in=texts.count(), rows_out=rows_out, details=details, metrics=metrics)


def fingerprint(context: Context) -> str:
    """Of the encoder that is to be used."""
    return encoder_fingerprint(chosen_encoder(context))


STAGE = Stage(
    name="embed",
    run=run,
    summary="item texts to vectors, only what is new",
    reads=(Tables.ITEM_TEXT, Tables.GRAPH_EDGES),
    writes=(Tables.TEXT_VECTORS, Tables.ITEM_VECTORS, Tables.REDUCTIONS, Tables.ENTITY_VECTORS),
    sections=("encoder", "fusion"),
    after=("adapt",),
    fingerprint=fingerprint,
)
