"""Nearest users, by hand."""

import numpy as np
import pytest
from lakerec.models.data import Histories, TrainingData
from lakerec.models.neighbours import UserCF

ITEMS = 6
HISTORIES = Histories.from_lists([[0, 1, 2], [], [0, 1, 1], [0, 3], [4]], [[0, 1, 9], [], [2, 3, 4], [8, 9], [5]])


def fitted(**named):
    model = UserCF(**named)
    model.fit(TrainingData(HISTORIES, ITEMS))
    return model


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [
        (1, [1, 1, 0, 0, 0, 0]),
        (2, [1 + 2 / np.sqrt(6), 1 + 2 / np.sqrt(6), 2 / np.sqrt(6), 0, 0, 0]),
        (100, [1.5 + 2 / np.sqrt(6), 1 + 2 / np.sqrt(6), 2 / np.sqrt(6), 0.5, 0, 0]),
    ],
)
def test_scores_are_the_cosines_of_the_nearest_users_who_met_the_item(neighbours, expected):
    scores = fitted(neighbours=neighbours).score(Histories.from_lists([[1, 0, 0], []]))
    np.testing.assert_allclose(scores[0], expected, rtol=1e-6)
    assert scores[1].tolist() == [3, 2, 1, 1, 1, 0]


def test_of_more_users_than_it_keeps_the_latest_stay():
    assert fitted(users=2).met.toarray().tolist() == [[1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0]]


def test_it_is_the_same_however_many_are_scored_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    asked = Histories.from_lists([rng.permutation(ITEMS)[:3].tolist() for _ in range(7)])
    model = fitted(neighbours=2)
    whole = model.score(asked)
    monkeypatch.setattr("lakerec.models.neighbours.CELLS_AT_ONCE", 8)
    np.testing.assert_array_equal(model.score(asked), whole)


def test_without_anybody_it_scores_zero():
    model = UserCF()
    model.fit(TrainingData(Histories.from_lists([[]]), ITEMS))
    assert not model.score(HISTORIES).any()
