"""Lists for every user from the champion: exact top-K over the catalogue, met items left out, a reason for each.

    histories → model → top K ─► attributions: what of the history speaks for each item ─► evidence, reason
                                                                                         → serve/recommendations
    some users: how far the score of what leads their list falls without the evidence that is named → details (faithfulness)

The catalogue is today's. Items that came since the champion was fitted are placed by their text, where their vectors are of
the encoder that it knows (see `lakerec.models.newcomers`); they wait for the next champion where they are not.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import InputError
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.newcomers import extended
from lakerec.models.protocol import Recommender
from lakerec.registry import gate
from lakerec.registry.loading import registered
from lakerec.serving.crowd import Crowd
from lakerec.serving.evidence import Explainer, Lists
from lakerec.serving.reasons import Words
from lakerec.stages import arrays, explaining
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.log import event
from lakerec.stages.offering import model_name
from lakerec.stages.serving import its_vectors

SAMPLE, RESAMPLES = 200, 1_000
"""Users whose reasons are put to the test, at most; samples of the bootstrap over them."""
FAITHFULNESS = "faithfulness"
"""Detail: `Faithfulness` as JSON."""
EVIDENCE_TYPE = pa.list_(pa.struct([(C.ITEM_ID, pa.string()), ("share", pa.float64())]))


def run(context: Context, inputs: Inputs) -> Result:
    name = model_name(context.config)
    version = gate.alias_version(context.tracker, name, gate.CHAMPION)
    if version is None:
        raise InputError(f"no champion of {name} is registered: run `lakerec promote` first, and see ops/promotions")
    users, ids = arrays.known_until(context, inputs, Splits.TEST), arrays.item_ids(context, inputs)
    model, its_ids = registered(context.tracker, name, version)
    if set(ids) - set(its_ids):  # else neither MLflow nor the lake need be asked
        vectors = its_vectors(context, inputs, gate.tags_of(context.tracker, name, version), len(ids))
        model, its_ids = with_newcomers(model, its_ids, ids, vectors)
    waiting = len(set(ids) - set(its_ids))
    event("recommend", context.run_id, f"{name}/{version}", items=len(its_ids), waiting=waiting)
    histories = users.histories.renumbered(arrays.renumbering(ids, its_ids))
    hidden = np.flatnonzero(arrays.renumbering(its_ids, ids) < 0)
    explainer = Explainer(model, len(its_ids), hidden, context.config.recommend.attribution)
    segments, names = explaining.segments(context, inputs, users.ids)
    words = Words(explaining.catalogue(context, inputs, its_ids), Crowd.of(histories, len(its_ids), segments, names))
    stamp, tables = (f"{name}/{version}", datetime.now(UTC)), []
    for found in explainer.lists(histories, context.config.recommend.k):
        context.progress.update("users", found.users.start, len(users.ids))
        tables.append(_rows(users.ids[found.users], segments[found.users], its_ids, found, words, stamp))
    told = explainer.faithfulness(histories, SAMPLE, RESAMPLES, context.config.seed)
    context.progress.spark_again()
    rows = pa.concat_tables(tables)
    written = context.spark.createDataFrame(rows, CONTRACTS[Tables.RECOMMENDATIONS].schema)
    context.lake.overwrite(written, Tables.RECOMMENDATIONS)
    details = {"model": stamp[0], "items_waiting": str(waiting), FAITHFULNESS: json.dumps(asdict(told))}
    metrics = {FAITHFULNESS: told.named - told.drawn} if told.users else {}
    return Result(rows_in=len(users.ids), rows_out=len(rows), details=details, metrics=metrics)


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
    return str(gate.alias_version(context.tracker, model_name(context.config), gate.CHAMPION))


def _rows(
    users: np.ndarray, segments: np.ndarray, ids: np.ndarray, found: Lists, words: Words, stamp: tuple[str, datetime]
) -> pa.Table:
    """Rows of serve/recommendations.

    Args:
        users: external ids, and their segments, of the lists' users; ids: external ids of items by dense index.
    """
    rows, ranks = np.nonzero(found.items >= 0)
    items, why = found.items[rows, ranks], [found.why[row][rank] for row, rank in zip(rows, ranks, strict=True)]
    said = [words.reason(*each) for each in zip(items.tolist(), why, segments[rows].tolist(), strict=True)]
    evidence = [[{C.ITEM_ID: ids[item], "share": share} for item, share in own] for own in why]
    columns = {
        C.USER_ID: pa.array(users[rows], pa.string()), C.RANK: pa.array(ranks + 1, pa.int32()),
        C.ITEM_ID: pa.array(ids[items], pa.string()), C.SCORE: pa.array(found.scores[rows, ranks], pa.float64()),
        C.REASON: pa.array(said, pa.string()), C.EVIDENCE: pa.array(evidence, EVIDENCE_TYPE),
        C.MODEL_VERSION: pa.array([stamp[0]] * len(rows), pa.string()),
        C.GENERATED_AT: pa.array([stamp[1]] * len(rows), pa.timestamp("us", "UTC")),
    }  # fmt: skip
    return pa.table({name: columns[name] for name in CONTRACTS[Tables.RECOMMENDATIONS].names})


STAGE = Stage(
    name="recommend",
    run=run,
    summary="lists for every user, each with a reason",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEM_VECTORS, Tables.PROMOTIONS, *explaining.READ),
    writes=(Tables.RECOMMENDATIONS,),
    sections=("recommend", "promote"),
    after=("promote",),
    fingerprint=serving,
)
