"""The gate: a challenger becomes champion only when it is better and nothing speaks against it, and says why either way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lakerec.evaluation.significance import Gain, SliceTest
from lakerec.judging_config import GuardrailConfig, PromoteConfig
from lakerec.registry.tracking import Tracker

CHAMPION, CHALLENGER = "champion", "challenger"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What a store answers where the model or the alias does not exist; anything else is a store that cannot be asked."""
SAME = 1e-4
"""Difference of two metrics that rounding explains: a package scores users in other groups than evaluate does."""


@dataclass(frozen=True)
class Decision:
    """What the gate decided."""

    promoted: bool
    reasons: list[str]


@dataclass(frozen=True)
class Evidence:
    """What was measured of a challenger, and of the champion on the same users of the same test."""

    whole: float
    """The challenger's metric, on all test users."""
    baseline: float | None = None
    """Plain popularity's."""
    value: float | None = None
    """The challenger's, on the users whom both are compared on; None: they are not compared."""
    champion: float | None = None
    """The champion's."""
    gain: Gain | None = None
    """The difference by users, with its certainty to lie above the minimum."""
    slices: Sequence[SliceTest] = ()
    coverage: tuple[float, float] | None = None
    """Share of the catalogue in anybody's first k places: the challenger's, the champion's."""
    latency_ms: float | None = None
    """Of one user's list, the challenger's."""
    packaged: float | None = None
    """The metric of the registered package where that should be what was evaluated, else None."""
    unscored: int = 0
    """Test users for whom the challenger gives a score that is no number."""
    leaks: Sequence[str] = ()
    """What the leakage audit says against it."""
    withdrawn: datetime | None = None
    """When somebody rolled back from this very version."""
    drifted: Sequence[str] = ()
    """Why the last look at drift says that the challenger should be fitted anew."""


def judge(evidence: Evidence, config: PromoteConfig) -> Decision:
    """The metric decides; a guardrail that does not hold refuses, whatever the metric says. All reasons are given."""
    decided = [decide(evidence.whole, None, evidence.baseline, config.minimum_gain)]
    if evidence.value is not None and math.isfinite(evidence.whole):
        decided.append(decide(evidence.value, evidence.champion, None, config.minimum_gain))
    against = [reason for each in decided if not each.promoted for reason in each.reasons]
    against += _unsound(evidence) + _unsure(evidence, config) + _beyond_guardrails(evidence, config.guardrails)
    return Decision(False, against) if against else decided[-1]


def _unsound(evidence: Evidence) -> list[str]:
    """What speaks against it whatever its metric is."""
    found = []
    if evidence.withdrawn is not None:
        found.append(f"it was rolled back at {evidence.withdrawn:%Y-%m-%d %H:%M}: `lakerec rollback --to` brings it back")
    if evidence.unscored:
        found.append(f"its scores are no numbers for {evidence.unscored} of the test users")
    if evidence.packaged is not None and abs(evidence.packaged - evidence.whole) > SAME:
        found.append(f"its registered package gives {evidence.packaged:.4f} where {evidence.whole:.4f} was evaluated")
    return [*found, *evidence.leaks]


def _unsure(evidence: Evidence, config: PromoteConfig) -> list[str]:
    gain = evidence.gain
    if gain is None or gain.certainty >= config.certainty:
        return []
    return [
        f"the gain of {gain.value:+.4f} ({gain.ci_low:+.4f} to {gain.ci_high:+.4f}) is above the minimum in "
        f"{gain.certainty:.0%} of {gain.n} users resampled, {config.certainty:.0%} are asked for (promote.certainty)"
    ]


def _beyond_guardrails(evidence: Evidence, limits: GuardrailConfig) -> list[str]:
    found = [
        f"slice {test.name} ({test.gain.n} users) falls from {test.champion:.4f} to {test.challenger:.4f}, more than "
        f"{test.tolerance:.0%} beyond chance (p {test.p_adjusted:.3f}, promote.guardrails.slices)"
        for test in evidence.slices
        if test.worse
    ]
    if evidence.coverage is not None and evidence.coverage[0] < limits.coverage * evidence.coverage[1]:
        shown, before = evidence.coverage
        found.append(
            f"its lists show {shown:.1%} of the catalogue, the champion's {before:.1%}, of which "
            f"{limits.coverage:.0%} are asked for (promote.guardrails.coverage)"
        )
    if limits.latency_ms and evidence.latency_ms is not None and evidence.latency_ms > limits.latency_ms:
        found.append(
            f"a list takes {evidence.latency_ms:.0f} ms, {limits.latency_ms:g} are allowed (promote.guardrails.latency_ms)"
        )
    if limits.drift and evidence.drifted:
        found.append(f"it should be fitted anew first: {'; '.join(evidence.drifted)} (ops/drift)")
    return found


def decide(challenger: float, champion: float | None, baseline: float | None, minimum_gain: float) -> Decision:
    """Compare one metric, higher is better, of lists on the same test users.

    Args:
        champion: value of the model that serves; None: nothing serves yet.
        baseline: value of plain popularity; a challenger must beat it.
        minimum_gain: how much better than the champion, as a share of its value; below 0: how much worse it may be.
    """
    if not math.isfinite(challenger):
        return Decision(False, [f"the challenger's metric is {challenger}"])
    if baseline is not None and challenger <= baseline:
        return Decision(False, [f"{challenger:.4f} does not beat plain popularity's {baseline:.4f}"])
    if champion is None:
        return Decision(True, [f"{challenger:.4f}; no champion to compare with"])
    needed = champion * (1 + minimum_gain)
    if challenger <= needed:
        more = f" {champion:.4f} and promote.minimum_gain, {minimum_gain:.1%} of it" if minimum_gain else ""
        return Decision(False, [f"{challenger:.4f} is not above {needed:.4f}, the champion's{more}"])
    if challenger <= champion:
        return Decision(True, [f"{challenger:.4f} is no more below the champion's {champion:.4f} than {-minimum_gain:.1%}"])
    return Decision(True, [f"{challenger:.4f} beats the champion's {champion:.4f}"])


def alias_version(tracker: Tracker, name: str, alias: str) -> str | None:
    """The version an alias points to; None where there is none."""
    from mlflow.exceptions import MlflowException

    if tracker.empty:
        return None
    try:
        return str(tracker.client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def version_with(tracker: Tracker, name: str, tags: Mapping[str, str]) -> str | None:
    """The registered version that carries these tags; None where there is none.

    Unity Catalog searches by name alone and leaves the tags out of what it finds.
    """
    for found in tracker.client.search_model_versions(f"name = '{name}'"):
        its = found.tags or tracker.client.get_model_version(name, found.version).tags
        if all(its.get(key) == value for key, value in tags.items()):
            return str(found.version)
    return None


def versions(tracker: Tracker, name: str) -> list[str]:
    """The registered versions of a name, oldest first."""
    return sorted((str(each.version) for each in tracker.client.search_model_versions(f"name = '{name}'")), key=int)


def set_alias(tracker: Tracker, name: str, alias: str, version: str) -> None:
    """Point an alias at a version; one call, so that it never points nowhere."""
    tracker.client.set_registered_model_alias(name, alias, version)


def tags_of(tracker: Tracker, name: str, version: str) -> dict[str, str]:
    """What a registered version was tagged with."""
    return dict(tracker.client.get_model_version(name, version).tags)
