"""Models fitted on what was known, and on the test as well: what they keep of an item tells the two apart."""

import numpy as np
import pytest
import torch
from lakerec.columns import Models
from lakerec.models import storage
from lakerec.models.catalog import build
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.factors import Als
from lakerec.models.popular import popularity
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.traces import COUNTED, learned, recounted
from lakerec.training_config import TrainConfig

ITEMS, NEW = 6, 5
"""Item 4 is never met, item 5 in the test alone."""
KNOWN = [[0, 1, 2], [1, 2], [3, 0]]
WHOLE = [[0, 1, 2, NEW], [1, 2, 3], [3, 0, NEW]]
FITTED = (
    Models.POPULAR, Models.RECENT_POPULAR, Models.USER_CF, Models.ITEM_CF, Models.EASE, Models.ALS, Models.TWO_TOWER,
    Models.ATTENTION, Models.BEHAVIOUR,
)  # fmt: skip
CONFIG = TrainConfig(
    two_tower={"epochs": 1, "dims": 4}, attention={"epochs": 1, "dims": 4}, behaviour={"epochs": 1, "dims": 4, "width": 4}
)


def histories(rows):
    """Each user's events a day apart, users an hour."""
    times = [[DAY * place + 3600 * user for place in range(len(row))] for user, row in enumerate(rows)]
    return Histories.from_lists(rows, times)


def data(rows):
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 8)).astype(np.float32)
    return TrainingData(histories(rows), ITEMS, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def saved(model, folder):
    model.save(folder)
    return storage.settings(folder), storage.arrays(folder)


def fitted(name, rows, folder):
    model = factorized(rows) if name == Models.ALS else build(name, CONFIG)
    if name != Models.ALS:
        model.fit(data(rows))
    return saved(model, folder)


def factorized(rows):
    """als, with the factors of items that these histories met."""
    factors = np.ones((ITEMS, 2), np.float32)
    factors[np.setdiff1d(np.arange(ITEMS), histories(rows).items)] = 0
    return Als(factors, 0.1, 1.0, popularity(histories(rows), ITEMS))


@pytest.mark.parametrize("name", FITTED)
def test_nothing_is_learned_of_an_item_that_only_the_test_meets(name, tmp_path):
    known = learned(*fitted(name, KNOWN, tmp_path / "known"))
    assert not known[[4, NEW]].any()
    if name != Models.RECENT_POPULAR:
        assert known[:4].all()
    leaking = learned(*fitted(name, WHOLE, tmp_path / "whole"))
    assert leaking[NEW] and not leaking[4]


def test_vectors_of_the_sequence_model(tmp_path):
    model = Sequence.fresh(Shape(dims=4, blocks=1, heads=1, max_length=3, text_dims=4), data(KNOWN), seed=1)
    model.network.mark_met(np.arange(ITEMS) < 4)
    assert not learned(*saved(model, tmp_path / "known"))[[4, NEW]].any()
    with torch.no_grad():
        model.network.delta[NEW] = 0.1
    assert learned(*saved(model, tmp_path / "moved")).tolist() == [True] * 4 + [False, True]


def test_of_models_whose_softmax_moves_all_items_it_cannot_be_told(tmp_path):
    without = Sequence(Shape(dims=4, blocks=1, heads=1, max_length=3), ITEMS, None)
    assert learned(*saved(without, tmp_path / "sequence")) is None
    assert learned(*fitted(Models.MULT_VAE, KNOWN, tmp_path / "vae")) is None


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_of_the_events_that_a_model_was_fitted_on(name, tmp_path):
    for rows, other in ((KNOWN, WHOLE), (WHOLE, KNOWN)):
        settings, arrays = fitted(name, rows, tmp_path / f"{len(rows[0])}")
        stored, own = recounted(settings, arrays, histories(rows))
        np.testing.assert_allclose(stored, own, atol=1e-6)
        stored, wrong = recounted(settings, arrays, histories(other))
        assert not np.allclose(stored[NEW], wrong[NEW], atol=1e-3)


def test_a_model_without_counts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="attention keeps no counts"):
        recounted(*fitted(Models.ATTENTION, KNOWN, tmp_path), histories(KNOWN))
