"""The gate's decisions, each with its reason."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from lakerec.evaluation.significance import paired_gain, slice_tests
from lakerec.judging_config import GuardrailConfig, PromoteConfig
from lakerec.registry.gate import Evidence, decide, judge


@pytest.mark.parametrize(
    ("challenger", "champion", "baseline", "gain", "promoted", "reason"),
    [
        (0.10, None, 0.05, 0.0, True, "no champion"),
        (0.10, None, None, 0.0, True, "no champion"),
        (0.10, 0.09, 0.05, 0.0, True, "beats the champion's 0.0900"),
        (0.10, 0.10, 0.05, 0.0, False, "not above 0.1000"),
        (0.10, 0.095, 0.05, 0.10, False, "not above 0.1045"),
        (0.095, 0.10, 0.05, -0.10, True, "no more below the champion's 0.1000 than 10.0%"),
        (0.085, 0.10, 0.05, -0.10, False, "not above 0.0900"),
        (0.05, None, 0.05, 0.0, False, "does not beat plain popularity"),
        (0.04, 0.03, 0.05, 0.0, False, "does not beat plain popularity"),
        (math.nan, None, None, 0.0, False, "metric is nan"),
    ],
)
def test_a_challenger_has_to_be_better(challenger, champion, baseline, gain, promoted, reason):
    decision = decide(challenger, champion, baseline, gain)
    assert decision.promoted is promoted
    assert reason in decision.reasons[0]


BEFORE = np.tile([0.0, 0.0, 0.5, 1.0], 100)
BETTER = BEFORE + np.tile([0.1, 0.1, -0.05, 0.0], 100)
GOOD = Evidence(
    whole=float(BETTER.mean()),
    value=float(BETTER.mean()),
    champion=float(BEFORE.mean()),
    baseline=0.1,
    gain=paired_gain((BETTER, BEFORE), 0.0, 500, 1),
    slices=slice_tests({"new": (BETTER[:200], BEFORE[:200])}, 0.1, 500, 1),
    coverage=(0.3, 0.35),
    latency_ms=12.0,
    packaged=float(BETTER.mean()),
)
BROKEN = slice_tests({"new": (BEFORE[:40] * 0.2, BEFORE[:40])}, 0.1, 500, 1)


def test_a_better_one_that_breaks_nothing_is_promoted():
    assert judge(GOOD, PromoteConfig(certainty=0.95)).promoted


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": 0.3}, "0.3000 is not above 0.3750"),
        ({"whole": math.nan, "packaged": None}, "metric is nan"),
        ({"whole": 0.1, "packaged": 0.1}, "0.1000 does not beat plain popularity's 0.1000"),
        ({"slices": BROKEN}, "slice new (40 users) falls from 0.3750 to 0.0750, more than 10% beyond chance"),
        ({"leaks": ["leak in popularity: 3 items"]}, "leak in popularity: 3 items"),
        ({"unscored": 3}, "scores are no numbers for 3 of the test users"),
        ({"packaged": 0.2}, "its registered package gives 0.2000 where 0.4125 was evaluated"),
        ({"coverage": (0.1, 0.35)}, "its lists show 10.0% of the catalogue, the champion's 35.0%, of which 50%"),
        ({"latency_ms": 400.0}, "a list takes 400 ms, 250 are allowed"),
        ({"drifted": ["4 in 5 events are of new items"]}, "fitted anew first: 4 in 5 events are of new items (ops/drift)"),
        ({"withdrawn": datetime(2026, 3, 4, 5, 6, tzinfo=UTC)}, "it was rolled back at 2026-03-04 05:06"),
    ],
    ids=["worse", "nan", "popularity", "slice", "leak", "scores", "package", "coverage", "latency", "drift", "withdrawn"],
)
def test_one_thing_against_it_is_enough_and_is_named(changed, said):
    decision = judge(replace(GOOD, **changed), PromoteConfig())
    assert not decision.promoted and said in "; ".join(decision.reasons)


def test_all_that_speaks_against_it_is_said():
    decision = judge(replace(GOOD, value=0.2, slices=BROKEN, leaks=["events", "text"]), PromoteConfig())
    assert len(decision.reasons) == 4


def test_a_gain_that_chance_may_have_given_is_refused_where_certainty_is_asked_for():
    users = np.random.default_rng(1).normal(0.01, 0.5, 100)
    gain = paired_gain((users, np.zeros(100)), 0.0, 500, 1)
    value = 0.2 + abs(users.mean())
    evidence = Evidence(whole=value, value=value, champion=0.2, gain=gain)
    assert 0.5 <= gain.certainty < 0.95 or users.mean() < 0, "the draw of this test: a small gain"
    assert judge(evidence, PromoteConfig(certainty=0.0)).promoted
    decision = judge(evidence, PromoteConfig(certainty=0.95))
    assert not decision.promoted and "95% are asked for (promote.certainty)" in decision.reasons[0]


def test_guardrails_that_are_off_hold():
    limits = GuardrailConfig(coverage=0, latency_ms=0, drift=False)
    evidence = replace(GOOD, coverage=(0.0, 1.0), latency_ms=9_999.0, drifted=["x"])
    assert judge(evidence, PromoteConfig(guardrails=limits)).promoted
