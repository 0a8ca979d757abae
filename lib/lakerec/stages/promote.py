"""The best model by validation, or the one asked for, becomes the challenger; the gate compares it with the champion.

train's validation values → best model, or promote.model → registered version, alias challenger
its test metric, the champion's on the same test → decision → row in ops/promotions → alias champion

The ledger is written before the alias moves, and a version carries the run that made it: after a kill the next run
finds the version, decides the same, and writes nothing a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Splits, Tables
from lakerec.errors import ConfigError, InputError, PromotionError
from lakerec.evaluation.lists import ALL, evaluate_lists
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.catalog import load
from lakerec.models.compressed import compressed
from lakerec.models.data import Holdout
from lakerec.registry import gate
from lakerec.registry.card import card
from lakerec.registry.copying import follow
from lakerec.registry.packaging import register
from lakerec.stages import arrays, packing, starting
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run
from lakerec.stages.evaluate import TRAIN_RUN, lists

if TYPE_CHECKING:
    from pyspark.sql import Row

VALID = "valid_ndcg_"


def run(context: Context, inputs: Inputs) -> Result:
    config, name = context.config.promote, model_name(context)
    trained, evaluated = judged(context, inputs)
    values = _test_values(context, evaluated.run_id)
    champion = gate.alias_version(context.tracker, name, gate.CHAMPION)
    chosen = offered(dict(trained.details), config.model)
    model, why = candidate(chosen, values, champion, "asked for" if config.model else "chosen on validation")
    if config.model and model == chosen:
        why = [f"{model} was asked for, validation likes {best_by_validation(dict(trained.details))} best"]
    version = _registered(context, inputs, name, model, trained, evaluated)
    if config.table != "fp32":
        values |= {model: _version_value(context, inputs, name, version) or 0.0}
    gate.set_alias(context.tracker, name, gate.CHALLENGER, version)
    if champion == version:
        decision = gate.Decision(True, ["it is the champion already"])
    else:
        before, decision = _decided(context, inputs, name, version, champion, values, model)
        decision = replace(decision, reasons=[*why, *decision.reasons])
        _ledger(context, name, version, champion, decision, values[model], before, evaluated.run_id)
    copied = {}
    if decision.promoted:
        gate.set_alias(context.tracker, name, gate.CHAMPION, version)
        if config.copy_to is not None:
            copied = {"copied_to": f"{config.copy_to.name}/{follow(context.tracker, name, version, config.copy_to)}"}
    details = {
        "model": model, "version": version, "promoted": str(decision.promoted).lower(),
        "reasons": json.dumps(decision.reasons), "champion": version if decision.promoted else str(champion), **copied,
    }  # fmt: skip
    return Result(rows_in=1, rows_out=int(decision.promoted), details=details, metrics={"test_value": values[model]})


def _decided(
    context: Context,
    inputs: Inputs,
    name: str,
    version: str,
    champion: str | None,
    values: Mapping[str, float],
    model: str,
) -> tuple[float | None, gate.Decision]:
    """The champion's metric on the present test, None where it cannot be compared with; and the gate's decision.

    A champion that learned from events that are test now, as by another cut, would be flattered by them: both are then
    compared on the other users.
    """
    value, gain = values[model], context.config.promote.minimum_gain
    baseline = values.get(Models.POPULAR) if model != Models.POPULAR else None
    notes = ["plain popularity was not fitted: not compared with it"] if baseline is None and model != Models.POPULAR else []
    alone = gate.decide(value, None, baseline, gain)
    if champion is None:
        return None, replace(alone, reasons=[*alone.reasons, *notes])
    known, unknown = starting.known_test_users(context, inputs, gate.tags_of(context.tracker, name, champion).get(TRAIN_RUN))
    before = _version_value(context, inputs, name, champion, known)
    decision = gate.decide(value, before, baseline, gain)
    if unknown:
        notes.append(f"whether the champion learned from events that are test now is not known: {unknown}")
    if known:
        rest = _version_value(context, inputs, name, version, known)
        decision = alone if rest is None or not alone.promoted else gate.decide(rest, before, None, gain)
        others = "nobody else is there to compare on" if rest is None else "compared on the others"
        notes.append(f"the champion learned from events of {len(known)} users that are test now: {others}")
    return before, replace(decision, reasons=[*decision.reasons, *notes])


def model_name(context: Context) -> str:
    """The registered model's name."""
    return context.config.promote.model_name or f"lakerec-{context.config.name}"


def best_by_validation(details: dict[str, str]) -> str:
    """The model with the highest validation NDCG@10; the test has no say in it."""
    values = {key.removeprefix(VALID): float(value) for key, value in details.items() if key.startswith(VALID)}
    return max(values, key=values.__getitem__)


def offered(details: dict[str, str], asked: str | None) -> str:
    """The model that the config asks for, or validation's best.

    Raises:
        ConfigError: what it asks for was not fitted.
    """
    if asked is not None and f"{VALID}{asked}" not in details:
        fitted = ", ".join(key.removeprefix(VALID) for key in details if key.startswith(VALID))
        raise ConfigError(f"promote.model: `{asked}` was not fitted by the last train run, which has {fitted}")
    return asked or best_by_validation(details)


