"""Paired comparisons: power where models differ, and no more false alarms than promised."""

import numpy as np
from lakerec.evaluation.significance import holm, paired_gain, slice_tests


def users(n, seed=1):
    """Values that differ much from user to user."""
    return np.random.default_rng(seed).beta(0.3, 1.5, n)


def test_pairs_show_a_gain_that_two_intervals_would_hide():
    champion = users(400)
    gain = paired_gain((champion + 0.01, champion), 0.0, 1000, 1)
    assert abs(gain.value - 0.01) < 1e-12 and gain.ci_low > 0.009 and gain.certainty == 1.0
    assert paired_gain((champion + 0.01, champion), 0.02, 1000, 1).certainty == 0.0


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0.05, 0.3, 150)
        gain = paired_gain((noise, np.zeros(150)), 0.0, 400, seed)
        held += gain.ci_low <= 0.05 <= gain.ci_high
    assert 180 <= held <= 199


def test_equal_models_gain_nothing_and_nobody_is_no_evidence():
    same = paired_gain((users(50), users(50)), 0.0, 200, 1)
    assert (same.value, same.certainty) == (0.0, 0.0)
    nobody = paired_gain((np.zeros(0), np.zeros(0)), 0.0, 200, 1)
    assert np.isnan(nobody.value) and nobody.certainty == 0.0


def test_holm_keeps_the_order_and_never_exceeds_one():
    p = np.array([0.2, 0.001, 0.5, 0.04])
    np.testing.assert_allclose(holm(p), [0.4, 0.004, 0.5, 0.12])
    assert holm(np.array([0.9, 0.8])).max() == 1.0


def test_a_broken_slice_is_found_though_the_whole_is_better():
    rng = np.random.default_rng(3)
    champion = rng.random(600) < 0.3
    better, broken = rng.random(500) < 0.4, np.zeros(100)
    whole = np.concatenate([better, broken]).astype(float)
    slices = {"returning": (whole[:500], champion[:500] * 1.0), "new": (whole[500:], champion[500:] * 1.0)}
    found = {test.name: test for test in slice_tests(slices, 0.1, 1000, 1)}
    assert found["new"].worse and not found["returning"].worse
    assert found["new"].champion > 0.2 and found["new"].challenger == 0.0


def test_a_loss_within_the_tolerance_is_no_broken_slice():
    champion = users(2000)
    (test,) = slice_tests({"a": (champion * 0.95, champion)}, 0.1, 500, 1)
    assert not test.worse and test.gain.ci_high < 0
    (test,) = slice_tests({"a": (champion * 0.80, champion)}, 0.1, 500, 1)
    assert test.worse


def test_forty_slices_of_equal_models_raise_no_alarm():
    alarms = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        slices = {f"s{number}": (rng.random(60), rng.random(60)) for number in range(40)}
        alarms += any(test.worse for test in slice_tests(slices, 0.0, 300, seed))
    assert alarms <= 2


def test_nothing_is_concluded_from_a_slice_of_a_few_users():
    """All of them lose all; of twenty that counts."""
    assert slice_tests({"few": (np.zeros(19), np.ones(19)), "nobody": (np.zeros(0), np.zeros(0))}, 0.1, 100, 1) == []
    (test,) = slice_tests({"enough": (np.zeros(20), np.ones(20))}, 0.1, 100, 1)
    assert test.worse
