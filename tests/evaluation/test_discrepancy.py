"""MMD² by its definition, and its p value on samples that moved and that did not."""

import doctest

import numpy as np
import pytest
from lakerec.evaluation import discrepancy as module
from lakerec.evaluation.discrepancy import discrepancy, draw


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried and not failed


def test_mmd_is_the_sum_over_pairs_that_its_definition_names():
    """(1 / n(n−1)) Σ k(x, x′) + (1 / m(m−1)) Σ k(y, y′) − (2 / nm) Σ k(x, y), x ≠ x′, written out."""
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=(7, 2)), rng.normal(size=(5, 2)) + 0.5
    rows = np.concatenate([before, now])
    squared = [[float(np.sum((one - other) ** 2)) for other in rows] for one in rows]
    width = np.median([squared[i][j] for i in range(12) for j in range(12) if i != j])

    def mean(first, second):
        pairs = [(i, j) for i in first for j in second if i != j]
        return np.mean([np.exp(-squared[i][j] / (2 * width)) for i, j in pairs])

    x, y = range(7), range(7, 12)
    assert discrepancy(before, now, seed=1).mmd == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_p_is_uniform_where_nothing_moved_and_small_where_something_did():
    rng = np.random.default_rng(7)
    same = [discrepancy(rng.normal(size=(40, 4)), rng.normal(size=(30, 4)), seed, 100).p for seed in range(60)]
    assert 0.35 < np.mean(same) < 0.65 and np.mean(np.array(same) < 0.1) < 0.25
    wider = discrepancy(rng.normal(size=(200, 4)), 2 * rng.normal(size=(200, 4)), seed=1)
    assert wider.p == 1 / 501, "the mean is the same, the spread is not"


def test_the_seed_decides_the_divisions_and_nothing_else():
    rng = np.random.default_rng(2)
    before, now = rng.normal(size=(50, 3)), rng.normal(size=(60, 3)) + 0.2
    assert discrepancy(before, now, seed=1) == discrepancy(before, now, seed=1)
    assert discrepancy(before, now, seed=1).mmd == discrepancy(before, now, seed=2).mmd
    assert discrepancy(before, now, seed=1).chance != discrepancy(before, now, seed=2).chance


def test_a_fifth_of_the_events_elsewhere_is_near_the_default_limit():
    """Kinds of items at right angles, each item a little off its kind: first four, then a fifth one with a fifth of all."""
    rng = np.random.default_rng(3)

    def rows(kinds):
        return np.eye(64)[kinds] + 0.06 * rng.normal(size=(len(kinds), 64))

    before, moved = rng.integers(0, 4, 1_000), np.where(rng.random(1_000) < 0.2, 4, rng.integers(0, 4, 1_000))
    found = discrepancy(rows(before), rows(moved), seed=1)
    assert 0.01 < found.mmd < 0.04 and found.p < 0.01
    assert discrepancy(rows(before), rows(rng.integers(0, 4, 1_000)), seed=1).mmd < 0.005


def test_vectors_that_are_all_alike_did_not_move():
    rows = np.ones((30, 3))
    assert discrepancy(rows, rows, seed=1) == (0, 0, 1)


def test_a_draw_holds_events_by_their_items_counts_and_none_twice():
    counts = np.array([900, 0, 90, 10])
    drawn = np.bincount(draw(counts, 500, seed=3), minlength=4)
    assert drawn.sum() == 500 and (drawn <= counts).all() and 400 < drawn[0] < 500
    assert np.array_equal(draw(counts, 500, seed=3), draw(counts, 500, seed=3))