def candidate(
    chosen: str, values: Mapping[str, float], champion: str | None, how: str = "chosen on validation"
) -> tuple[str, list[str]]:
    """The model to register, and why it is not the one that was chosen, if so.

    Where nothing serves yet and the chosen model does not beat plain popularity, popularity serves until one does.
    """
    baseline = values.get(Models.POPULAR)
    if champion is not None or baseline is None or values[chosen] > baseline or chosen == Models.POPULAR:
        return chosen, []
    return Models.POPULAR, [f"{chosen}, {how}, has {values[chosen]:.4f}: plain popularity serves until one beats it"]


def judged(context: Context, inputs: Inputs) -> tuple[Row, Row]:
    """The last train run and the evaluation of its models on the present test.

    Raises:
        InputError: there is none, or what was evaluated is not what was trained last or not on this test.
    """
    trained, evaluated = last_run(context.lake, "train"), last_run(context.lake, "evaluate")
    if trained is None or evaluated is None:
        raise InputError("no model was fitted and judged here: run `lakerec train` and `lakerec evaluate` first")
    if evaluated.details.get(TRAIN_RUN) != trained.run_id:
        raise InputError("eval/metrics is of an earlier train run than the last one: run `lakerec evaluate` first")
    if evaluated.inputs.get(Tables.SEQUENCES) != inputs[Tables.SEQUENCES]:
        raise InputError(
            "gold/sequences has changed since eval/metrics was written: run `lakerec train` and `lakerec evaluate` first"
        )
    return trained, evaluated


def _test_values(context: Context, run_id: str) -> dict[str, float]:
    """The promoted metric of each model on the test users."""
    config = context.config.promote
    rows = context.lake.read(Tables.METRICS).where(
        (F.col(C.RUN_ID) == run_id) & (F.col(C.SLICE) == ALL) & (F.col(C.METRIC) == config.metric) & (F.col(C.K) == config.k)
    )
    values = {row[C.MODEL]: float(row[C.VALUE]) for row in rows.collect()}
    if not values:
        raise PromotionError(f"promote.k: {config.metric}@{config.k} was not evaluated: add {config.k} to evaluate.k")
    return values


def _registered(context: Context, inputs: Inputs, name: str, model: str, trained: Row, evaluated: Row) -> str:
    """The version of this train run's model, registered unless an earlier try came so far."""
    table = context.config.promote.table
    tags = {TRAIN_RUN: trained.run_id, "model": model, "table": table, **packing.tags(context.config.promote)}
    found = gate.version_with(context.tracker, name, tags)
    if found is not None:
        return found
    recommender = load(Path(trained.details["folder"]) / model)
    recommender = recommender if table == "fp32" else compressed(recommender, table)
    encoder = {starting.ENCODER: trained.details.get(starting.ENCODER, "")}
    package = packing.packed(context, inputs, recommender)
    described = card(packing.card_data(context, package, name, model, trained, evaluated))
    return register(context.tracker, name, package.contents, tags | encoder, described)


def _version_value(
    context: Context, inputs: Inputs, name: str, version: str, without: frozenset[str] = frozenset()
) -> float | None:
    """A registered version's metric on the present test, measured anew; items are matched by their external ids.

    Args:
        without: user_id of those who are left out; None is given where nobody is left.
    """
    config = context.config.promote
    model, its_ids = gate.registered(context.tracker, name, version)
    ids = arrays.item_ids(context, inputs)
    there, back = arrays.renumbering(ids, its_ids), arrays.renumbering(its_ids, ids)
    users, holdout = arrays.holdout(context, inputs, Splits.TEST)
    if without:
        holdout = holdout.take(np.array([place for place, user in enumerate(users) if user not in without], dtype=int))
    if not len(holdout.histories):
        return None
    asked = Holdout(holdout.histories.renumbered(there), holdout.targets)
    items, _ = lists(model, asked.histories, context.config.evaluate.depth, len(its_ids), np.flatnonzero(back < 0))
    shown = np.where(items >= 0, back[items], -1)
    rows = evaluate_lists(
        model.name, shown, asked.targets.offsets, asked.targets.items, len(ids), [config.k],
        context.config.evaluate.bootstrap, context.config.seed,
    )  # fmt: skip
    return next(row.value for row in rows if row.metric == config.metric)


def _ledger(
    context: Context,
    name: str,
    version: str,
    champion: str | None,
    decision: gate.Decision,
    value: float,
    before: float | None,
    evaluated: str,
) -> None:
    """One row in ops/promotions, whatever was decided; the same decision taken again after a kill adds none."""
    config = context.config.promote
    decided = (name, version, champion, decision.promoted, config.metric, config.k, value, before, decision.reasons)
    row = (datetime.now(UTC), *decided, context.run_id)
    frame = context.spark.createDataFrame([row], CONTRACTS[Tables.PROMOTIONS].schema)
    same = hashlib.sha256(json.dumps([evaluated, *decided]).encode()).hexdigest()[:16]
    context.lake.append(frame, Tables.PROMOTIONS, f"promote-{same}", 1)


STAGE = Stage(
    name="promote",
    run=run,
    summary="the gate: champion only if better",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.METRICS),
    writes=(Tables.PROMOTIONS,),
    sections=("promote", "tracking"),
    after=("train", "evaluate"),
)
