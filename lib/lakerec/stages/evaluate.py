"""Rank the whole catalogue for the test users with every fitted model; write lists and metrics.

    test users' history (train + valid) → model → scores → items met masked → top depth ─┬─ eval/predictions
                                                                                        └─ figures a user → eval/metrics

Some users at a time: their lists are written and judged, and only a few numbers a user are kept.

Slices: `all`; those of users, of items and of groups (`lakerec.evaluation.slices`); `fp16` and `int8`, the sequence model
with its items in that precision; with several seeds `seed_<n>` for each, and `seeds`, the mean over them with a 95 % t
interval. What the behaviour model says of single events is judged by `lakerec.stages.engagement`; its figures have k = 0.
Where impressions are logged with propensities, slice `off_policy` has what `lakerec.stages.off_policy` estimates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Splits, Tables
from lakerec.config import Config
from lakerec.errors import InputError
from lakerec.evaluation.beyond import Catalogue
from lakerec.evaluation.intervals import interval_over_seeds
from lakerec.evaluation.leakage import summary
from lakerec.evaluation.lists import ALL, Figures, MetricRow
from lakerec.evaluation.slices import gap_rows
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.behaviour import Behaviour
from lakerec.models.catalog import load, seeded
from lakerec.models.compressed import PRECISIONS, compressed
from lakerec.models.data import Histories, Holdout
from lakerec.models.protocol import Recommender
from lakerec.models.slices import Categories
from lakerec.models.topk import recommend
from lakerec.stages import arrays, auditing, engagement, off_policy
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, write_own
from lakerec.stages.slices import Slices, catalogue_of, declared_groups, mean_popularity, slices_of
from lakerec.stages.train import SEEDS
from lakerec.stages.values import rated_tables

if TYPE_CHECKING:
    from pyspark.sql import Row

ROWS_AT_ONCE = 2_000_000
"""Rows of eval/predictions that are judged and written together."""
TRAIN_RUN = "train_run"
"""Detail that names the train run whose models were evaluated."""


@dataclass(frozen=True)
class HeldOut:
    """Whom models are judged on, and what was known before."""

    ids: np.ndarray
    """External ids of the items, object [num_items]."""
    users: np.ndarray
    """External ids of the users, object [n]."""
    holdout: Holdout
    known: Histories
    """Every user's history before the test."""
    categories: Categories
    slices: Slices

    @classmethod
    def read(cls, context: Context, inputs: Inputs) -> Self:
        """Out of the lake."""
        ids = arrays.item_ids(context, inputs)
        users, holdout = arrays.holdout(context, inputs, Splits.TEST)
        known = arrays.known_until(context, inputs, Splits.VALID).histories
        categories = Categories.of_items(arrays.descriptions(context, inputs)[1])
        slices = slices_of(context, inputs, users, holdout, known, categories)
        return cls(ids, users, holdout, known, categories, slices)


@dataclass(frozen=True)
class EvaluationSet(HeldOut):
    """The same with what metrics beyond accuracy need."""

    catalogue: Catalogue
    met: np.ndarray
    """Mean popularity of what each user met, float64 [n]."""

    @classmethod
    def read(cls, context: Context, inputs: Inputs) -> Self:
        """Out of the lake."""
        own = HeldOut.read(context, inputs)
        catalogue = catalogue_of(own.known, arrays.item_vectors(context, inputs, len(own.ids)), own.categories)
        return cls(**vars(own), catalogue=catalogue, met=mean_popularity(own.holdout.histories, catalogue))


def run(context: Context, inputs: Inputs) -> Result:
    trained = _train_run(context, inputs)
    fitted = _fitted(trained)
    declared_groups(context, inputs)  # what is refused is refused before anything is written
    _remove_unfinished(context)
    findings = auditing.audit(context, inputs, trained, fitted[0].parent)
    test = EvaluationSet.read(context, inputs)
    rows: list[MetricRow] = []
    written = 0
    for number, path in enumerate(fitted):
        name = path.name
        context.progress.update(name, number, len(fitted))
        model = load(path)
        found, lines = _judged(context, test, name, model)
        rows, written = rows + found, written + lines
        if name == Models.SEQUENCE:
            rows += _compressed(context, model, test)
        if isinstance(model, Behaviour):
            rows += engagement.figures(context, inputs, model, test.users, test.holdout, len(test.ids))
    estimates, told = off_policy.judge(context, inputs, fitted, len(test.ids))
    rows += estimates
    rows += list(_over_seeds(rows, json.loads(trained.details[SEEDS])))
    context.progress.spark_again()
    write_own(context, [(context.run_id, *astuple(row)) for row in rows if "#" not in row.model], Tables.METRICS)
    figures = {
        f"{row.model}_{row.metric}{f'_at_{row.k}' if row.k else ''}": row.value
        for row in rows
        if row.slice == ALL and "#" not in row.model
    }
    details = {"users": str(len(test.users)), TRAIN_RUN: trained.run_id, auditing.LEAKAGE: summary(findings), **told}
    return Result(rows_in=len(test.users), rows_out=written, details=details, metrics=figures)


