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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakerec.columns import Columns as C
from lakerec.columns import Models, Tables
from lakerec.errors import IntegrityError, PromotionError
from lakerec.evaluation.lists import ALL
from lakerec.evaluation.significance import paired_gain, slice_tests
from lakerec.models.catalog import load
from lakerec.models.compressed import compressed
from lakerec.registry import gate
from lakerec.registry.card import card
from lakerec.registry.packaging import register
from lakerec.stages import auditing, comparing, drifting, evaluate, ledger, packing, starting
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, write_own
from lakerec.stages.comparing import Present
from lakerec.stages.evaluate import TRAIN_RUN, HeldOut
from lakerec.stages.offering import Offer

if TYPE_CHECKING:
    from pyspark.sql import Row


def run(context: Context, inputs: Inputs) -> Result:
    """Decide, as often as other runs decide first."""
    offer = Offer.read(context, inputs)
    for _ in range(ledger.TRIES):
        result = _decided(context, inputs, offer)
        if result is not None:
            return result
    raise PromotionError(
        f"{offer.name}: other runs decided first at each of {ledger.TRIES} tries: run `lakerec promote` again"
    )


def _decided(context: Context, inputs: Inputs, offer: Offer) -> Result | None:
    """One decision, recorded; None where another run recorded one since it began."""
    name, known = offer.name, ledger.entries(context, offer.name)
    before = ledger.unfinished(context, known)
    if before is not None and before["promoted"]:
        ledger.follow(context, name)
    champion = gate.alias_version(context.tracker, name, gate.CHAMPION)
    model, why = offer.model(context, champion)
    version = _registered(context, inputs, offer, model)
    gate.set_alias(context.tracker, name, gate.CHALLENGER, version)
    value = offer.values[model]
    if before is not None and before["promoted"] and before["challenger"] == champion == version:
        decision = gate.Decision(True, before[C.REASONS])  # a run that was killed took it
    elif champion == version:
        decision = gate.Decision(True, ["it is the champion already"])
    else:
        evidence, notes = _evidence(context, inputs, offer, model, version, champion)
        evidence = replace(evidence, withdrawn=ledger.withdrawn(known, version))
        decision = gate.judge(evidence, context.config.promote)
        decision = replace(decision, reasons=[*why, *decision.reasons, *notes])
        value = evidence.whole if evidence.value is None else evidence.value
        entry = ledger.Entry(
            ledger.PROMOTE, version, champion, decision, offer.evaluated.run_id, offer.trained.run_id,
            offer.trained.details.get(starting.ENCODER), value, evidence.champion,
        )  # fmt: skip
        _write_comparison(context, evidence)
        if not ledger.record(context, name, entry, known):
            return None
        champion = ledger.follow(context, name) if decision.promoted else champion
    copied = {} if champion is None else ledger.copied(context, name, champion)
    details = {
        "model": model, "version": version, "promoted": str(decision.promoted).lower(),
        "reasons": json.dumps(decision.reasons), "champion": str(champion), **copied,
    }  # fmt: skip
    return Result(rows_in=1, rows_out=int(decision.promoted), details=details, metrics={"test_value": value})


def _evidence(
    context: Context, inputs: Inputs, offer: Offer, model: str, version: str, champion: str | None
) -> tuple[gate.Evidence, list[str]]:
    """What was measured of the challenger, and of the champion beside it; and what is to be known of the comparison."""
    config, test = context.config.promote, Present.of(HeldOut.read(context, inputs))
    baseline = None if model == Models.POPULAR else offer.values.get(Models.POPULAR)
    notes = ["plain popularity was not fitted: not compared with it"] if baseline is None and model != Models.POPULAR else []
    own = comparing.measure(context, offer.name, version, test)
    as_judged = config.table == "fp32"
    alone = gate.Evidence(
        whole=offer.values[model] if as_judged else own.value,
        baseline=baseline,
        latency_ms=own.latency_ms,
        packaged=own.value if as_judged else None,
        unscored=own.unscored,
        leaks=auditing.refusals(context, offer.evaluated.run_id, offer.trained.run_id),
        drifted=_drifted(context, offer.trained),
    )
    if champion is None or own.unscored:
        return alone, notes
    rest, told = _others(context, inputs, offer.name, champion, test)
    notes += told
    if not len(rest.users):
        return alone, notes
    own = own if rest is test else comparing.measure(context, offer.name, version, rest)
    try:
        serving = comparing.measure(context, offer.name, champion, rest)
    except IntegrityError as error:  # nor would it be read to serve
        return alone, [*notes, f"not compared with the champion: {error}"]
    return _compared(context, alone, own, serving), notes


def _others(context: Context, inputs: Inputs, name: str, champion: str, test: Present) -> tuple[Present, list[str]]:
    """The test of the users whom both can be compared on, and what is to be known of it.

    A champion that learned from events that are test now, as by another cut, would be flattered by them.
    """
    trained = gate.tags_of(context.tracker, name, champion).get(TRAIN_RUN)
    known, unknown = starting.known_test_users(context, inputs, trained)
    if unknown:
        return test, [f"whether the champion learned from events that are test now is not known: {unknown}"]
    if not known:
        return test, []
    rest = test.without(known)
    others = "compared on the others" if len(rest.users) else "nobody else is there to compare on"
    return rest, [f"the champion learned from events of {len(known)} users that are test now: {others}"]


def _compared(
    context: Context, alone: gate.Evidence, own: comparing.Measured, champion: comparing.Measured
) -> gate.Evidence:
    config, resamples, seed = context.config.promote, context.config.evaluate.bootstrap, context.config.seed
    pairs = comparing.pairs(own, champion)
    gain = paired_gain(pairs.pop(ALL), champion.value * config.minimum_gain, resamples, seed)
    allowed = max(config.guardrails.slices, -config.minimum_gain)
    return replace(
        alone,
        value=own.value,
        champion=champion.value,
        gain=gain,
        slices=slice_tests(pairs, allowed, resamples, seed),
        coverage=(own.coverage, champion.coverage),
    )


def _drifted(context: Context, trained: Row) -> list[str]:
    """Why `lakerec drift` said, since a model was fitted, to fit again."""
    looked = last_run(context.lake, drifting.NAME)
    if looked is None or looked.started_at < trained.started_at or looked.details["retrain"] != "true":
        return []
    found: list[str] = json.loads(looked.details["reasons"])
    return found


def _write_comparison(context: Context, evidence: gate.Evidence) -> None:
    """eval/comparison: the whole and each slice; none where they were not compared."""
    if evidence.gain is None:
        if context.lake.exists(Tables.COMPARISON):
            write_own(context, [], Tables.COMPARISON)  # an earlier try of this run may have compared
        return
    config = context.config.promote
    whole = (ALL, evidence.value, evidence.champion, evidence.gain, None, None, None)
    parts = [(t.name, t.challenger, t.champion, t.gain, t.p, t.p_adjusted, t.worse) for t in evidence.slices]
    rows = [
        (context.run_id, name, config.metric, config.k, mine, before, gain.value, gain.ci_low, gain.ci_high, *p, gain.n)
        for name, mine, before, gain, *p in (whole, *parts)
    ]
    write_own(context, rows, Tables.COMPARISON)


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
