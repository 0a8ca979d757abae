"""Contributions add up where they are exact, are what removal does where they are not, and blend as scores do."""

import numpy as np
import pytest
import torch
from lakerec.columns import Models
from lakerec.models.additive import ADDITIVE, beside_reference, by_item
from lakerec.models.attribution import Attributions, attributions
from lakerec.models.blend import Blend, Tailored, standardise
from lakerec.models.cold import ColdItems
from lakerec.models.compressed import compressed
from lakerec.models.data import Histories
from lakerec.models.leave_one_out import centred_scores, leave_one_out, without
from lakerec.models.linear import ItemCF
from lakerec.models.newcomers import extended
from lakerec.models.slices import Categories
from lakerec.models.towers import history_statistics
from scipy import sparse

from tests.shoppers import FITTED, ITEMS, fitted, shoppers

ASKED = shoppers(30, 2)
BESIDE = Histories.from_lists([[0, 1, 0], [], [9]])
"""An item that was met twice, a history without events."""
EXACT = (Models.ITEM_CF, Models.EASE, Models.USER_CF, Models.ALS, Models.CONTENT)
WHOLE = np.tile(np.arange(ITEMS), (len(ASKED), 1))


def added_up(found):
    total = np.zeros((len(found.met), found.values.shape[1]))
    np.add.at(total, found.met.rows, found.values)
    return total


def centred(scores):
    return scores - scores.mean(axis=1, keepdims=True)


def test_by_hand_weights_times_recency_less_the_mean_over_the_catalogue():
    model = ItemCF()
    model.weights = sparse.csr_matrix(np.array([[0, 0.6, 0.3], [0.6, 0, 0], [0.3, 0, 0]], dtype=np.float32))
    found = attributions(model, Histories.from_lists([[0, 2, 0]]), np.array([[1]]), 3)
    assert found.met.items.tolist() == [2, 0]
    np.testing.assert_allclose(found.values, [[0 - 0.1], [0.6 - 0.3]], atol=1e-6)
    np.testing.assert_allclose(found.shares(), [[0], [1]])


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("asked", [ASKED, BESIDE], ids=["shoppers", "beside"])
def test_exact_contributions_add_up_to_the_score_less_its_mean(name, asked):
    model = fitted(name)
    items = np.tile(np.arange(ITEMS), (len(asked), 1))
    found = attributions(model, asked, items, ITEMS)
    expected = centred(model.score(asked))
    expected[(model.score(asked) == getattr(model, "popularity", np.nan)).all(axis=1)] = 0
    np.testing.assert_allclose(added_up(found), expected, atol=2e-4)


def test_two_towers_contributions_add_up_beside_what_they_know_of_a_history_as_such():
    """The rest is what statistics and constant add, over the same length."""
    model = fitted(Models.TWO_TOWER)
    network, short = model.network.eval(), ASKED.last(model.recipe.max_length)
    with torch.inference_mode():
        hidden, vectors = network.before_unit(short), network.item(torch.arange(ITEMS))
        given = torch.zeros(len(short), network.history.in_features)
        given[:, -2:] = torch.from_numpy(history_statistics(short))
        rest = network.history(given) / hidden.norm(dim=1, keepdim=True) @ vectors.T / model.recipe.temperature
    found = attributions(model, ASKED, WHOLE, ITEMS)
    np.testing.assert_allclose(added_up(found), centred(model.score(ASKED)) - centred(rest.numpy()), atol=1e-4)


def test_attentions_contributions_add_up_beside_nobodys():
    model = fitted(Models.ATTENTION)
    nobody = ASKED.where(np.zeros(len(ASKED.items), dtype=bool))
    found = added_up(attributions(model, ASKED, WHOLE, ITEMS))
    rest = centred(model.score(ASKED)) - found
    assert not attributions(model, nobody, WHOLE, ITEMS).values.any()
    assert np.corrcoef(rest.ravel(), centred(model.score(nobody)).ravel())[0, 1] > 0.9
    assert np.abs(found).mean() > 3 * np.abs(rest).mean()


@pytest.mark.parametrize("name", [Models.SEQUENCE, Models.MULT_VAE])
def test_what_an_item_adds_is_what_is_lost_without_it(name):
    """Removed by hand from the first history; all events of the item go."""
    model, asked = fitted(name), shoppers(3, 8)
    met, own = asked.distinct(ITEMS), asked.row(0)
    found = leave_one_out(model, asked, met, WHOLE[:3], ITEMS, latest=20)
    for place, item in enumerate(met.row(0)):
        left = Histories.from_lists([own[own != item].tolist()], [asked.times[: len(own)][own != item].tolist()])
        lost = centred(model.score(asked.take(np.array([0])))) - centred(model.score(left))
        np.testing.assert_allclose(found[place], lost[0], atol=1e-4)


def test_only_the_items_that_were_met_last_are_left_out():
    met = ASKED.distinct(ITEMS)
    found = leave_one_out(fitted(Models.SEQUENCE), ASKED, met, WHOLE, ITEMS, latest=2)
    assert (found.any(axis=1) == (met.ago < 2)).all()


