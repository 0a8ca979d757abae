"""Figures of single events, worked out by hand."""

import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.engagement import NO_LIST, accuracy, auc, engagement_rows, value_rows

LOGITS = np.array([2.0, -1.0, 1.0, 0.5, 0.5, 3.0])
WANTED = np.array([True, False, False, True, False, True])
OFFSETS = np.array([0, 3, 5, 6])
"""The last user has nothing that they do not engage with."""


def test_auc_and_accuracy_of_each_user():
    np.testing.assert_array_equal(auc(LOGITS, WANTED, OFFSETS), [1.0, 0.5, np.nan])
    np.testing.assert_array_equal(accuracy(LOGITS, WANTED, OFFSETS), [0.75, 0.5, np.nan])


def test_rows_are_means_over_the_users_who_have_both_kinds():
    rows = {row.metric: row for row in engagement_rows("behaviour", LOGITS, WANTED, OFFSETS, 50, 1)}
    assert [rows[name].value for name in (Metrics.AUC, Metrics.ACCURACY)] == [0.75, 0.625]
    assert all((row.n, row.k, row.slice) == (2, NO_LIST, "all") for row in rows.values())
    assert all(row.ci_low <= row.value <= row.ci_high for row in rows.values())
    assert engagement_rows("behaviour", LOGITS[5:], WANTED[5:], np.array([0, 1]), 50, 1) == []


def test_errors_of_values_are_a_users_mean_first():
    """Errors 1 and 3 of one user, 2 of another: MAE (2 + 2) / 2, mean square (5 + 4) / 2."""
    foretold, given, users = np.array([1.0, 1.0, 4.0]), np.array([2.0, 4.0, 2.0]), np.array([5, 5, 9])
    rows = {row.metric: row for row in value_rows("behaviour", foretold, given, users, 50, 1)}
    assert rows[Metrics.MAE].value == pytest.approx(2.0) and rows[Metrics.RMSE].value == pytest.approx(np.sqrt(4.5))
    assert rows[Metrics.RMSE].n == 2 and rows[Metrics.RMSE].ci_low <= rows[Metrics.RMSE].value
    assert value_rows("behaviour", foretold[:0], given[:0], users[:0], 50, 1) == []
