"""Metrics against hand-computed values; intervals against a known distribution."""

import doctest

import lakerec.errors as errors
import lakerec.evaluation.lists as lists
import lakerec.evaluation.metrics as metrics
import lakerec.language.batching as batching
import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.beyond import Catalogue
from lakerec.evaluation.intervals import bootstrap_interval, resampled_sums
from lakerec.evaluation.lists import Figures, evaluate_lists, hit_matrix, per_user

RECOMMENDED = np.array([[3, 1, 2, 0], [0, 1, 2, 3], [2, -1, -1, -1]])
OFFSETS, TARGETS = np.array([0, 1, 3, 4]), np.array([1, 2, 3, 0])
HITS = np.array([[False, True, False, False], [False, False, True, True], [False] * 4])


def test_hits_stand_where_a_users_own_target_stands():
    np.testing.assert_array_equal(hit_matrix(RECOMMENDED, OFFSETS, TARGETS, 4), HITS)


def test_metrics_at_three_by_hand():
    sizes = np.diff(OFFSETS)
    ideal_of_two = 1 + 1 / np.log2(3)
    expected = {
        "ndcg": [1 / np.log2(3), 0.5 / ideal_of_two, 0],
        "hit_rate": [1, 1, 0],
        "recall": [1, 0.5, 0],
        "precision": [1 / 3, 1 / 3, 0],
        "f1": [0.5, 2 / 5, 0],
        "mrr": [0.5, 1 / 3, 0],
        "map": [0.5, 1 / 6, 0],
    }
    assert expected.keys() == metrics.PER_USER.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(per_user(RECOMMENDED, OFFSETS, TARGETS, 4, name, 3), values, err_msg=name)
        np.testing.assert_allclose(metrics.PER_USER[name](HITS, sizes, 3), values, err_msg=name)


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    rng = np.random.default_rng(0)
    hits, sizes = rng.random((100, 10)) < 0.2, rng.integers(10, 20, 100)
    p, r = metrics.precision(hits, sizes, 5), metrics.recall(hits, sizes, 5)
    expected = np.divide(2 * p * r, p + r, out=np.zeros(100), where=p + r > 0)
    np.testing.assert_allclose(metrics.f1(hits, sizes, 5), expected)


def test_rows_for_all_users_and_for_each_slice():
    slices = {"first": np.array([True, False, False]), "nobody": np.zeros(3, dtype=bool)}
    rows = evaluate_lists("m", RECOMMENDED, OFFSETS, TARGETS, 4, [2, 3], 100, 1, slices)
    found = {(row.slice, row.metric, row.k): row for row in rows}
    assert found["all", "recall", 3].value == 0.5 and found["all", "recall", 3].n == 3
    assert found["first", "hit_rate", 2].value == 1.0 and found["first", "hit_rate", 2].n == 1
    assert found["all", "coverage", 2].value == 1.0 and found["all", "coverage", 2].ci_low is None
    assert found["all", "gini", 2].value == pytest.approx(0.15) and found["all", "gini", 2].n == 4
    assert not any(row.slice == "nobody" for row in rows)


def test_blocks_of_users_give_the_same_figures_as_all_at_once_to_the_bit():
    rng = np.random.default_rng(4)
    shown = np.argsort(rng.random((50, 30)), axis=1)[:, :12]
    sizes = rng.integers(1, 6, 50)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    targets = np.concatenate([rng.choice(30, size, replace=False) for size in sizes])
    catalogue = Catalogue(rng.integers(0, 9, 30), 50, rng.normal(size=(30, 4)))
    members, met = {"few": np.arange(30) < 4}, rng.uniform(1, 9, 50)
    rows = []
    for at_once in (50, 7):
        figures = Figures(offsets, targets, 30, [5, 12], catalogue, members, met)
        for start in range(0, 50, at_once):
            figures.add(start, shown[start : start + at_once])
        rows.append(figures.rows("m", 100, 1, {"half": np.arange(50) < 25}))
    whole, parts = rows
    assert whole == parts
    assert {row.metric for row in whole if row.slice == "all"} == set(Metrics.ALL)
    assert {row.metric for row in whole if row.slice in ("few", "half")} == set(Metrics.PER_USER)
    (lift,) = (row for row in whole if (row.metric, row.k) == ("popularity_lift", 5))
    assert lift.value == pytest.approx(catalogue.popularity[shown[:, :5]].mean() / met.mean() - 1)


def test_a_slice_of_items_counts_its_own_targets_of_the_users_who_have_any():
    members = {"two": np.array([False, False, True, False]), "none": np.zeros(4, dtype=bool)}
    figures = Figures(OFFSETS, TARGETS, 4, [3], members=members)
    figures.add(0, RECOMMENDED)
    np.testing.assert_array_equal(figures.per_user("two")["recall", 3], [np.nan, 1.0, np.nan])
    rows = {(row.slice, row.metric): row for row in figures.rows("m", 100, 1)}
    assert rows["two", "mrr"].value == pytest.approx(1 / 3) and rows["two", "mrr"].n == 1
    assert not any(part == "none" for part, _ in rows)


def test_the_interval_covers_the_mean_of_a_known_distribution():
    rng = np.random.default_rng(7)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.exponential(1.0, 150), 400, seed)
        covered += low <= 1.0 <= high
    assert 0.88 <= covered / 200 <= 0.99
    values = rng.normal(size=1000)
    low, high = bootstrap_interval(values, 2000, 1)
    assert (high - low) == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.15)


def test_a_sample_draws_the_same_users_in_every_column_and_as_many_as_there_are():
    values = np.array([[1.0, 10.0, 1.0], [2.0, 20.0, 1.0], [5.0, 50.0, 1.0]])
    sums = resampled_sums(values, 200, 1)
    np.testing.assert_allclose(sums[:, 1], 10 * sums[:, 0])
    assert set(sums[:, 2]) == {3.0} and len(set(sums[:, 0])) == 10, "multisets of three of three"


def test_interval_of_nothing_is_not_a_number():
    assert all(np.isnan(bootstrap_interval(np.zeros(0), 100, 1)))


@pytest.mark.parametrize("module", [metrics, lists, batching, errors])
def test_examples_in_docstrings_run(module):
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried and not failed
