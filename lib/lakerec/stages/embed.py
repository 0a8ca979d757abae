"""gold/item_text → gold/text_vectors and gold/item_vectors: each distinct text once per encoder.

distinct texts ─ what has no vector of the encoder (stages/encoding.py) ─► text_vectors
item_text ⋈ text_vectors ─ fewer dimensions (stages/reducing.py), other kinds (stages/fusing.py) ─► item_vectors

Where the encoder is the last run's and its vectors are taken as they are, only items whose text changed are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.features.as_of import only
from lakerec.language.encoder import encoder_fingerprint
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.encoding import encode, vectors_of
from lakerec.stages.fusing import fused, fuses, others_state
from lakerec.stages.increments import changed_since, update
from lakerec.stages.reducing import check_dimensions, reduced

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEPT_VARIANCE = "kept_variance"
ENCODER = "encoder"
"""Detail of a run: the fingerprint of what its vectors are by."""


def run(context: Context, inputs: Inputs) -> Result:
    check_dimensions(context)
    lake = context.lake
    texts, config = lake.read(Tables.ITEM_TEXT, inputs.get(Tables.ITEM_TEXT)), chosen_encoder(context)
    changed = _changed(context, inputs, encoder_fingerprint(config))
    wanted = only(texts, changed, C.ITEM_ID)
    done = encode(context, wanted, config)
    vectors = vectors_of(context, done.encoder).where(F.col(C.VECTOR).isNotNull())
    found = wanted.join(vectors, on=C.TEXT_HASH, how="inner").dropDuplicates([C.ITEM_ID])
    result = reduced(context, found.select(C.ITEM_ID, C.ENCODER, C.VECTOR), done.encoder)
    whole = fused(context, result.vectors)
    update(context, whole.vectors, Tables.ITEM_VECTORS, C.ITEM_ID, changed)
    details = {ENCODER: done.encoder, "encoded": str(done.encoded), "errors": str(done.work.errors)}
    details["tokens"] = str(done.work.tokens)
    metrics = done.speeds | whole.metrics | ({} if result.kept is None else {KEPT_VARIANCE: result.kept})
    details |= {name: f"{value:.4f}" for name, value in metrics.items()} | whole.details
    rows_out = lake.read(Tables.ITEM_VECTORS).count()
    return Result(rows_in=texts.count(), rows_out=rows_out, details=details, metrics=metrics)


def _changed(context: Context, inputs: Inputs, encoder: str) -> DataFrame | None:
    """Rows of item_text that are not as the last run saw them; None where all items have to be looked at."""
    config = context.config
    own = not (config.encoder.dimensions or fuses(config.fusion))
    if own and context.base is not None and context.base.details.get(ENCODER) == encoder:
        return changed_since(context, inputs, Tables.ITEM_TEXT)
    return None


def fingerprint(context: Context) -> str:
    """Of the encoder that is to be used."""
    return encoder_fingerprint(chosen_encoder(context))


def _outside(context: Context) -> str:
    """Of the encoder, and of the vectors that others made as they lie now."""
    others = others_state(context)
    return f"{fingerprint(context)} {others}" if others else fingerprint(context)


STAGE = Stage(
    name="embed",
    run=run,
    summary="item texts to vectors, only what is new",
    reads=(Tables.ITEM_TEXT, Tables.GRAPH_EDGES),
    needs=(Tables.ITEM_TEXT,),
    asks_for=lambda config: (Tables.BRONZE_GRAPH_LINKS,) if config.fusion.graph_dimensions else (),
    # gold/text_vectors is every stage's that encodes: what another one adds to it makes nothing due
    writes=(Tables.ITEM_VECTORS, Tables.REDUCTIONS, Tables.ENTITY_VECTORS),
    sections=("encoder", "fusion"),
    after=("adapt",),
    fingerprint=_outside,
)
