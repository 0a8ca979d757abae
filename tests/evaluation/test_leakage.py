"""Each number that a check counts, on arrays that hold one leak, and on the same ones without it."""

import json

import numpy as np
import pytest
from lakerec.evaluation import leakage
from lakerec.evaluation.leakage import Example, Finding, Log
from scipy import sparse

TRAIN, VALID, TEST = range(3)


def at(*values):
    return np.array(values, dtype=np.int64)


def log(splits=(TRAIN, TRAIN, VALID, TEST, TRAIN, TEST)):
    """User 3 met items 0 1 2 0, user 5 items 4 1, one each second."""
    return Log(at(3, 3, 3, 3, 5, 5), at(*splits), at(0, 1, 2, 0, 4, 1), at(10, 11, 12, 13, 14, 15))


def examples(**changed):
    """Rows of gold/sequences that the log makes; `changed` replaces parts of user 3's row of test."""
    test = {"items": at(0), "times": at(13), "past": at(0, 1, 2), "past_times": at(10, 11, 12)} | changed
    return [
        Example(3, TRAIN, at(0, 1), at(10, 11), at(), at()),
        Example(3, VALID, at(2), at(12), at(0, 1), at(10, 11)),
        Example(3, TEST, **test),
        Example(5, TRAIN, at(4), at(14), at(), at()),
        Example(5, TEST, at(1), at(15), at(4), at(14)),
    ]


def test_an_event_of_train_behind_one_of_test_is_out_of_order():
    assert not leakage.out_of_order(log()).any()
    late = leakage.out_of_order(log((TRAIN, VALID, TEST, TRAIN, TRAIN, TEST)))
    assert np.flatnonzero(late).tolist() == [3]
    assert not leakage.out_of_order(Log(*[at()] * 4)).any()


@pytest.mark.parametrize(
    "changed",
    [
        {"past": at(0, 1, 2, 0), "past_times": at(10, 11, 12, 13)},
        {"past": at(0, 1), "past_times": at(10, 11)},
        {"items": at(4)},
        {"times": at(12)},
        {"past_times": at(10, 11, 13)},
    ],
    ids=["the test in the past", "valid not in the past", "another item", "another time", "another time before"],
)
def test_an_example_with_other_events_than_the_log_is_counted(changed):
    assert leakage.unlike(log(), examples()) == 0
    assert leakage.unlike(log(), examples(**changed)) == 1


def test_a_test_event_among_the_items_of_train_and_a_split_without_example_are_counted():
    whole = examples()
    whole[0] = Example(3, TRAIN, at(0, 1, 0), at(10, 11, 13), at(), at())
    assert leakage.unlike(log(), whole) == 1
    assert leakage.unlike(log(), examples()[:-1]) == 1


def test_statistics_may_count_what_was_strictly_before_their_moment():
    """Owner 0 has events at 5 and 20, owner 7 at 9; an event at the moment itself is not before it."""
    events = at(0, 0, 7), at(5, 20, 9)
    rows = at(0, 0, 0, 7, 7), at(5, 20, 21, 9, 10)
    assert not leakage.too_early(*rows, at(0, 1, 2, 0, 1), *events).any()
    assert leakage.too_early(*rows, at(1, 2, 3, 1, 2), *events).all()
    micros = 1_700_000_000_000_000
    far = leakage.too_early(at(1999, 1999), at(5, 6) + micros, at(1, 1), at(1999), at(5) + micros)
    assert far.tolist() == [True, False], "microseconds of thousands of owners do not run over"


def test_counts_differ_item_by_item_and_rounding_does_not():
    counts = np.array([1.0, 2.0, 0.0])
    assert not leakage.differing(counts, counts * (1 + 1e-7)).any()
    assert leakage.differing(counts, np.array([1.0, 3.0, 1.0])).tolist() == [False, True, True]
    assert leakage.differing(np.ones((2, 3)), np.array([[1, 1, 1], [1, 1, 2]])).tolist() == [False, True]
    assert leakage.differing(counts, counts[:2]).all()


def test_targets_that_are_spared_are_told_from_targets_that_luck_missed():
    rng = np.random.default_rng(1)
    fair = [rng.binomial(20_000, 0.002) for _ in range(200)]
    assert not any(leakage.avoided(hits, 20_000, 0.002) for hits in fair)
    assert leakage.avoided(0, 20_000, 0.002)
    assert not leakage.avoided(0, 1_000, 0.002), "too few draws to tell"
    assert not leakage.avoided(0, 0, 0.0)


def test_pairs_that_nobody_has():
    met = sparse.csr_matrix([[1.0, 1, 0, 0], [0, 0, 2, 1]])
    assert leakage.never_together(met, np.array([[0, 1], [2, 3], [1, 2]])).tolist() == [False, False, True]
    assert not len(leakage.never_together(met, np.zeros((0, 2), np.int64)))


def test_what_is_told_of_findings():
    clean = leakage.gathered("events", 6, [(0, "rows early")], "in order")
    leaking = leakage.gathered("models", 4, [(1, "other table"), (2, "other rows")], "the same")
    assert clean == Finding("events", 6, 0, "in order") and clean.ok
    assert not leaking.ok and leaking.found == 3
    assert leakage.leaks([clean]) == ""
    assert leakage.leaks([clean, leaking]) == "models (1 other table, 2 other rows)"
    assert json.loads(leakage.summary([leaking])) == [
        {"check": "models", "ok": False, "checked": 4, "found": 3, "detail": "1 other table, 2 other rows"}
    ]
