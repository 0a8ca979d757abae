"""Rank the whole catalogue for the test users with every fitted model; write lists and metrics.

    test users' history (train + valid) → model → scores → items met masked → top depth → eval/predictions, eval/metrics

Slices: `all`; `cold_items` (only targets with at most five earlier events, of the users who have any) and `sparse_users`
(at most ten events); `fp16` and `int8`, the sequence model with its items in that precision; with several seeds `seed_<n>`
for each, and `seeds`, the mean over them with a 95 % t interval. What the behaviour model says of single events is judged by
`lakerec.stages.engagement`; its figures have k = 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Metrics as MetricNames
from lakerec.columns import Models, Splits, Tables
from lakerec.errors import InputError
from lakerec.evaluation.intervals import interval_over_seeds
from lakerec.evaluation.lists import ALL, MetricRow, evaluate_lists
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.behaviour import Behaviour
from lakerec.models.catalog import load, seeded
from lakerec.models.cold import cold_items
from lakerec.models.compressed import PRECISIONS, compressed
from lakerec.models.data import Histories, Holdout
from lakerec.models.protocol import Recommender
from lakerec.models.topk import recommend
from lakerec.stages import arrays, engagement
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, write_own
from lakerec.stages.train import SEEDS
from lakerec.stages.values import rated_tables

if TYPE_CHECKING:
    from pyspark.sql import Row

ROWS_AT_ONCE = 2_000_000
"""Rows of eval/predictions that are written together."""
SPARSE_USER_EVENTS = 10
COLD_ITEMS, SPARSE_USERS = "cold_items", "sparse_users"
TRAIN_RUN = "train_run"
"""Detail that names the train run whose models were evaluated."""


def run(context: Context, inputs: Inputs) -> Result:
    trained = _train_run(context, inputs)
    _remove_unfinished(context)
    ids = arrays.item_ids(context, inputs)
    users, holdout = arrays.holdout(context, inputs, Splits.TEST)
    cold = cold_targets(context, inputs, holdout, len(ids))
    rows: list[MetricRow] = []
    written = 0
    fitted = _fitted(trained)
    for number, path in enumerate(fitted):
        name = path.name
        context.progress.update(name, number, len(fitted))
        model = load(path)
        items, scores = lists(model, holdout.histories, context.config.evaluate.depth, len(ids))
        rows += _metrics(context, name, items, holdout, len(ids), cold)
        if name == Models.SEQUENCE:
            rows += _compressed(context, model, holdout, len(ids))
        if isinstance(model, Behaviour):
            rows += engagement.figures(context, inputs, model, users, holdout, len(ids))
        if "#" not in name:
            written += _write_lists(context, name, users, ids, items, scores)
    rows += list(_over_seeds(rows, json.loads(trained.details[SEEDS])))
    context.progress.spark_again()
    write_own(context, [(context.run_id, *astuple(row)) for row in rows if "#" not in row.model], Tables.METRICS)
    figures = {
        f"{row.model}_{row.metric}{f'_at_{row.k}' if row.k else ''}": row.value
        for row in rows
        if row.slice == ALL and "#" not in row.model
    }
    details = {"users": str(len(users)), TRAIN_RUN: trained.run_id}
    return Result(rows_in=len(users), rows_out=written, details=details, metrics=figures)


def _train_run(context: Context, inputs: Inputs) -> Row:
    """The last train run, whose models fit the data that they are to be judged on.

    Raises:
        InputError: there is none, or it saw other sequences, of which some may now be test rows.
    """
    row = last_run(context.lake, "train")
    if row is None:
        raise InputError("no model has been fitted in this lake: run `lakerec train` first")
    changed = [table for table in inputs if row.inputs.get(table) != inputs[table]]
    if changed:
        raise InputError(f"{', '.join(changed)} changed since the models were fitted: run `lakerec train` first")
    return row


def _fitted(trained: Row) -> list[Path]:
    """Folders of the models.

    Raises:
        InputError: they are gone.
    """
    folder = Path(trained.details["folder"])
    found = sorted(path.parent for path in folder.glob("*/model.json"))
    if not found:
        raise InputError(f"the fitted models are gone from {folder}: run `lakerec train` first")
    return found


def lists(
    model: Recommender, histories: Histories, depth: int, num_items: int, hidden: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores for each history, [n, depth]; see `lakerec.models.topk.recommend`."""
    parts = list(recommend(model, histories, depth, num_items, hidden))
    return np.concatenate([items for _, items, _ in parts]), np.concatenate([scores for *_, scores in parts])


def cold_targets(context: Context, inputs: Inputs, holdout: Holdout, num_items: int) -> Histories:
    """The targets that few events were known of."""
    items = cold_items(arrays.known_until(context, inputs, Splits.VALID).histories, num_items)
    return holdout.targets.only(items, num_items)