def _train_run(context: Context, inputs: Inputs) -> Row:
    """The last train run, whose models fit the data that they are to be judged on.

    Raises:
        InputError: there is none, or it saw other sequences, of which some may now be test rows.
    """
    row = last_run(context.lake, "train")
    if row is None:
        raise InputError("no model has been fitted in this lake: run `lakerec train` first")
    learned = (Tables.SEQUENCES, Tables.ITEM_INDEX, *rated_tables(context.config))
    changed = [table for table in learned if row.inputs.get(table) != inputs.get(table)]
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


def blocks(
    model: Recommender, histories: Histories, depth: int, num_items: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The same, `ROWS_AT_ONCE` places at a time: the first user's index, items and scores [users, depth]."""
    at_once = max(1, ROWS_AT_ONCE // min(depth, num_items))
    for users, part in histories.parts(at_once):
        yield users.start, *lists(model, part, depth, num_items)


def _judged(context: Context, test: EvaluationSet, name: str, model: Recommender) -> tuple[list[MetricRow], int]:
    """A model's figures, and how many rows of its lists were written; of a further seed none, and of `all` alone."""
    config, targets, further = context.config, test.holdout.targets, "#" in name
    items_of = {} if further else test.slices.items
    figures = Figures(targets.offsets, targets.items, len(test.ids), config.evaluate.k, test.catalogue, items_of, test.met)
    written = 0
    shown = blocks(model, test.holdout.histories, config.evaluate.depth, len(test.ids))
    for number, (start, items, scores) in enumerate(shown, start=1):
        figures.add(start, items)
        if not further:
            users = test.users[start : start + len(items)]
            written += _write_lists(context, name, number, users, test.ids, items, scores)
    rest = (config.evaluate.bootstrap, config.seed)
    rows = figures.rows(name, *rest, {} if further else test.slices.of_users)
    for kind, groups in () if further else test.slices.groups.items():
        rows += gap_rows(name, kind, list(groups.values()), figures.per_user(), *rest)
    return rows, written


def _compressed(context: Context, model: Recommender, test: EvaluationSet) -> list[MetricRow]:
    """Of the model with a smaller item table, the precision as the slice."""
    config, targets, rows = context.config.evaluate, test.holdout.targets, []
    for precision in PRECISIONS:
        figures = Figures(targets.offsets, targets.items, len(test.ids), config.k)
        for start, items, _ in blocks(compressed(model, precision), test.holdout.histories, config.depth, len(test.ids)):
            figures.add(start, items)
        found = figures.rows(model.name, config.bootstrap, context.config.seed)
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
    context: Context, name: str, number: int, users: np.ndarray, ids: np.ndarray, items: np.ndarray, scores: np.ndarray
) -> int:
    """Append the lists of a model's block of users, `number` from 1; gives the rows."""
    frame = _predictions(context, name, users, ids, items, scores)
    rows = context.spark.createDataFrame(frame, CONTRACTS[Tables.PREDICTIONS].schema)
    context.lake.append(rows, Tables.PREDICTIONS, f"{context.application}-{name}", number)
    return len(frame)


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


def _asked(config: Config) -> tuple[str, ...]:
    """Tables that are read where the config wants what is made of them."""
    groups = (Tables.USERS,) if config.evaluate.groups else ()
    segments = (Tables.PORTRAITS,) if config.profile.people else ()
    return (*rated_tables(config), *groups, *segments, *off_policy.logged_tables(config))


STAGE = Stage(
    name="evaluate",
    run=run,
    summary="full-catalogue ranking on the test users",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEMS, Tables.ITEM_VECTORS),
    asks_for=_asked,
    writes=(Tables.PREDICTIONS, Tables.METRICS, Tables.LEAKAGE),
    sections=("evaluate",),
    after=("train",),
)
