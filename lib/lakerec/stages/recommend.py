"""Lists for every user from the champion: exact top-K over the catalogue, met items left out, a reason for each.

The catalogue is today's. Items that came since the champion was fitted are placed by their text, where their vectors are of
the encoder that it knows (see `lakerec.models.newcomers`); they wait for the next champion where they are not.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import InputError
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.newcomers import extended
from lakerec.models.protocol import Recommender
from lakerec.models.topk import recommend
from lakerec.registry import gate
from lakerec.registry.loading import registered
from lakerec.serving.reasons import reasons
from lakerec.stages import arrays, starting
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.log import event
from lakerec.stages.promote import model_name


def run(context: Context, inputs: Inputs) -> Result:
    name = model_name(context)
    version = gate.alias_version(context.tracker, name, gate.CHAMPION)
    if version is None:
        raise InputError(f"no champion of {name} is registered: run `lakerec promote` first, and see ops/promotions")
    users, ids = arrays.known_until(context, inputs, Splits.TEST), arrays.item_ids(context, inputs)
    vectors = arrays.item_vectors(context, inputs, len(ids))
    model, its_ids = registered(context.tracker, name, version)
    if set(ids) - set(its_ids):  # else neither MLflow nor the lake need be asked
        encoder = gate.tags_of(context.tracker, name, version).get(starting.ENCODER)
        if encoder == starting.encoder_of(context, inputs):
            model, its_ids = with_newcomers(model, its_ids, ids, vectors)
    waiting = len(set(ids) - set(its_ids))
    event("recommend", context.run_id, f"{name}/{version}", items=len(its_ids), waiting=waiting)
    back = arrays.renumbering(its_ids, ids)
    histories = users.histories.renumbered(arrays.renumbering(ids, its_ids))
    titles, categories = arrays.descriptions(context, inputs)
    stamp = (f"{name}/{version}", datetime.now(UTC))
    frames = []
    for part, found, scores in recommend(
        model, histories, context.config.recommend.k, len(its_ids), np.flatnonzero(back < 0)
    ):
        context.progress.update("users", part.start, len(users.ids))
        items = np.where(found >= 0, back[found], -1)
        met = [users.histories.row(user) for user in range(part.start, part.stop)]
        why = [reasons(row, own, vectors, titles, categories) for row, own in zip(items, met, strict=True)]
        frames.append(_frame(users.ids[part], ids, items, scores, why, stamp))
    context.progress.spark_again()
    rows = pd.concat(frames)
    written = context.spark.createDataFrame(rows, CONTRACTS[Tables.RECOMMENDATIONS].schema)
    context.lake.overwrite(written, Tables.RECOMMENDATIONS)
    details = {"model": stamp[0], "items_waiting": str(waiting)}
    return Result(rows_in=len(users.ids), rows_out=len(rows), details=details)


def with_newcomers(
    model: Recommender, its_ids: np.ndarray, ids: np.ndarray, vectors: np.ndarray | None
) -> tuple[Recommender, np.ndarray]:
    """The model, and the external ids that it knows, with those of `ids` behind that it did not know and that have a text.

    Args:
        vectors: float32 [len(ids), d], zero rows where an item has no text; None: no item has.
    """
    if vectors is None:
        return model, its_ids
    new = np.flatnonzero((arrays.renumbering(ids, its_ids) < 0) & vectors.any(axis=1))
    if not len(new):
        return model, its_ids
    return extended(model, vectors[new], len(its_ids)), np.concatenate([its_ids, ids[new]])


def serving(context: Context) -> str:
    """The champion's version: an alias that was moved in MLflow makes the lists stale."""
    return str(gate.alias_version(context.tracker, model_name(context), gate.CHAMPION))


def _frame(
    users: np.ndarray,
    ids: np.ndarray,
    items: np.ndarray,
    scores: np.ndarray,
    why: list[list[str]],
    stamp: tuple[str, datetime],
) -> pd.DataFrame:
    rows, ranks = np.nonzero(items >= 0)
    return pd.DataFrame(
        {
            C.USER_ID: users[rows], C.RANK: (ranks + 1).astype(np.int32), C.ITEM_ID: ids[items[rows, ranks]],
            C.SCORE: scores[rows, ranks].astype(float), C.REASON: [text for texts in why for text in texts],
            C.MODEL_VERSION: stamp[0], C.GENERATED_AT: stamp[1],
        }
    )  # fmt: skip


STAGE = Stage(
    name="recommend",
    run=run,
    summary="lists for every user, each with a reason",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEMS, Tables.ITEM_VECTORS, Tables.PROMOTIONS),
    writes=(Tables.RECOMMENDATIONS,),
    sections=("recommend", "promote"),
    after=("promote",),
    fingerprint=serving,
)
