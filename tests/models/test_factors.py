"""Folding a history in, by the formula as the paper writes it; tests/stages/test_factorizing.py compares with MLlib."""

import numpy as np
import pytest
from lakerec.models.data import Histories, TrainingData
from lakerec.models.factors import Als

ITEMS, SIZE = 7, 3


@pytest.fixture
def model():
    return Als(np.random.default_rng(1).normal(size=(ITEMS, SIZE)).astype(np.float32), 0.2, 4.0, np.arange(ITEMS))


def test_a_history_is_folded_in_by_its_normal_equations(model, monkeypatch):
    monkeypatch.setattr("lakerec.models.factors.CELLS_AT_ONCE", 2 * SIZE * SIZE)
    met = Histories.from_lists([[0, 1], [], [5, 2, 5, 6]]).matrix(ITEMS)
    met.data[:] = [1, 0.5, 1, 1, 0.25]
    found = model.fold_in(met)
    items = model.factors.astype(float)
    for row, own in zip(found, met.toarray(), strict=True):
        confidence, preference = np.diag(1 + 4.0 * own), (own > 0).astype(float)
        left = items.T @ items + items.T @ (confidence - np.eye(ITEMS)) @ items + 0.2 * preference.sum() * np.eye(SIZE)
        np.testing.assert_allclose(row, np.linalg.solve(left, items.T @ confidence @ preference), rtol=1e-6)
    assert not found[1].any()


def test_fewer_items_than_factors_and_items_never_met_are_no_trouble():
    factors = np.zeros((4, 8), dtype=np.float32)
    factors[:2, :2] = np.eye(2)
    scores = Als(factors, 0.1, 1.0, np.array([2, 3, 1, 0])).score(Histories.from_lists([[0], [3], []]))
    assert np.isfinite(scores).all() and scores[0].argmax() == 0 and scores[1:].tolist() == [[2, 3, 1, 0]] * 2


def test_it_is_fitted_elsewhere(model):
    with pytest.raises(TypeError, match="factorizing"):
        model.fit(TrainingData(Histories.from_lists([[0]]), ITEMS))
