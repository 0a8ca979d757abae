"""Facts as of a moment, worked out by hand."""

import numpy as np
import pytest
from lakerec.models.data import DAY, Histories
from lakerec.models.moments import LONGEST, SHRINKAGE, Moments, Sums, known_before, user_facts

# Two users and three items, of which the last is never met.
HISTORIES = Histories.from_lists([[0, 1, 0], [0]], [[0, 2 * DAY, 40 * DAY], [39 * DAY]])
VALUES = np.array([4.0, 1.0, np.nan, 5.0], dtype=np.float32)
ITEMS = 3


def share(events, of):
    return np.log((events + 1) / (of / ITEMS + 1))


def test_facts_of_an_item_count_what_lies_strictly_before_the_moment():
    moments = Moments(HISTORIES, ITEMS)
    at = np.array([0, 39 * DAY, 40 * DAY, moments.now])
    facts = moments.items(np.zeros(4, dtype=np.int32), at)
    expected = [
        [share(0, 0), share(0, 0), share(0, 0), np.log1p(LONGEST)],
        [share(1, 2), share(0, 0), share(0, 0), np.log1p(39)],
        [share(2, 3), share(1, 1), share(1, 1), np.log1p(1)],
        [share(3, 4), share(2, 2), share(2, 2), np.log1p(1 / DAY)],
    ]
    np.testing.assert_allclose(facts, expected, rtol=1e-5)


def test_an_item_that_was_never_met_is_as_rare_and_as_old_as_can_be():
    facts = Moments(HISTORIES, ITEMS).items(np.array([2]), np.array([41 * DAY]))
    np.testing.assert_allclose(facts, [[share(0, 4), share(0, 2), share(0, 2), np.log1p(LONGEST)]], rtol=1e-5)


def test_values_of_an_item_are_told_by_how_far_they_lie_from_all_so_far():
    moments = Moments(HISTORIES, ITEMS, VALUES)
    assert moments.mean(np.array([0, 1, 40 * DAY])).tolist() == [0.0, 4.0, pytest.approx(10 / 3)]
    shifts = moments.item_values(np.array([0, 0, 0, 2]), np.array([0, 1, 40 * DAY, 40 * DAY]))
    expected = [0, 0, (4 + 5 - 2 * 10 / 3) / (2 + SHRINKAGE), 0]
    np.testing.assert_allclose(shifts, expected, atol=1e-6)


def test_a_mean_of_few_is_drawn_to_that_of_all():
    sums = Sums(np.array([5.0, np.nan, 3.0]))
    places = np.array([0, 0, 1, 1]), np.array([1, 3, 2, 1])
    shifts = sums.shift(*places, np.full(4, 2.0))
    np.testing.assert_allclose(shifts, [3 / (1 + SHRINKAGE), 4 / (2 + SHRINKAGE), 0, 0], rtol=1e-6)


def test_facts_of_a_user():
    facts = user_facts(HISTORIES.times, np.array([0, 0, 3, 3]), np.array([3, 1, 4, 3]))
    np.testing.assert_allclose(facts, np.log1p([[3, 40], [1, 0], [1, 0], [0, 0]]), rtol=1e-6)


def test_events_of_one_moment_do_not_know_of_each_other():
    histories = Histories.from_lists([[1, 2, 3, 4], [], [5, 6]], [[7, 8, 8, 8], [], [8, 9]])
    assert known_before(histories).tolist() == [0, 1, 1, 1, 4, 5]
    assert known_before(Histories.from_lists([[]])).tolist() == []


def test_a_log_without_events_has_facts_too():
    moments = Moments(Histories.from_lists([[]]), ITEMS)
    facts = moments.items(np.arange(ITEMS), np.full(ITEMS, moments.now))
    assert np.isfinite(facts).all() and facts.shape == (ITEMS, 4)
