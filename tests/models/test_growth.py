"""A fitted sequence model for a catalogue that has grown: old scores stay, new items are scored from their text."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lakerec.models import catalog
from lakerec.models.data import Histories, TrainingData
from lakerec.models.sequence import Sequence, Shape

ITEMS, NEW = 8, 3
SHAPE = Shape(dims=8, blocks=1, heads=2, max_length=4, dropout=0.1, text_dims=4)
ASKED = Histories.from_lists([[0, 1, 2], [5], []])


def data(items, seed=1):
    """The first items have the same vectors, however many there are."""
    vectors = np.random.default_rng(seed).normal(size=(ITEMS + NEW, 6)).astype(np.float32)
    return TrainingData(Histories.from_lists([]), items, vectors[:items])


@pytest.fixture
def fitted(tmp_path):
    """As one is when it was saved: deltas of the items that training met, all but the last."""
    model = Sequence.fresh(SHAPE, data(ITEMS), seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        model.network.delta.normal_()
        model.network.delta[-1] = 0
    model.network.mark_met(np.arange(ITEMS) < ITEMS - 1)
    model.save(tmp_path / "before")
    return catalog.load(tmp_path / "before")


def test_scores_of_old_items_stay_and_new_ones_come_from_their_text(fitted):
    grown = Sequence.grown(fitted, SHAPE, data(ITEMS + NEW), seed=9)
    np.testing.assert_allclose(grown.score(ASKED)[:, :ITEMS], fitted.score(ASKED), rtol=1e-5, atol=1e-6)
    network = grown.network
    assert torch.equal(network.table()[ITEMS:], network.project(network.text)[ITEMS:])
    assert network.met[:, 0].tolist() == [1.0] * (ITEMS - 1) + [0.0] * (1 + NEW)
    met = np.ones(ITEMS + NEW, dtype=bool)
    network.mark_met(met)
    np.testing.assert_allclose(grown.score(ASKED)[:, :ITEMS], fitted.score(ASKED), rtol=1e-5, atol=1e-6)


def test_new_texts_are_brought_down_by_the_components_of_the_old_ones(fitted, tmp_path):
    """Components of all texts would put the old items elsewhere."""
    whole = Sequence.fresh(SHAPE, data(ITEMS + NEW), seed=1)
    grown = Sequence.grown(fitted, SHAPE, data(ITEMS + NEW), seed=1)
    assert torch.equal(grown.network.text[:ITEMS], fitted.network.text)
    assert not torch.allclose(whole.network.text[:ITEMS], fitted.network.text, atol=0.01)
    grown.save(tmp_path / "grown")
    again = Sequence.grown(Sequence.load(tmp_path / "grown"), SHAPE, data(ITEMS + NEW), seed=1)
    np.testing.assert_allclose(again.score(ASKED), grown.score(ASKED), rtol=1e-5, atol=1e-6)


def test_without_texts_new_items_get_random_vectors():
    bare = Sequence.fresh(SHAPE, TrainingData(Histories.from_lists([]), ITEMS), seed=1)
    grown = Sequence.grown(bare, SHAPE, TrainingData(Histories.from_lists([]), ITEMS + NEW), seed=2)
    np.testing.assert_allclose(grown.score(ASKED)[:, :ITEMS], bare.score(ASKED), rtol=1e-5, atol=1e-6)
    assert grown.network.delta[ITEMS:].abs().min() > 0


@pytest.mark.parametrize("what", ["wider", "fewer items", "no vectors"])
def test_what_does_not_go_with_the_fitted_model_is_refused(fitted, what):
    shape = replace(SHAPE, dims=16) if what == "wider" else SHAPE
    catalogue = data(ITEMS - 1 if what == "fewer items" else ITEMS)
    if what == "no vectors":
        catalogue = replace(catalogue, item_vectors=None)
    with pytest.raises(ValueError):
        Sequence.grown(fitted, shape, catalogue, seed=1)
