"""Who is in which slice, and gaps between groups that are served alike and unlike."""

import doctest

import lakerec.evaluation.slices as slices
import numpy as np
import pytest
from lakerec.evaluation.slices import DAY, by_group, by_history, by_popularity, gap_rows


def test_users_by_their_history():
    lengths = np.repeat([0, 10, 11], 20)
    first = np.repeat([0, 70 * DAY + 1, 70 * DAY], 20)
    found = by_history(lengths, first, 100 * DAY)
    members = {name: sorted({int(length) for length in lengths[chosen]}) for name, chosen in found.items()}
    assert members == {"sparse_users": [0, 10], "cold_users": [0], "new_users": [0, 10], "returning_users": [11]}


def test_few_users_are_no_slice_but_sparse_ones_are_always_shown():
    found = by_history(np.array([0, 3, 50]), np.array([0, 0, 0]), 100 * DAY)
    assert {name: chosen.tolist() for name, chosen in found.items()} == {"sparse_users": [True, True, False]}


def test_where_everybody_is_new_that_is_no_slice():
    assert by_history(np.full(40, 50), np.full(40, 5 * DAY), 6 * DAY) == {}


def test_the_ten_largest_groups_of_twenty_users_at_least():
    groups = [f"g{number:02d}" for number in range(12) for _ in range(19 + number)] + [None, None]
    found = by_group("kind", groups)
    assert list(found) == [f"kind:g{number:02d}" for number in range(11, 1, -1)]
    assert [int(chosen.sum()) for chosen in found.values()] == list(range(30, 20, -1))
    assert all({groups[user] for user in np.flatnonzero(chosen)} == {name[5:]} for name, chosen in found.items())


def test_head_torso_and_tail_divide_the_catalogue_by_events():
    events = np.random.default_rng(1).zipf(1.5, 500) % 1000
    found = by_popularity(events)
    np.testing.assert_array_equal(sum(chosen.astype(int) for chosen in found.values()), 1)
    held = {name: events[chosen].sum() / events.sum() for name, chosen in found.items()}
    assert held["head"] >= 0.5 and held["head"] + held["torso"] >= 0.8
    assert events[found["head"]].min() >= events[found["torso"]].max() >= events[found["tail"]].max()
    assert {name: chosen.tolist() for name, chosen in by_popularity(np.zeros(2, int)).items()} == {
        "head": [False] * 2, "torso": [False] * 2, "tail": [True] * 2,
    }  # fmt: skip


GROUPS = [np.repeat(np.arange(5), 100) == number for number in range(5)]


def gap(values: np.ndarray, seed: int = 1):
    (row,) = gap_rows("m", "kind", GROUPS, {("ndcg", 10): values}, 300, seed)
    assert (row.slice, row.metric, row.k, row.n) == ("gap:kind", "ndcg", 10, 5)
    return row


def test_groups_that_are_served_alike_seldom_show_a_gap_beyond_chance():
    """The gap itself is never 0, since it is that of the two that lie furthest apart; 19 of 20 intervals hold 0."""
    rng, beyond = np.random.default_rng(2), 0
    for seed in range(100):
        row = gap(rng.exponential(1.0, 500), seed)
        assert row.value > 0
        beyond += row.ci_low > 0
    assert beyond <= 12


def test_a_group_that_is_served_worse_shows_one():
    values = np.random.default_rng(3).normal(1.0, 0.5, 500)
    values[GROUPS[2]] -= 0.6
    row = gap(values)
    assert row.ci_low > 0 and row.ci_low < 0.6 < row.ci_high
    means = [values[chosen].mean() for chosen in GROUPS]
    assert row.value == pytest.approx(max(means) - min(means))


def test_one_group_has_no_gap():
    assert gap_rows("m", "kind", GROUPS[:1], {("ndcg", 10): np.zeros(500)}, 100, 1) == []


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(slices)
    assert tried and not failed
