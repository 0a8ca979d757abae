"""Removals compared by hand, and what is drawn in place of the evidence."""

import math

import numpy as np
import pytest
from lakerec.evaluation.faithfulness import faithfulness, others


def test_the_score_falls_further_without_what_is_named():
    whole = np.array([3.0, 2.0, 4.0, 3.0])
    found = faithfulness(whole, whole - [2.0, 1.0, 2.0, 1.0], whole - [0.5, 0.5, 0.0, 0.0], resamples=500, seed=1)
    assert (found.users, found.named, found.drawn) == (4, 1.5, 0.25)
    assert 0.5 <= found.ci_low < found.named - found.drawn == 1.25 < found.ci_high <= 2.0


def test_the_interval_is_of_pairs_and_holds_zero_where_nothing_differs():
    """Users differ much more from each other than their two removals do."""
    rng = np.random.default_rng(1)
    whole, fall = rng.normal(size=200), rng.normal(scale=10, size=200)
    same = faithfulness(whole, whole - fall, whole - fall + rng.normal(scale=0.1, size=200), 500, 1)
    assert same.ci_low < 0 < same.ci_high
    assert same.ci_high - same.ci_low < 0.05


def test_nobody_to_compare_on_is_told_and_no_error():
    found = faithfulness(*(np.zeros(0) for _ in range(3)), 100, 1)
    assert found.users == 0 and math.isnan(found.named) and math.isnan(found.ci_low)


def test_as_many_others_are_drawn_from_the_same_history():
    met = [np.arange(10), np.array([4, 5])]
    named = [np.array([1, 2]), np.array([5])]
    drawn = [others(met, named, seed) for seed in range(200)]
    assert all(len(set(own[0].tolist())) == 2 and own[1].tolist() == [4] for own in drawn)
    counts = np.bincount(np.concatenate([own[0] for own in drawn]), minlength=10)
    assert not counts[[1, 2]].any() and (np.delete(counts, [1, 2]) > 25).all(), "each of the eight about 50 times"
    with pytest.raises(ValueError):
        others([np.array([1, 2])], [np.array([1, 2])], 1)
