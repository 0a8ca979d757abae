"""Attention of items over a history: its formula, that it finds the interest an item belongs to, and its bounds."""

import math

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.models.attention import Attention, AttentionNetwork, AttentionRecipe
from lakerec.models.data import Histories, TrainingData
from lakerec.models.ranking import mask_seen
from lakerec.models.topk import top_k

RECIPE = {
    "dims": 16, "max_length": 8, "smoothing": 0.5, "dropout": 0.0, "candidates": 1000, "epochs": 12, "windows": 1000,
    "batch_size": 32, "learning_rate": 1e-2, "weight_decay": 0.1,
}  # fmt: skip
ITEMS, GROUPS, SIZE = 12, 10, 6


def recipe(**changed):
    return AttentionRecipe(**RECIPE | changed)


def network(spread=0.7, **changed):
    """An untrained network with weights of some size, all items met."""
    torch.manual_seed(1)
    made = AttentionNetwork(ITEMS, 0, recipe(dims=4, **changed)).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=spread)
    made.items.met.fill_(1.0)
    return made


def by_hand(made, items, asked):
    """Score of an item after a history, one event after the other."""
    table = made.items()
    vectors = [made.nobody, *(table[item] for item in items)]
    says = looks = 0.0
    for place, vector in enumerate(vectors):
        exponent = made.query(table[asked]) @ made.key(vector) / math.sqrt(table.shape[1])
        weight = (exponent + made.fade[len(items) - place]).exp()
        says, looks = says + weight * (table[asked] @ made.value(vector)), looks + weight
    return says / looks**made.smoothing


def two_interests(count, seed, length=8):
    """Users with two groups each, events of both as they come, none twice."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        own = rng.choice(GROUPS, 2, replace=False)[:, None] * SIZE + np.arange(SIZE)
        rows.append(rng.permutation(own.ravel())[:length].tolist())
    return Histories.from_lists(rows)


@pytest.fixture(scope="module")
def fitted():
    model = Attention(recipe(), seed=1)
    model.fit(TrainingData(two_interests(400, 1), GROUPS * SIZE))
    return model


def test_scores_are_the_formula_worked_out_event_by_event():
    model = Attention(recipe(dims=4))
    model.network = made = network()
    asked = [[3, 1, 7], [], [5]]
    scores = model.score(Histories.from_lists(asked))
    expected = [[by_hand(made, items, item).item() for item in range(ITEMS)] for items in asked]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_a_history_that_is_too_long_is_its_newest_events():
    model = Attention(recipe(dims=4, max_length=2))
    model.network = network(max_length=2)
    scores = model.score(Histories.from_lists([[3, 1, 7], [1, 7]]))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)


def test_the_loss_is_a_softmax_over_the_catalogue_after_each_event_that_is_new():
    made = network()
    window = [3, 1, 3, 7]
    lost = []
    for place in (0, 1, 3):  # the second 3 is not new
        logits = torch.stack([by_hand(made, window[:place], item) for item in range(ITEMS)])
        lost.append(torch.logsumexp(logits, 0) - logits[window[place]])
    padded = torch.tensor([[*window, ITEMS]])
    assert made.loss(padded, torch.arange(ITEMS)).item() == pytest.approx(torch.stack(lost).mean().item(), rel=1e-4)


def test_a_few_drawn_items_stand_for_all():
    """The sum of the softmax is right in the mean over draws, so its logarithm nearly is."""
    made, rng = network(spread=0.4), np.random.default_rng(1)
    window = torch.tensor([[3, 1, 7]])
    whole = made.loss(window, torch.arange(ITEMS)).item()
    draws = [made.loss(window, torch.from_numpy(rng.choice(ITEMS, 9, replace=False))).item() for _ in range(400)]
    assert np.mean(draws) == pytest.approx(whole, abs=0.05)


def test_an_item_looks_at_the_interest_that_it_belongs_to(fitted):
    """One event of a group among three of another: an item of the first looks at that one more than chance would."""
    net, table = fitted.network, fitted.network.items()
    shares = []
    for group in range(0, GROUPS, 2):
        mine, other = group * SIZE, (group + 1) * SIZE
        history = net.history(torch.tensor([[mine, other, other + 1, other + 2]]), table)
        looks, _ = net.pairs(history, table[mine + 1 : mine + SIZE])
        events = looks[0, 1:]  # nobody left out
        shares += (events[0] / events.sum(dim=0)).tolist()
    assert np.mean(shares) >= 0.4, "of four events, 1/4 would be chance"


def test_what_is_next_is_found_in_either_interest(fitted):
    """Histories of five events of one group and one of another: the rest of both comes first. Floor: 3/4 of them."""
    rows = [[*range(g * SIZE, g * SIZE + 5), ((g + 3) % GROUPS) * SIZE] for g in range(GROUPS)]
    asked = Histories.from_lists(rows)
    found = top_k(mask_seen(fitted.score(asked), asked), SIZE)[0]
    hits = [item // SIZE in (g, (g + 3) % GROUPS) for g, items in enumerate(found) for item in items.tolist()]
    assert np.mean(hits) >= 0.75


def test_an_item_that_training_never_met_is_where_its_text_puts_it():
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(GROUPS, 8)), SIZE, axis=0).astype(np.float32)
    met = two_interests(200, 1)
    cold = SIZE - 1  # of the first group
    known = Histories.from_lists([[item for item in met.row(n).tolist() if item != cold] for n in range(len(met))])
    model = Attention(recipe(epochs=4), seed=1)
    model.fit(TrainingData(known, GROUPS * SIZE, vectors))
    items = model.network.items
    torch.testing.assert_close(items()[cold], items.project(items.text[cold]))
    asked = Histories.from_lists([[0, 1]])
    assert cold in top_k(mask_seen(model.score(asked), asked), SIZE)[0]


def test_it_is_the_same_however_many_are_scored_at_once(fitted, monkeypatch):
    asked = two_interests(9, 5)
    whole = fitted.score(asked)
    monkeypatch.setattr("lakerec.models.attention.CELLS_AT_ONCE", 2 * GROUPS * SIZE * 9)
    np.testing.assert_allclose(fitted.score(asked), whole, rtol=1e-4, atol=1e-5)


def test_an_epoch_is_no_longer_than_asked_and_draws_others_each_time():
    model = Attention(recipe(epochs=2, windows=20, batch_size=8, candidates=5))
    batches = list(model._batches(np.arange(40)[:, None], ITEMS))
    assert [len(rows) for rows, _ in batches] == [8, 8, 4] * 2
    assert len({row for rows, _ in batches for row in rows.ravel().tolist()}) > 20
    assert all(len(set(drawn.tolist())) == 5 for _, drawn in batches)


def test_other_seeds_give_other_weights_and_torchs_own_seed_is_left_alone():
    torch.manual_seed(0)
    before, asked, scores = torch.random.get_rng_state(), Histories.from_lists([[1, 2]]), []
    for seed in (1, 2):
        model = Attention(recipe(epochs=1), seed)
        model.fit(TrainingData(two_interests(20, 1), GROUPS * SIZE))
        scores.append(model.score(asked))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_without_anything_to_learn_it_still_scores():
    model = Attention(recipe())
    model.fit(TrainingData(Histories.from_lists([[], [2]]), ITEMS))
    assert np.isfinite(model.score(Histories.from_lists([[], [2, 3]]))).all()


def test_weights_that_are_not_finite_are_an_error():
    with pytest.raises(TrainingError, match=r"lower train\.attention\.learning_rate"):
        Attention(recipe(learning_rate=1e30)).fit(TrainingData(two_interests(40, 1), GROUPS * SIZE))
