"""The gate's decisions, each with its reason."""

import math

import pytest
from lakerec.registry.gate import decide


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
