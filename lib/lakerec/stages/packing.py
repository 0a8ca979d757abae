"""What goes into a registered version besides its recommender, out of the lake: popularity, texts' vectors, users; its card.

    gold/sequences ─► popularity, and histories where promote.known_users
    gold/item_text ⋈ gold/text_vectors of the last embed run's encoder ─► vectors that a text can be compared with
    eval/metrics, ops/runs ─► model card

Item vectors may be of fewer dimensions than the encoder gives, or fused with other kinds: no text has a place among those.
So a package has the texts' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Splits, Tables
from lakerec.errors import EnvironmentProblem
from lakerec.evaluation.lists import MetricRow
from lakerec.judging_config import PromoteConfig
from lakerec.language.files import files_of, fingerprint, resolve_model
from lakerec.language_config import EncoderConfig
from lakerec.models.data import TrainingData
from lakerec.models.popular import Popular
from lakerec.models.protocol import Recommender
from lakerec.registry.card import CardData
from lakerec.registry.contents import Contents, KnownUsers, TextSide
from lakerec.stages import arrays
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context, Inputs, last_run
from lakerec.stages.embed import ENCODER
from lakerec.stages.encoding import vectors_of
from lakerec.vectors import unit

if TYPE_CHECKING:
    from pyspark.sql import Row

LARGEST = 1_000_000_000
"""Bytes of an encoder's files that a package takes at most."""


@dataclass(frozen=True)
class Packed:
    """What is registered."""

    contents: Contents
    no_text: str
    """Why it takes no text; empty where it does."""


def tags(config: PromoteConfig) -> dict[str, str]:
    """What of the config a package depends on, so that one made otherwise is another version."""
    return {"free_text": str(config.free_text).lower(), "known_users": str(config.known_users).lower()}


def packed(context: Context, inputs: Inputs, recommender: Recommender) -> Packed:
    """The recommender with what the config asks for."""
    config, ids = context.config.promote, arrays.item_ids(context, inputs)
    known = arrays.known_until(context, inputs, Splits.TEST)
    popular = Popular()
    popular.fit(TrainingData(known.histories, len(ids)))
    text, no_text = text_side(context, inputs, len(ids)) if config.free_text else (None, "promote.free_text is off")
    users = KnownUsers(known.ids, known.histories) if config.known_users else None
    return Packed(Contents(recommender, ids, popular.counts, text, users), no_text)


def text_side(context: Context, inputs: Inputs, num_items: int) -> tuple[TextSide | None, str]:
    """The encoder of the last embed run and vectors of the items' texts by it; None with the reason where not to be had."""
    embedded = last_run(context.lake, "embed")
    if embedded is None:
        return None, "embed has not run in this lake"
    encoder, config = embedded.details[ENCODER], chosen_encoder(context)
    try:
        size = sum(path.stat().st_size for path in files_of(resolve_model(config.model)))
        if encoder not in _fingerprints(config):
            return None, f"the items' texts are encoded by {encoder}, which is not the config's encoder"
    except EnvironmentProblem as error:
        return None, str(error)
    if size > LARGEST:
        return None, f"its encoder has {size / 1e9:.1f} GB, and a package takes {LARGEST / 1e9:.0f} GB of one"
    index = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX))
    vectors = vectors_of(context, encoder).where(F.col(C.VECTOR).isNotNull()).select(C.TEXT_HASH, C.VECTOR)
    texts = context.lake.read(Tables.ITEM_TEXT).select(C.ITEM_ID, C.TEXT_HASH).dropDuplicates([C.ITEM_ID])
    found = arrays.by_index(texts.join(vectors, on=C.TEXT_HASH).join(index, on=C.ITEM_ID), num_items)
    return (TextSide(config, unit(found)), "") if found.shape[1] else (None, "no item has a text")


def card_data(context: Context, packed: Packed, name: str, model: str, trained: Row, evaluated: Row) -> CardData:
    """What the card of a version says.

    Args:
        trained, evaluated: runs of ops/runs that fitted the model and judged it.
    """
    config, contents = context.config, packed.contents
    rows = context.lake.read(Tables.METRICS).where(
        (F.col(C.RUN_ID) == evaluated.run_id) & F.col(C.MODEL).isin(model, Models.POPULAR)
    )
    names = (C.MODEL, C.SLICE, C.METRIC, C.K, C.VALUE, C.CI_LOW, C.CI_HIGH, C.N)
    return CardData(
        name=name,
        model=model,
        train_run=trained.run_id,
        made_at=datetime.now(UTC),
        protocol=config.split.protocol.replace("_", " "),
        tables=dict(trained.inputs),
        items=len(contents.items),
        events=trained.rows_in,
        wordless=None if contents.text is None else int((~contents.text.vectors.any(axis=1)).sum()),
        no_text=packed.no_text,
        known_users=0 if contents.users is None else len(contents.users.ids),
        metric=config.promote.metric,
        k=config.promote.k,
        rows=[MetricRow(*row) for row in rows.select(*names).collect()],
    )


def _fingerprints(config: EncoderConfig) -> list[str]:
    """Of the encoder at any precision: cosines of fp32 with vectors of another one differ in the third digit."""
    return [fingerprint(config.model_copy(update={"precision": precision})) for precision in ("fp32", "bf16", "int8")]
