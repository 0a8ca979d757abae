"""`lakerec backtest`: how models would have done at several moments of the past, and whether they keep their order.

    gold/sequences ─ whole histories ─┬─ before a cutoff ─► fit ─► lists of the whole catalogue ─┐
                                      └─ from it to the next: items that are new to their user ──┴► eval/backtest

Nothing that happened at a cutoff or later is read by the fits that it judges. Splits play no part; what is ranked and wanted
is as in `evaluate`. Of the future the fits know two things: which items the catalogue has, with their texts, and what the
last train run chose by validation, where its config was that of now; else they have the config's own settings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from lakerec.columns import Columns as C
from lakerec.columns import Models, Splits, Tables
from lakerec.config import Config
from lakerec.errors import ConfigError, EmptyDataError, InputError, nearest
from lakerec.evaluation.agreement import kendall
from lakerec.evaluation.lists import MetricRow, evaluate_lists
from lakerec.models.catalog import CHOSEN, setting
from lakerec.models.data import Histories, Holdout, TrainingData, new_targets
from lakerec.models.topk import recommend
from lakerec.stages import arrays, pipeline, train
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, run_stage, write_own
from lakerec.stages.train import NEEDS_MORE, fit_alone, left_out, models_folder
from lakerec.stages.values import Values, rated_tables
from lakerec.training_config import TrainConfig

NAME = "backtest"
ALONE = tuple(name for name in Models.ALL if name not in NEEDS_MORE)
"""Models that histories alone are needed for."""


def backtest(config: Config, watched: bool = False) -> dict[str, Any]:
    """Fit and judge at each cutoff, unless the last backtest was of the same; gives every figure, and how orders agree.

    Raises:
        ConfigError: a model is unknown, or is not fitted on histories alone.
        InputError: there are no histories, or a cutoff has none before it or nothing to be found after it.
    """
    models_of(config)
    with pipeline.opened(config, watched) as context:
        if not context.lake.exists(Tables.SEQUENCES):
            raise InputError("gold/sequences is not there yet: run `lakerec run` first, at least up to embed")
        with context.tracker.pipeline(NAME):
            outcome = run_stage(context, STAGE)
        return {**told(context, outcome.run_id, outcome.row["details"]), "skipped": outcome.skipped}


def models_of(config: Config) -> list[str]:
    """Those that are fitted.

    Raises:
        ConfigError: one is unknown or is not fitted on histories alone, or none is.
    """
    for model in config.backtest.models:
        if model not in ALONE:
            found = "is not fitted on histories alone" if model in NEEDS_MORE else f"is unknown{nearest(model, ALONE)}"
            raise ConfigError(f"backtest.models: `{model}` {found}; allowed: {', '.join(ALONE)}")
    models = config.backtest.models or [model for model in config.train.models if model in ALONE]
    if not models:
        allowed = ", ".join(ALONE)
        raise ConfigError(f"backtest.models: none of train.models is fitted on histories alone: name some of {allowed}")
    return models


@dataclass(frozen=True)
class Fold:
    """One cutoff: what came before it, and what is to be found after it."""

    cutoff: int
    """Epoch seconds."""
    known: np.ndarray
    """Places of the users who did something before it, int64."""
    before: Histories
    """What they did."""
    holdout: Holdout
    """Of the users who did something new to them after it; who did nothing before it has an empty history."""


def cutoffs_of(times: np.ndarray, shares: list[float]) -> list[int]:
    """Quantiles of event time: for each share the event that has it of the others before it, as splits are cut.

    Raises:
        EmptyDataError: there is no event.
    """
    if not len(times):
        raise EmptyDataError("gold/sequences has no event to learn from: see what `lakerec featurize` says")
    return [int(cutoff) for cutoff in np.quantile(times, shares, method="higher")]


def folds(histories: Histories, cutoffs: list[int], num_items: int) -> Iterator[Fold]:
    """One a cutoff; an event at a cutoff belongs to what came after it, which ends where the next cutoff is.

    Raises:
        InputError: nothing lies before a cutoff, or nothing that is new to its user after it.
    """
    for cutoff, end in pairwise([*cutoffs, None]):
        assert cutoff is not None
        before = histories.where(histories.times < cutoff)
        later = histories.times >= cutoff
        after = histories.where(later if end is None else later & (histories.times < end))
        known = np.flatnonzero(before.lengths)
        if not len(known):
            raise InputError(f"backtest.cutoffs: no event lies before {moment(cutoff)}: choose later cutoffs")
        kept, holdout = new_targets(before, after, num_items)
        if not len(kept):
            until = "the end" if end is None else moment(end)
            raise InputError(
                f"backtest.cutoffs: from {moment(cutoff)} to {until} nobody has an item that is new to them: choose others"
            )
        yield Fold(cutoff, known, before.take(known), holdout)


def run(context: Context, inputs: Inputs) -> Result:
    job = Job(context, inputs)
    cutoffs = cutoffs_of(job.users.histories.times, context.config.backtest.cutoffs)
    rows: list[tuple[Any, ...]] = []
    asked: list[int] = []
    try:
        for number, fold in enumerate(folds(job.users.histories, cutoffs, job.num_items)):
            found = []
            for place, model in enumerate(job.models, start=number * len(job.models)):
                context.progress.update(f"{model} before {moment(fold.cutoff)}", place, len(job.models) * len(cutoffs))
                found += job.judge(model, fold)
            context.tracker.log_metrics({f"{row.model}_{row.metric}_at_{row.k}": row.value for row in found}, number)
            rows += [_row(context.run_id, fold.cutoff, row) for row in found]
            asked.append(len(fold.holdout.histories))
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)
    context.progress.spark_again()
    write_own(context, rows, Tables.BACKTEST)
    details = {"users": json.dumps(asked), "settings": job.source, "left_out": json.dumps(job.left_out)}
    return Result(rows_in=len(job.users.histories.items), rows_out=len(rows), details=details)


def _row(run_id: str, cutoff: int, row: MetricRow) -> tuple[Any, ...]:
    """Of eval/backtest."""
    at = datetime.fromtimestamp(cutoff, UTC)
    return (run_id, at, row.model, row.metric, row.k, row.value, row.ci_low, row.ci_high, row.n)


class Job:
    """What all fits share."""

    def __init__(self, context: Context, inputs: Inputs) -> None:
        self.context, self.config = context, context.config.train
        self.scratch = models_folder(context).resolve() / context.run_id
        self.num_items = len(arrays.item_ids(context, inputs))
        wanted = models_of(context.config)
        unfit = left_out(self.config.model_copy(update={"models": wanted}), self.num_items)
        self.left_out, self.models = sorted(unfit), [model for model in wanted if model not in unfit]
        if not self.models:
            raise ConfigError(f"backtest.models: {', '.join(wanted)} cannot bear {self.num_items} items: add one that can")
        self.users = arrays.known_until(context, inputs, Splits.TEST)
        self.vectors = arrays.item_vectors(context, inputs, self.num_items)
        rated = rated_tables(context.config, self.models)
        self.rated = Values.read(context, inputs, self.config.behaviour.rated) if rated else None
        self.chosen, self.source = _chosen(context)

    def judge(self, model: str, fold: Fold) -> list[MetricRow]:
        """Fit a model on what came before a cutoff, and judge its lists by what came after it."""
        values = None if self.rated is None else self.rated.of_events(self.users.ids[fold.known], fold.before)
        data = TrainingData(fold.before, self.num_items, self.vectors, values)
        fitted = fit_alone(self.context.spark, model, data, with_settings(model, self.config, self.chosen), self.scratch)
        config, (asked, targets) = self.context.config, (fold.holdout.histories, fold.holdout.targets)
        items = np.concatenate([each for _, each, _ in recommend(fitted, asked, max(config.evaluate.k), self.num_items)])
        rest = (self.num_items, config.evaluate.k, config.evaluate.bootstrap, config.seed)
        return evaluate_lists(model, items, targets.offsets, targets.items, *rest)


def _chosen(context: Context) -> tuple[dict[str, float], str]:
    """What validation chose in the last train run, and where settings come from: that run's id, or `config`."""
    last = last_run(context.lake, train.STAGE.name)
    if last is None or last.config_digest != context.config.digest("name", "seed", *train.STAGE.sections):
        return {}, "config"
    return json.loads(last.details["settings"]), last.run_id


