"""PSI, KS and what is read out of counts of counts, against values worked out by hand and against scipy."""

import doctest
import math

import numpy as np
import pytest
from lakerec.evaluation import drift, tallies
from lakerec.evaluation.tallies import Tally
from scipy import stats


@pytest.mark.parametrize("module", [drift, tallies])
def test_examples_in_docstrings_run(module):
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried and not failed


def test_psi_of_shares_by_hand():
    """½, ½ → ¾, ¼: ¼ · ln 1.5 + ¼ · ln 2 = 0.27465; smoothing moves the fourth digit of ten thousand rows."""
    found = drift.population_stability_index(np.array([5_000, 5_000]), np.array([7_500, 2_500]))
    assert found == pytest.approx(0.25 * math.log(1.5) + 0.25 * math.log(2), abs=2e-4)


def test_an_empty_bin_counts_as_half_an_event():
    """[4, 0] → 4.5 / 5 and 0.5 / 5; [0, 4] the other way round: 2 · 0.8 · ln 9."""
    found = drift.population_stability_index(np.array([4, 0]), np.array([0, 4]))
    assert found == pytest.approx(1.6 * math.log(9))
    assert math.isnan(drift.population_stability_index(np.array([0, 0]), np.array([0, 4])))


def test_nineteen_of_twenty_samples_of_one_population_stay_below_what_chance_gives():
    rng = np.random.default_rng(5)
    shares, bound = np.full(10, 0.1), drift.psi_by_chance(4_000, 1_000, 10)
    below = [
        drift.population_stability_index(rng.multinomial(4_000, shares), rng.multinomial(1_000, shares)) < bound
        for _ in range(1_000)
    ]
    assert 0.93 <= np.mean(below) <= 0.97
    assert drift.psi_by_chance(100, 100, 1) == 0


def test_groups_follow_the_reference_and_keep_a_frequent_value_whole():
    assert drift.quantile_groups(np.ones(20, dtype=int), 4).tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert drift.quantile_groups(np.array([0, 80, 0, 12, 8, 0]), 10).tolist() == [0, 0, 0, 1, 2, 2]
    assert drift.quantile_groups(np.zeros(3, dtype=int)).tolist() == [0, 0, 0]


def test_ks_is_scipys_on_the_values_that_were_counted():
    rng = np.random.default_rng(2)
    before, now = rng.integers(0, 40, 900), rng.integers(2, 44, 300)
    counted = [np.bincount(values, minlength=50) for values in (before, now)]
    expected = stats.ks_2samp(before, now, method="asymp")
    assert drift.kolmogorov_smirnov(*counted) == pytest.approx((expected.statistic, expected.pvalue))
    assert drift.kolmogorov_smirnov(counted[0], counted[0]) == (0, 1)
    assert all(math.isnan(value) for value in drift.kolmogorov_smirnov(counted[0], np.zeros(50)))


def test_a_tally_says_what_the_sizes_it_counts_say():
    sizes = np.random.default_rng(3).geometric(0.1, 500)
    tally = Tally.of(zip(*np.unique(sizes, return_counts=True), strict=True))
    ordered = np.sort(sizes)
    assert (tally.number, tally.total) == (500, sizes.sum())
    assert tally.quantile(0.9) == np.quantile(sizes, 0.9, method="inverted_cdf")
    assert tally.at_most(5) == np.mean(sizes <= 5)
    assert tally.share_of_top(0.01) == pytest.approx(ordered[-5:].sum() / sizes.sum())
    difference = np.abs(sizes[:, None] - sizes[None, :]).mean()
    assert tally.gini() == pytest.approx(difference / (2 * sizes.mean()))


def test_a_tally_of_nothing():
    tally = Tally.of([])
    assert (tally.number, tally.total, tally.quantile(0.5), tally.at_most(5), tally.share_of_top(0.1)) == (0, 0, 0, 0, 0)