def _metrics(
    context: Context, name: str, items: np.ndarray, holdout: Holdout, num_items: int, cold: Histories
) -> list[MetricRow]:
    """Of all users and targets, of the users with short histories, and of the cold targets alone."""
    config = context.config
    rest = (num_items, config.evaluate.k, config.evaluate.bootstrap, config.seed)
    users, targets = np.flatnonzero(cold.lengths), holdout.targets
    short = {SPARSE_USERS: holdout.histories.lengths <= SPARSE_USER_EVENTS}
    rows = evaluate_lists(name, items, targets.offsets, targets.items, *rest, short)
    if len(users):
        part = cold.take(users)
        few = evaluate_lists(name, items[users], part.offsets, part.items, *rest)
        rows += [replace(row, slice=COLD_ITEMS) for row in few if row.metric != MetricNames.COVERAGE]
    return rows


def _compressed(context: Context, model: Recommender, holdout: Holdout, num_items: int) -> list[MetricRow]:
    """Of the model with a smaller item table, the precision as the slice."""
    config, rows = context.config.evaluate, []
    for precision in PRECISIONS:
        items, _ = lists(compressed(model, precision), holdout.histories, config.depth, num_items)
        targets, rest = holdout.targets, (num_items, config.k, config.bootstrap, context.config.seed)
        found = evaluate_lists(model.name, items, targets.offsets, targets.items, *rest)
        rows += [replace(row, slice=precision) for row in found]
    return rows


def _over_seeds(rows: list[MetricRow], seeds: list[int]) -> Iterator[MetricRow]:
    """For a model with several seeds: a row for each, and their mean."""
    whole = [row for row in rows if row.slice == ALL]
    names = {row.model.split("#")[0] for row in whole if "#" in row.model}
    for key in dict.fromkeys((row.model, row.metric, row.k) for row in whole if row.model in names):
        model, metric, k = key
        of = {row.model: row for row in whole if (row.metric, row.k) == (metric, k)}
        same = [of[seeded(model, seed, seeds)] for seed in seeds]
        for seed, row in zip(seeds, same, strict=True):
            yield replace(row, model=model, slice=f"seed_{seed}")
        mean, low, high = interval_over_seeds(np.array([row.value for row in same]))
        yield MetricRow(model, "seeds", metric, k, mean, low, high, len(same))


def _write_lists(
    context: Context, name: str, users: np.ndarray, ids: np.ndarray, items: np.ndarray, scores: np.ndarray
) -> int:
    """Append one model's lists, some users at a time, so that memory holds those alone; gives the rows."""
    written, at_once = 0, max(1, ROWS_AT_ONCE // items.shape[1])
    for number, start in enumerate(range(0, len(users), at_once), start=1):
        part = slice(start, start + at_once)
        frame = _predictions(context, name, users[part], ids, items[part], scores[part])
        rows = context.spark.createDataFrame(frame, CONTRACTS[Tables.PREDICTIONS].schema)
        context.lake.append(rows, Tables.PREDICTIONS, f"{context.application}-{name}", number)
        written += len(frame)
    return written


def _predictions(
    context: Context, name: str, users: np.ndarray, ids: np.ndarray, items: np.ndarray, scores: np.ndarray
) -> pd.DataFrame:
    shown = items >= 0
    ranks = np.broadcast_to(np.arange(1, items.shape[1] + 1), items.shape)
    return pd.DataFrame(
        {
            C.RUN_ID: context.run_id, C.MODEL: name,
            C.USER_ID: np.broadcast_to(users[:, None], items.shape)[shown],
            C.RANK: ranks[shown].astype(np.int32), C.ITEM_ID: ids[items[shown]], C.SCORE: scores[shown].astype(float),
        }
    )  # fmt: skip


def _remove_unfinished(context: Context) -> None:
    """Rows of earlier finished runs stay, those of a run that was cut short go.

    A run cannot tell one that was cut short from one under way. So it does this before all that takes time, and the other
    one, done once more, removes its own rows alone.
    """
    lake, gone = context.lake, F.col(C.RUN_ID) == context.run_id
    if not context.again:
        runs = lake.read(Tables.RUNS).where("stage = 'evaluate'").select(C.RUN_ID).collect()
        finished = [row[C.RUN_ID] for row in runs]
        gone = ~F.col(C.RUN_ID).isin(finished) if finished else F.lit(True)
    for table in (Tables.PREDICTIONS, Tables.METRICS):
        lake.delete(table, gone)


STAGE = Stage(
    name="evaluate",
    run=run,
    summary="full-catalogue ranking on the test users",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX),
    asks_for=rated_tables,
    writes=(Tables.PREDICTIONS, Tables.METRICS),
    sections=("evaluate",),
    after=("train",),
)
