"""Novelty, diversity, serendipity, Gini and popularity lift, worked out by hand."""

import doctest

import lakerec.evaluation.beyond as beyond
import numpy as np
import pytest
from lakerec.evaluation.beyond import Catalogue, diversity, gini, popularity_lift
from scipy import sparse

LISTS = np.array([[0, 3, 4], [1, 2, -1], [4, -1, -1], [-1, -1, -1]])
CATALOGUE = Catalogue(np.array([4, 2, 2, 1, 0]), 4, np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 0], [-1, 0]]))
"""Item 3 has no vector, item 4 was never met; places by popularity: 1, 2, 2, 3, none."""
HITS = np.array([[True, True, True], [False, True, False], [True, False, False], [False] * 3])


def test_figures_of_users_by_hand():
    found = beyond.beyond_figures(LISTS, HITS, CATALOGUE, 3)
    expected = {
        "novelty": [(0 + 2 + 2) / 3, 1, 2, np.nan],
        "popularity": [5 / 3, 2, 0, np.nan],
        "serendipity": [(0 + (4 - 3) / 5 + 3 / 5) / 3, 0, 5 / 5, np.nan],
        "diversity": [2, 1 - 0.8, np.nan, np.nan],
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_without_vectors_there_is_no_diversity():
    assert np.isnan(diversity(LISTS, Catalogue(CATALOGUE.popularity, 4), 3)).all()


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_diversity_is_the_mean_over_pairs_of_dense_and_of_sparse_vectors(make):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(30, 5)) * (rng.random((30, 5)) < 0.6)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    lists = np.argsort(rng.random((50, 30)), axis=1)[:, :8]
    expected = [
        np.mean([1 - vectors[a] @ vectors[b] for i, a in enumerate(own) for b in own[:i]])
        for own in ([item for item in row if vectors[item].any()] for row in lists)
    ]
    np.testing.assert_allclose(diversity(lists, Catalogue(np.ones(30), 1, make(vectors)), 8), expected)


def test_gini_is_the_mean_difference_of_two_items_over_twice_the_mean():
    shown = np.random.default_rng(1).integers(0, 50, 40)
    assert gini(shown) == pytest.approx(np.abs(shown[:, None] - shown).mean() / (2 * shown.mean()))


def test_popularity_lift_is_a_ratio_of_means_and_its_interval_is_of_that_ratio():
    rng = np.random.default_rng(5)
    met = rng.uniform(1, 10, 400)
    listed = 1.5 * met + rng.normal(size=400)
    value, low, high = popularity_lift(listed, met, 500, 1)
    assert value == pytest.approx(listed.mean() / met.mean() - 1)
    error = np.std(listed - (1 + value) * met) / met.mean() / np.sqrt(400)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(beyond)
    assert tried and not failed