def with_settings(model: str, config: TrainConfig, chosen: dict[str, float]) -> TrainConfig:
    """The config with what was chosen for a model."""
    for key in CHOSEN.get(model, ()):
        config = config.changed(key, chosen.get(setting(model, key), config.at(key)))
    return config


def moment(seconds: int) -> str:
    """A time for people, UTC.

    >>> moment(1_700_000_000)
    '2023-11-14 22:13'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def told(context: Context, run_id: str, details: Mapping[str, str]) -> dict[str, Any]:
    """Every figure of a run, and of the promoted metric what each model has at each cutoff, the best first."""
    promote = context.config.promote
    own = context.lake.read(Tables.BACKTEST).where(F.col(C.RUN_ID) == run_id).drop(C.RUN_ID)
    in_order = own.withColumn(C.CUTOFF, F.unix_timestamp(C.CUTOFF)).orderBy(C.CUTOFF, C.MODEL, C.METRIC, C.K)
    rows = [row.asDict() for row in in_order.collect()]
    models: dict[str, list[float]] = {}
    for row in rows:
        if (row[C.METRIC], row[C.K]) == (promote.metric, promote.k):
            models.setdefault(row[C.MODEL], []).append(row[C.VALUE])
    models = dict(sorted(models.items(), key=lambda pair: -sum(pair[1])))
    cutoffs = sorted({row[C.CUTOFF] for row in rows})
    by_cutoff = list(map(np.array, zip(*models.values(), strict=True)))
    return {
        "name": context.config.name, "run_id": run_id, "settings": details["settings"],
        "left_out": json.loads(details["left_out"]), "metric": promote.metric, "k": promote.k,
        "cutoffs": [moment(cutoff) for cutoff in cutoffs], "users": json.loads(details["users"]), "models": models,
        "agreement": [kendall(first, second) for first, second in pairwise(by_cutoff)],
        "rows": [{**row, C.CUTOFF: moment(row[C.CUTOFF])} for row in rows],
    }  # fmt: skip


def print_backtest(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns where there are up to four cutoffs."""
    console, cutoffs = Console(highlight=False), result["cutoffs"]
    days = [cutoff.split()[0] for cutoff in cutoffs]
    heads = days if len(set(days)) == len(days) else [cutoff.replace(" ", "\n") for cutoff in cutoffs]
    table = Table(box=None, padding=(0, 1))
    table.add_column("model")
    for name in (*heads, "mean"):
        table.add_column(name, justify="right")
    for model, values in result["models"].items():
        table.add_row(model, *[f"{value:.4f}" for value in (*values, sum(values) / len(values))])
    table.add_row("users", *[f"{users:,}" for users in result["users"]], "")
    console.print(table)
    figure = f"{result['metric']}@{result['k']}"
    console.print(f"{figure} of models fitted on what came before each date, on what came from it to the next.")
    if said := order_in_words(result["agreement"]):
        console.print(said)
    if result["left_out"]:
        console.print(f"left out, since the catalogue is too large for them: {', '.join(result['left_out'])}")


def order_in_words(agreement: list[float | None]) -> str:
    """Whether models keep their order from each cutoff to the next; nothing where there is no order to keep.

    >>> order_in_words([1.0, 1.0])
    'The models have the same order at each cutoff.'
    >>> order_in_words([1.0, 0.3333])
    "The order of the models changes: Kendall's tau from each cutoff to the next is 1.00, 0.33."
    """
    known = [tau for tau in agreement if tau is not None]
    if not known:
        return ""
    if min(known) > 1 - 1e-9 and len(known) == len(agreement):
        return "The models have the same order at each cutoff."
    told = ", ".join("-" if tau is None else f"{tau:.2f}" for tau in agreement)
    return f"The order of the models changes: Kendall's tau from each cutoff to the next is {told}."


STAGE = Stage(
    name=NAME,
    run=run,
    summary="models fitted and judged at several moments of the past",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEM_VECTORS),
    asks_for=lambda config: rated_tables(config, models_of(config)),
    writes=(Tables.BACKTEST,),
    sections=("backtest", "evaluate", "train"),
    after=("train",),
)
