"""The best model by validation, or the one asked for, becomes the challenger; the gate compares it with the champion.

    train's validation values → best model, or promote.model → registered version, alias challenger
    challenger, champion on the same test ─► metric, paired gain, slices, coverage, time ─► eval/comparison
                                  the leakage audit, the last look at drift ─┐
                                                                             ▼
                                                  decision, with reasons → ops/promotions → alias champion

What is compared is what would serve: the registered packages, loaded anew. The ledger is written before the alias moves
(see `lakerec.stages.ledger`), and a version carries the run that made it: after a kill the next run finds the version and
the decision, and writes nothing a second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Tables
from lakerec.errors import ConfigError, InputError, PromotionError
from lakerec.evaluation.lists import ALL
from lakerec.evaluation.significance import paired_gain, slice_tests
from lakerec.models.catalog import load
from lakerec.models.compressed import compressed
from lakerec.registry import gate
from lakerec.registry.card import card
from lakerec.registry.packaging import register
from lakerec.stages import comparing, evaluate, ledger, packing, starting
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, write_own
from lakerec.stages.comparing import Present
from lakerec.stages.evaluate import TRAIN_RUN, EvaluationSet

if TYPE_CHECKING:
    from pyspark.sql import Row

VALID = "valid_ndcg_"


@dataclass(frozen=True)
class Offer:
    """What is put to the gate."""

    name: str
    """Registered."""
    trained: Row
    evaluated: Row
    values: Mapping[str, float]
    """The promoted metric of each model on the test users."""


def run(context: Context, inputs: Inputs) -> Result:
    """Decide, as often as other runs decide first."""
    trained, evaluated = judged(context, inputs)
    offer = Offer(model_name(context), trained, evaluated, _test_values(context, evaluated.run_id))
    for _ in range(ledger.TRIES):
        result = _decided(context, inputs, offer)
        if result is not None:
            return result
    raise PromotionError(
        f"{offer.name}: other runs decided first at each of {ledger.TRIES} tries: run `lakerec promote` again"
    )


def _decided(context: Context, inputs: Inputs, offer: Offer) -> Result | None:
    """One decision, recorded; None where another run recorded one since it began."""
    known = ledger.entries(context, offer.name)
    champion = gate.alias_version(context.tracker, offer.name, gate.CHAMPION)
    model, why = _model(context, offer, champion)
    version = _registered(context, inputs, offer, model)
    gate.set_alias(context.tracker, offer.name, gate.CHALLENGER, version)
    value = offer.values[model]
    if champion == version:
        decision = gate.Decision(True, ["it is the champion already"])
    elif earlier := ledger.taken(known, version, champion, offer.evaluated.run_id):
        decision, value = gate.Decision(earlier["promoted"], earlier[C.REASONS]), earlier["challenger_value"]
    else:
        evidence, notes = _evidence(context, inputs, offer, model, version, champion)
        evidence = replace(evidence, withdrawn=ledger.withdrawn(known, version))
        decision = gate.judge(evidence, context.config.promote)
        decision = replace(decision, reasons=[*why, *decision.reasons, *notes])
        value = evidence.value
        entry = ledger.Entry(
            ledger.PROMOTE, version, champion, decision, offer.evaluated.run_id, offer.trained.run_id,
            offer.trained.details.get(starting.ENCODER), value, evidence.champion,
        )  # fmt: skip
        _write_comparison(context, evidence)
        if not ledger.record(context, offer.name, entry, known):
            return None
    copied = {}
    if decision.promoted:
        champion = ledger.follow(context, offer.name)
        copied = ledger.copied(context, offer.name, champion)
    details = {
        "model": model, "version": version, "promoted": str(decision.promoted).lower(),
        "reasons": json.dumps(decision.reasons), "champion": str(champion), **copied,
    }  # fmt: skip
    return Result(rows_in=1, rows_out=int(decision.promoted), details=details, metrics={"test_value": value})


def _model(context: Context, offer: Offer, champion: str | None) -> tuple[str, list[str]]:
    """The model that is offered, and why it is not validation's best, if so."""
    asked, details = context.config.promote.model, dict(offer.trained.details)
    chosen = offered(details, asked)
    model, why = candidate(chosen, offer.values, champion, "asked for" if asked else "chosen on validation")
    if asked and model == chosen:
        why = [f"{model} was asked for, validation likes {best_by_validation(details)} best"]
    return model, why


