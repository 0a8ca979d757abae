"""Integrated gradients add up to what is explained, and agree with what removal does."""

import numpy as np
import torch
from lakerec.columns import Models
from lakerec.models.additive import by_item
from lakerec.models.attribution import attributions
from lakerec.models.data import Histories
from lakerec.models.integrated_gradients import of_behaviour, of_sequence
from lakerec.models.leave_one_out import leave_one_out

from tests.shoppers import ITEMS, SHAPE, fitted, shoppers

ASKED = Histories.from_lists([[0, 1, 0, 9], [], [17]] + [shoppers(6, 4).row(user).tolist() for user in range(6)])
ITEMS_ASKED = np.tile(np.array([2, 10, 18, 30]), (len(ASKED), 1))


def by_history(histories, values):
    total = np.zeros((len(histories), values.shape[1]))
    np.add.at(total, histories.rows, values)
    return total


def test_a_sequence_models_add_up_to_the_score_less_that_of_events_of_nothing():
    model = fitted(Models.SEQUENCE)
    network, short = model.network.eval(), ASKED.last(model.shape.max_length)
    found = of_sequence(model, ASKED, ITEMS_ASKED, steps=256)
    assert found.shape == (len(short.items), 4)
    with torch.inference_mode():
        nothing = torch.zeros(len(short), model.shape.max_length, model.shape.dims)
        hidden = network.hidden(nothing, torch.from_numpy(short.padded_times(model.shape.max_length)))
        last = hidden[torch.arange(len(short)), torch.from_numpy(np.maximum(short.lengths, 1) - 1)]
        table = network.table()
        baseline = (last @ (table - table.mean(dim=0)).T)[:, [2, 10, 18, 30]].numpy()
    np.testing.assert_allclose(by_history(short, found), model.centred(ASKED, ITEMS_ASKED) - baseline, atol=2e-3)


def test_a_behaviour_models_add_up_with_its_facts_to_the_logit_less_that_of_nobody_and_nothing():
    model = fitted(Models.BEHAVIOUR)
    network, short = model.network.eval(), ASKED.last(model.recipe.max_length)
    found = of_behaviour(model, ASKED, ITEMS_ASKED, steps=256)
    whole = by_history(short, found.events) + found.user_facts.sum(axis=-1) + found.item_facts.sum(axis=-1)
    with torch.inference_mode():
        empty = model.network.describe(torch.zeros(1, model.recipe.dims))
        logits, _ = network(
            empty, torch.zeros(1, 2), network.items()[[2, 10, 18, 30]], torch.tensor(model.nobodys).expand(4, -1)
        )
    np.testing.assert_allclose(whole, model.score(ASKED)[:, [2, 10, 18, 30]] - logits.numpy(), atol=0.05)


def test_an_event_is_explained_at_its_own_place():
    """Histories of one event: all of the history's contribution is that event's, whatever else is asked for beside it."""
    model = fitted(Models.BEHAVIOUR)
    alone = of_behaviour(model, ASKED.take(np.array([2])), ITEMS_ASKED[:1])
    beside = of_behaviour(model, ASKED, ITEMS_ASKED)
    place = int(ASKED.last(model.recipe.max_length).offsets[2])
    np.testing.assert_allclose(beside.events[place], alone.events[0], atol=1e-5)


def test_a_behaviour_models_history_is_what_removal_says_it_is():
    """Both ways are of the same model, and agree on what matters though not on the number."""
    model, asked = fitted(Models.BEHAVIOUR), shoppers(40, 6)
    items = np.argmax(model.score(asked), axis=1)[:, None]
    found = attributions(model, asked, items, ITEMS)
    removed = leave_one_out(model, asked, found.met, items, ITEMS, latest=20)
    assert np.corrcoef(found.values.ravel(), removed.ravel())[0, 1] > 0.6


def test_a_sequence_models_are_by_gradients_where_that_is_asked_for():
    model, asked = fitted(Models.SEQUENCE), shoppers(5, 6)
    items = np.tile([2, 10], (5, 1))
    found = attributions(model, asked, items, ITEMS, "integrated_gradients")
    expected = by_item(asked.last(SHAPE.max_length), of_sequence(model, asked, items), found.met, ITEMS)
    np.testing.assert_allclose(found.values, expected)
