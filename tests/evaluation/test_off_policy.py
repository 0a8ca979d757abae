"""Off-policy estimates by hand, and on logs of a policy whose truth is known."""

import doctest

import lakerec.evaluation.off_policy as off_policy
import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.intervals import bootstrap_interval, ratio_interval
from lakerec.evaluation.off_policy import Log, clipped, doubly_robust, effective_size, ips, off_policy_rows, snips

LOG = Log(
    rewards=np.array([1.0, 0.0, 1.0]),
    weights=np.array([2.0, 4.0, 0.0]),
    users=np.array([0, 0, 1]),
    shown=np.array([2.0, 1.0]),
)
"""Two impressions of one user, one of another, who was shown what the target would not show."""

CHANCE = np.array([[0.1, 0.5, 0.2, 0.4], [0.6, 0.1, 0.3, 0.2], [0.2, 0.2, 0.7, 0.1]])
"""Of a click, by kind of user and item."""
LOGGING = np.array([[0.4, 0.2, 0.3, 0.1], [0.25, 0.25, 0.25, 0.25], [0.1, 0.6, 0.2, 0.1]])
"""Probability of showing each item to each kind."""
TARGET = np.array([[0.0, 0.7, 0.0, 0.3], [0.8, 0.0, 0.2, 0.0], [0.0, 0.1, 0.9, 0.0]])
USERS, EACH = 1_500, 4


def bandit(seed, propensities=LOGGING):
    """Log of one item a request, four requests a user; what a right model predicts; the target's value on these users."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, USERS)
    users = np.repeat(np.arange(USERS), EACH)
    kind = kinds[users]
    items = (rng.random((len(users), 1)) > LOGGING[kind].cumsum(axis=1)).sum(axis=1)
    rewards = (rng.random(len(users)) < CHANCE[kind, items]).astype(float)
    log = Log(rewards, TARGET[kind, items] / propensities[kind, items], users, np.full(USERS, float(EACH)))
    truth = (TARGET * CHANCE).sum(axis=1)[kinds]
    return log, CHANCE[kind, items], EACH * truth, float(truth.mean())


def test_estimates_by_hand():
    assert ips(LOG).value == pytest.approx(2 / 3)
    assert snips(LOG).value == pytest.approx(2 / 6)
    predicted, expected = np.array([0.5, 0.25, 0.5]), np.array([1.0, 0.25])
    assert doubly_robust(LOG, predicted, expected).value == pytest.approx((1.25 + 2 * 0.5 - 4 * 0.25) / 3)
    rows = {row.metric: row for row in off_policy_rows("ease", 1, LOG, predicted, expected, 100, 1)}
    assert list(rows) == [Metrics.IPS, Metrics.SNIPS, Metrics.DR]
    assert all((row.slice, row.k, row.n) == ("off_policy", 1, 2) for row in rows.values())
    assert (rows[Metrics.IPS].ci_low, rows[Metrics.IPS].ci_high) == (0.0, 1.0), "both users, or one of them twice"


def test_weights_are_clipped_and_sized():
    weights, share = clipped(LOG.weights, 3.0)
    assert weights.tolist() == [2.0, 3.0, 0.0] and share == 0.5
    assert clipped(LOG.weights, 0.0)[0] is LOG.weights
    assert effective_size(LOG.weights) == pytest.approx(36 / 20) and effective_size(np.zeros(3)) == 0.0


def test_nothing_is_said_of_a_target_that_shows_nothing_of_the_log():
    log = Log(LOG.rewards, np.zeros(3), LOG.users, LOG.shown)
    assert np.isnan(snips(log).value)
    assert off_policy_rows("ease", 1, log, np.zeros(3), np.zeros(2), 100, 1) == []


def test_intervals_hold_the_truth_as_often_as_they_say():
    covered = dict.fromkeys((Metrics.IPS, Metrics.SNIPS, Metrics.DR), 0)
    for seed in range(60):
        log, predicted, expected, truth = bandit(seed)
        for row in off_policy_rows("target", 1, log, predicted, expected, 200, seed):
            covered[row.metric] += row.ci_low <= truth <= row.ci_high
    assert all(52 <= times <= 60 for times in covered.values()), covered


def test_estimates_are_unbiased_and_a_right_model_lowers_the_variance():
    found = np.array([
        [each.value - truth for each in (ips(log), snips(log), doubly_robust(log, predicted, expected))]
        for log, predicted, expected, truth in map(bandit, range(100))
    ])  # fmt: skip
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0)) < 3 * error).all()
    assert found.std(axis=0)[2] < 0.8 * found.std(axis=0)[0]


def test_wrong_propensities_mislead_ips_but_not_dr_with_a_right_model():
    log, predicted, expected, truth = bandit(1, propensities=np.full_like(LOGGING, 0.25))
    rows = {row.metric: row for row in off_policy_rows("target", 1, log, predicted, expected, 500, 1)}
    assert not rows[Metrics.IPS].ci_low <= truth <= rows[Metrics.IPS].ci_high
    assert rows[Metrics.DR].ci_low <= truth <= rows[Metrics.DR].ci_high


def test_a_wrong_model_does_not_mislead_dr_with_right_propensities():
    log, predicted, _, truth = bandit(2)
    wrong = doubly_robust(log, np.full_like(predicted, 0.9), np.full(USERS, 0.9 * EACH))
    low, high = wrong.interval(500, 1)
    assert low <= truth <= high


def test_a_constant_added_to_rewards_is_added_to_snips_alone():
    log, *_ = bandit(3)
    more = Log(log.rewards + 5, log.weights, log.users, log.shown)
    assert snips(more).value == pytest.approx(snips(log).value + 5)
    assert ips(more).value != pytest.approx(ips(log).value + 5, abs=1e-3)


def test_lists_are_judged_an_item_at_a_time():
    """Two of four items are shown at once, each pair as often; the target always shows the last two."""
    rng = np.random.default_rng(1)
    chance, requests = np.array([0.1, 0.2, 0.4, 0.6]), 6_000
    items = rng.permuted(np.tile(np.arange(4), (requests, 1)), axis=1)[:, :2].ravel()
    rewards = (rng.random(len(items)) < chance[items]).astype(float)
    log = Log(rewards, (items >= 2) / 0.5, np.repeat(np.arange(requests), 2), np.full(requests, 2.0))
    for estimate in (ips(log), snips(log), doubly_robust(log, chance[items], np.full(requests, 1.0))):
        low, high = estimate.interval(300, 1)
        assert low <= 0.5 <= high and high - low < 0.06


def test_a_user_is_drawn_whole():
    """All impressions of one user: no sample differs from the log."""
    log = Log(LOG.rewards, LOG.weights, np.zeros(3, dtype=int), np.array([3.0]))
    assert ips(log).interval(100, 1) == pytest.approx((2 / 3, 2 / 3))


def test_an_interval_of_ratios():
    values = np.random.default_rng(4).exponential(1.0, 80)
    assert ratio_interval(values, np.ones(80), 300, 7) == pytest.approx(bootstrap_interval(values, 300, 7))
    assert ratio_interval(np.array([1.0, 0.0]), np.array([2.0, 0.0]), 100, 1) == (0.5, 0.5), "0 / 0 does not count"
    assert all(np.isnan(ratio_interval(np.zeros(2), np.zeros(2), 100, 1)))


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(off_policy, extraglobs={"np": np})
    assert tried and not failed