def _evidence(
    context: Context, inputs: Inputs, offer: Offer, model: str, version: str, champion: str | None
) -> tuple[gate.Evidence, list[str]]:
    """What was measured of the challenger, and of the champion beside it; and what is to be known of the comparison.

    A champion that learned from events that are test now, as by another cut, would be flattered by them: both are then
    compared on the other users.
    """
    config, test = context.config.promote, Present.of(EvaluationSet.read(context, inputs))
    baseline = None if model == Models.POPULAR else offer.values.get(Models.POPULAR)
    notes = ["plain popularity was not fitted: not compared with it"] if baseline is None and model != Models.POPULAR else []
    own = comparing.measure(context, offer.name, version, test)
    as_judged = config.table == "fp32"
    alone = gate.Evidence(
        value=offer.values[model] if as_judged else own.value,
        baseline=baseline,
        latency_ms=own.latency_ms,
        packaged=own.value if as_judged else None,
        unscored=own.unscored,
        leaks=_leaks(context, offer.evaluated.run_id),
        drifted=_drifted(context, offer.trained),
    )
    if champion is None or not gate.judge(alone, config).promoted:
        return alone, notes
    known, unknown = starting.known_test_users(
        context, inputs, gate.tags_of(context.tracker, offer.name, champion).get(TRAIN_RUN)
    )
    if unknown:
        notes.append(f"whether the champion learned from events that are test now is not known: {unknown}")
    if known:
        test = test.without(known)
        others = "compared on the others" if len(test.users) else "nobody else is there to compare on"
        notes.append(f"the champion learned from events of {len(known)} users that are test now: {others}")
        if not len(test.users):
            return alone, notes
        own = comparing.measure(context, offer.name, version, test)
        alone = replace(alone, value=own.value, packaged=None, baseline=None)
    return _beside(context, alone, own, comparing.measure(context, offer.name, champion, test)), notes


def _leaks(context: Context, run_id: str) -> list[str]:
    """Checks of an evaluation's audit that failed; evaluate fails by them itself, so this is a second lock."""
    rows = context.lake.read(Tables.LEAKAGE).where((F.col(C.RUN_ID) == run_id) & ~F.col(C.OK))
    return [row[C.CHECK] for row in rows.collect()]


def _drifted(context: Context, trained: Row) -> list[str]:
    """Why `lakerec drift` said, since a model was fitted, to fit again."""
    looked = last_run(context.lake, "drift")
    if looked is None or looked.started_at < trained.started_at or looked.details["retrain"] != "true":
        return []
    found: list[str] = json.loads(looked.details["reasons"])
    return found


def _beside(context: Context, alone: gate.Evidence, own: comparing.Measured, champion: comparing.Measured) -> gate.Evidence:
    """The same with how it compares with the champion, user by user."""
    config, resamples, seed = context.config.promote, context.config.evaluate.bootstrap, context.config.seed
    pairs = comparing.pairs(own, champion)
    gain = paired_gain(pairs.pop(ALL), champion.value * config.minimum_gain, resamples, seed)
    allowed = max(config.guardrails.slices, -config.minimum_gain)
    return replace(
        alone,
        champion=champion.value,
        gain=gain,
        slices=slice_tests(pairs, allowed, resamples, seed),
        coverage=(own.coverage, champion.coverage),
    )


def _write_comparison(context: Context, evidence: gate.Evidence) -> None:
    """eval/comparison: the whole and each slice."""
    if evidence.gain is None:
        return
    config = context.config.promote
    whole = (ALL, evidence.value, evidence.champion, evidence.gain, None, None, None)
    parts = [(t.name, t.challenger, t.champion, t.gain, t.p, t.p_adjusted, t.worse) for t in evidence.slices]
    rows = [
        (context.run_id, name, config.metric, config.k, mine, before, gain.value, gain.ci_low, gain.ci_high, *p, gain.n)
        for name, mine, before, gain, *p in (whole, *parts)
    ]
    write_own(context, rows, Tables.COMPARISON)


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


def _registered(context: Context, inputs: Inputs, offer: Offer, model: str) -> str:
    """The version of this train run's model, registered unless an earlier try came so far."""
    config, trained = context.config.promote, offer.trained
    tags = {TRAIN_RUN: trained.run_id, "model": model, "table": config.table, **packing.tags(config)}
    found = gate.version_with(context.tracker, offer.name, tags)
    if found is not None:
        return found
    recommender = load(Path(trained.details["folder"]) / model)
    recommender = recommender if config.table == "fp32" else compressed(recommender, config.table)
    encoder = {starting.ENCODER: trained.details.get(starting.ENCODER, "")}
    package = packing.packed(context, inputs, recommender)
    described = card(packing.card_data(context, package, offer.name, model, trained, offer.evaluated))
    return register(context.tracker, offer.name, package.contents, tags | encoder, described)


STAGE = Stage(
    name="promote",
    run=run,
    summary="the gate: champion only if better",
    reads=(*evaluate.STAGE.reads, Tables.METRICS, Tables.LEAKAGE),
    asks_for=evaluate.STAGE.asks_for,
    writes=(Tables.PROMOTIONS, Tables.COMPARISON),
    sections=("promote", "tracking"),
    after=("train", "evaluate"),
    settles_races=True,
)
