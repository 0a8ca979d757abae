"""Figures of single events, worked out by hand."""

import doctest
from itertools import pairwise

import lakerec.evaluation.engagement as engagement
import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.engagement import NO_LIST, accuracy, auc, calibration, engagement_rows, log_loss, value_rows
from sklearn import metrics as sklearn

LOGITS = np.array([2.0, -1.0, 1.0, 0.5, 0.5, 3.0])
WANTED = np.array([True, False, False, True, False, True])
OFFSETS = np.array([0, 3, 5, 6])
"""The last user has nothing that they do not engage with."""


def test_auc_and_accuracy_of_each_user():
    np.testing.assert_array_equal(auc(LOGITS, WANTED, OFFSETS), [1.0, 0.5, np.nan])
    np.testing.assert_array_equal(accuracy(LOGITS, WANTED, OFFSETS), [0.75, 0.5, np.nan])


def random(seed: int, users: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits with ties; one or two of each user's items are wanted."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 30, users)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    wanted = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes) < np.repeat(rng.integers(1, 3, users), sizes)
    return np.round(rng.normal(size=offsets[-1]) * 2 + wanted, 1), wanted, offsets


def by_user(logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray):
    return [
        (logits[start:end], wanted[start:end]) for start, end in pairwise(offsets)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_auc_accuracy_and_log_loss_are_those_of_scikit_learn(seed):
    asked = random(seed)
    for ours, theirs in (
        (auc, lambda own, yes, _: sklearn.roc_auc_score(yes, own)),
        (accuracy, lambda own, yes, _: sklearn.balanced_accuracy_score(yes, own > 0)),
        (log_loss, lambda own, yes, weights: sklearn.log_loss(yes, 1 / (1 + np.exp(-own)), sample_weight=weights)),
    ):
        expected = [theirs(own, yes, np.where(yes, 0.5 / yes.sum(), 0.5 / (~yes).sum())) for own, yes in by_user(*asked)]
        np.testing.assert_allclose(ours(*asked), expected, rtol=0, atol=1e-12)


def test_calibration_is_the_error_of_each_tenth_by_its_weight():
    logits, wanted, offsets = random(7)
    weights = np.concatenate(
        [np.where(yes, 0.5 / yes.sum(), 0.5 / (~yes).sum()) for _, yes in by_user(logits, wanted, offsets)]
    )
    levels = np.unique(logits)
    mass = np.array([weights[logits == level].sum() for level in levels])
    tenth = ((np.cumsum(mass) - mass / 2) / mass.sum() * 10).astype(int)
    chance, expected = 1 / (1 + np.exp(-logits)), 0.0
    for number in range(10):
        inside = np.isin(logits, levels[tenth == number])
        share = weights[inside].sum() / weights.sum()
        expected += share * abs(np.average(chance[inside], weights=weights[inside])
                                - np.average(wanted[inside], weights=weights[inside]))  # fmt: skip
    value, low, high = calibration(logits, wanted, offsets, 200, 1)
    assert value == pytest.approx(expected) and 0 <= low < high


def test_probabilities_that_are_right_are_calibrated_and_others_are_not():
    """Logits that are normal with deviation d around d² / 2 (wanted) and −d² / 2 (others) are right."""
    rng = np.random.default_rng(1)
    wanted = np.tile([True, False], 20_000)
    logits = rng.normal(size=len(wanted)) * 1.5 + np.where(wanted, 1.125, -1.125)
    offsets = np.arange(0, len(wanted) + 1, 2)
    assert calibration(logits, wanted, offsets, 50, 1)[0] < 0.01
    assert calibration(3 * logits, wanted, offsets, 50, 1)[0] > 0.1
    assert log_loss(logits, wanted, offsets).mean() < log_loss(3 * logits, wanted, offsets).mean()


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(engagement)
    assert tried and not failed


def test_rows_are_means_over_the_users_who_have_both_kinds():
    rows = {row.metric: row for row in engagement_rows("behaviour", LOGITS, WANTED, OFFSETS, 50, 1)}
    assert [rows[name].value for name in (Metrics.AUC, Metrics.ACCURACY)] == [0.75, 0.625]
    assert all((row.n, row.k, row.slice) == (2, NO_LIST, "all") for row in rows.values())
    assert all(row.ci_low <= row.value <= row.ci_high for row in rows.values())
    assert rows.keys() == {"auc", "accuracy", "log_loss", "calibration"}
    assert engagement_rows("behaviour", LOGITS[5:], WANTED[5:], np.array([0, 1]), 50, 1) == []


def test_errors_of_values_are_a_users_mean_first():
    """Errors 1 and 3 of one user, 2 of another: MAE (2 + 2) / 2, mean square (5 + 4) / 2."""
    foretold, given, users = np.array([1.0, 1.0, 4.0]), np.array([2.0, 4.0, 2.0]), np.array([5, 5, 9])
    rows = {row.metric: row for row in value_rows("behaviour", foretold, given, users, 50, 1)}
    assert rows[Metrics.MAE].value == pytest.approx(2.0) and rows[Metrics.RMSE].value == pytest.approx(np.sqrt(4.5))
    assert rows[Metrics.RMSE].n == 2 and rows[Metrics.RMSE].ci_low <= rows[Metrics.RMSE].value
    assert value_rows("behaviour", foretold[:0], given[:0], users[:0], 50, 1) == []