@pytest.mark.parametrize("name", FITTED)
def test_some_scores_are_those_of_all_and_memory_bounds_change_nothing(name, monkeypatch):
    model = fitted(name)
    whole = centred_scores(model, ASKED, WHOLE[:, 3:7], ITEMS)
    np.testing.assert_allclose(whole, centred(model.score(ASKED))[:, 3:7], atol=1e-4)
    found = attributions(model, ASKED, WHOLE[:, 3:7], ITEMS).values
    for module in ("leave_one_out.CELLS_AT_ONCE", "leave_one_out.HISTORIES_AT_ONCE", "additive.CELLS_AT_ONCE"):
        monkeypatch.setattr(f"lakerec.models.{module}", 64)
    np.testing.assert_allclose(attributions(model, ASKED, WHOLE[:, 3:7], ITEMS).values, found, atol=1e-4)


@pytest.mark.parametrize("name", FITTED)
def test_every_model_says_something_of_every_item_met_but_popularity(name):
    found = attributions(fitted(name), BESIDE, np.array([[2, 20], [1, 2], [10, 3]]), ITEMS)
    assert [found.met.row(user).tolist() for user in range(3)] == [[1, 0], [], [9]]
    assert found.values.shape == (3, 2) and found.values.dtype == np.float32 and np.isfinite(found.values).all()
    assert found.values.any() == (name not in (Models.POPULAR, Models.RECENT_POPULAR))


def test_a_blends_contributions_are_its_members_by_weight_in_standard_deviations():
    """Of sums over the history: they add up to the blend's score. A slice has weights of its own, cold items a lift."""
    members = [fitted(Models.EASE), fitted(Models.CONTENT)]
    kinds = Categories.of_items([[str(item // 8)] for item in range(ITEMS)])
    own = [Tailored(kinds, 0, {Models.EASE: 0.5})]
    blend = Blend(members, {Models.EASE: 1.0, Models.CONTENT: 0.3}, own, ColdItems(np.array([3, 9]), bias=2.0, text=0.5))
    found = added_up(attributions(blend, ASKED, WHOLE, ITEMS))
    expected = blend.score(ASKED)
    expected[:, [3, 9]] -= 2.0
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_compressed_sequence_model_is_asked_likewise():
    model = fitted(Models.SEQUENCE)
    found = attributions(compressed(model, "fp16"), ASKED, WHOLE, ITEMS).values
    np.testing.assert_allclose(found, attributions(model, ASKED, WHOLE, ITEMS).values, atol=0.05)


def test_new_items_say_nothing_to_a_model_that_knows_nothing_of_them():
    model = fitted(Models.EASE)
    longer = extended(model, np.zeros((2, 12), np.float32), ITEMS)
    asked = Histories.from_lists([[ITEMS, 0, 1], [ITEMS + 1]])
    found = attributions(longer, asked, np.array([[5, ITEMS], [5, ITEMS]]), ITEMS + 2)
    known = attributions(model, Histories.from_lists([[0, 1]]), np.array([[5]]), ITEMS)
    assert found.met.items.tolist() == [ITEMS, 0, 1, ITEMS + 1]
    np.testing.assert_allclose(found.values[1:3, :1], known.values)
    assert not found.values[[0, 3]].any() and not found.values[:, 1].any()


def test_events_are_summed_up_by_item():
    events = Histories.from_lists([[2, 1, 2], [2]])
    met = events.distinct(3)
    assert met.items.tolist() == [1, 2, 2]
    assert by_item(events, np.array([[1.0], [10.0], [100.0], [1000.0]]), met, 3).ravel().tolist() == [10, 101, 1000]


def test_shares_are_of_what_speaks_for_an_item():
    met = Histories.from_lists([[4, 2], [1], []])
    found = Attributions(met, np.array([[3, -1], [1, -2], [0, 5]], dtype=np.float32)).shares()
    assert found.tolist() == [[0.75, 0], [0.25, 0], [0, 1]]


def test_a_history_without_some_of_its_items_keeps_the_order_and_times_of_the_others():
    asked = Histories.from_lists([[3, 1, 3, 2], [3]], [[10, 20, 30, 40], [50]])
    found = without(asked, np.array([0, 0]), np.array([3, 2]), 4)
    assert (found.items.tolist(), found.times.tolist(), found.offsets.tolist()) == ([1, 3], [20, 50], [0, 1, 2])


def test_a_few_items_stand_for_a_large_catalogue():
    asked = np.array([[7], [9]])
    assert beside_reference(asked, 3).tolist() == [[7, 0, 1, 2], [9, 0, 1, 2]]
    many = beside_reference(asked, 10_000)
    assert many.shape == (2, 101) and len(set(many[0, 1:].tolist())) == 100
    assert (many == beside_reference(asked, 10_000)).all() and (many[0, 1:] == many[1, 1:]).all()


def test_sums_are_told_by_the_class_of_model():
    assert {kind.__name__ for kind in ADDITIVE} == {"ItemCF", "Ease", "UserCF", "Als", "Content", "TwoTower", "Attention"}


def test_standardised_scores_are_what_a_blend_adds_up():
    scores = fitted(Models.EASE).score(ASKED)
    np.testing.assert_allclose(standardise(scores), centred(scores) / scores.std(axis=1, keepdims=True), atol=1e-5)
