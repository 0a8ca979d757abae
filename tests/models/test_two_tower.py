"""The towers' inputs by hand, the loss and its correction, what is learned, and what is known without learning."""

import math

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.towers import Pool, event_weights, history_statistics, item_statistics, mixed_loss
from lakerec.models.two_tower import Pairs, TowerRecipe, TwoTower
from lakerec.training_config import TwoTowerConfig
from torch.nn import functional as F

ITEMS = 12
RECIPE = {
    "dims": 16, "half_lives": [1.0, 4.0], "max_length": 6, "dropout": 0.0, "epochs": 12, "batch_size": 32, "negatives": 16,
    "learning_rate": 3e-2, "half_life_days": 0.0, "gap": 0,
}  # fmt: skip


def recipe(**changed):
    return TowerRecipe(**TwoTowerConfig(**RECIPE | changed).model_dump())


def cyclic(users=120, length=7, seed=0):
    """Histories in which item n is always followed by n + 1, modulo ITEMS."""
    starts = np.random.default_rng(seed).integers(0, ITEMS, users)
    return Histories.from_lists([[(start + step) % ITEMS for step in range(length)] for start in starts])


def fitted(histories=None, num_items=ITEMS, vectors=None, seed=1, **changed):
    model = TwoTower(recipe(**changed), seed)
    model.fit(TrainingData(histories or cyclic(), num_items, vectors))
    return model


def test_an_event_is_half_as_heavy_every_half_life_and_a_row_adds_up_to_one():
    histories = Histories.from_lists([[2, 0], [], [1, 1, 3]])
    found = event_weights(histories, (1.0, 2.0), 4).toarray()
    root = math.sqrt(0.5)
    expected = [[2 / 3, 0, 1 / 3, 0], [0, 0, 0, 0], [0, 3 / 7, 0, 4 / 7]]
    expected += [[1 / (1 + root), 0, root / (1 + root), 0], [0, 0, 0, 0]]
    expected += [[0, (root + 0.5) / (1.5 + root), 0, 1 / (1.5 + root)]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gradients_pass_the_means_as_they_pass_a_product():
    weights = event_weights(Histories.from_lists([[2, 0], [1, 1, 3]]), (1.0,), 4)
    rows = torch.randn(4, 3, requires_grad=True)
    products = Pool.apply(weights, rows), torch.from_numpy(weights.toarray()) @ rows
    own, expected = (torch.autograd.grad(product.square().sum(), rows)[0] for product in products)
    torch.testing.assert_close(own, expected)


def test_statistics_by_hand():
    histories = Histories.from_lists([[0, 1], [1], []], [[0, 2 * DAY], [4 * DAY], []])
    expected = [[math.log(3), math.log(3)], [math.log(2), 0], [0, 0]]
    np.testing.assert_allclose(history_statistics(histories), np.array(expected) / 3, rtol=1e-6)
    found, met = item_statistics(histories, 3)
    assert met.tolist() == [True, True, False]
    # item 0: 1 event, 4 days ago; item 1: 2 events, the last 0 and the first 2 days ago. Of two values one is -1, one is 1.
    np.testing.assert_allclose(found, [[-1, 1, 1], [1, -1, -1], [0, 0, 0]], atol=1e-6)


def test_pairs_ask_for_first_meetings_after_what_came_before_them():
    data = TrainingData(Histories.from_lists([[3, 4, 3, 5], [6]]), ITEMS)
    pairs = Pairs.of(data, 0.0)
    assert pairs.events.tolist() == [0, 1, 3, 4] and pairs.shares.tolist() == [0.25] * 4
    found = pairs.before(pairs.events, np.zeros(4, dtype=np.int64), 2)
    assert [found.row(n).tolist() for n in range(4)] == [[], [3], [4, 3], []]
    gapped = pairs.before(pairs.events, np.array([1, 2, 1, 5]), 2)
    assert [gapped.row(n).tolist() for n in range(4)] == [[], [3], [3, 4], []]
    assert sorted(pairs.drawn(4, np.random.default_rng(0)).tolist()) == [0, 1, 3, 4]


def test_newer_events_are_drawn_more_often():
    data = TrainingData(Histories.from_lists([[0, 1, 2]], [[0, 10 * DAY, 20 * DAY]]), ITEMS)
    pairs = Pairs.of(data, 10.0)
    np.testing.assert_allclose(pairs.shares, [1 / 7, 2 / 7, 4 / 7])
    counts = np.bincount(pairs.drawn(700, np.random.default_rng(0)), minlength=3)
    assert np.abs(counts - [100, 200, 400]).max() <= 2


def test_an_epoch_is_no_longer_than_asked_and_draws_others_each_time():
    pairs = Pairs.of(TrainingData(cyclic(), ITEMS), 0.0)
    batches = [events for events, _ in TwoTower(recipe(epochs=3, pairs=80))._batches(pairs)]
    assert [len(events) for events in batches] == [32, 32, 16] * 3
    assert len(np.unique(np.concatenate(batches))) > 100


def test_the_loss_over_candidates_nears_the_one_over_the_catalogue_only_where_it_is_corrected():
    """Candidates are drawn as a batch draws them: some by popularity, which is skewed, some uniformly."""
    random, rng = torch.Generator().manual_seed(1), np.random.default_rng(1)
    scores = torch.randn(1, ITEMS, generator=random)
    shares = np.random.default_rng(2).dirichlet(np.full(ITEMS, 0.3))
    wanted, popular, uniform = torch.tensor([4]), 400, 200
    losses = {True: [], False: []}
    for _ in range(200):
        drawn = np.concatenate([rng.choice(ITEMS, popular, p=shares), rng.integers(0, ITEMS, uniform)])
        candidates = torch.cat([wanted, torch.from_numpy(drawn)])
        expected = (popular * torch.from_numpy(shares)[candidates] + uniform / ITEMS).float()
        for corrected, found in losses.items():
            even = torch.full_like(expected, (popular + uniform) / ITEMS)
            found.append(mixed_loss(scores[:, candidates], wanted, candidates, expected if corrected else even).item())
    whole = F.cross_entropy(scores, wanted).item()
    assert np.mean(losses[True]) == pytest.approx(whole, abs=0.01)
    assert abs(np.mean(losses[False]) - whole) > 0.1


def test_a_wanted_item_is_no_wrong_answer_to_itself():
    candidates, expected = torch.tensor([3, 3, 5]), torch.ones(3)
    scores = torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]])
    assert mixed_loss(scores, candidates[:2], candidates, expected).item() == pytest.approx(math.log1p(math.e), rel=1e-6)


def test_what_is_popular_is_scored_as_such_though_batches_are_full_of_it(monkeypatch):
    """Nothing tells users apart, so that scores are the items' log probabilities: four of .2, and 16 of .0125."""
    histories = Histories.from_lists([[user % 5 if user % 5 < 4 else 4 + user // 5 % 16] for user in range(640)])

    def gap():
        scores = fitted(histories, 20, epochs=10, negatives=8).score(Histories.from_lists([[]]))[0]
        return scores[:4].mean() - scores[4:].mean()

    assert gap() == pytest.approx(math.log(16), abs=0.4)
    monkeypatch.setattr("lakerec.models.two_tower.mixed_loss", lambda s, w, c, e: mixed_loss(s, w, c, torch.ones_like(e)))
    assert gap() < 0.5 * math.log(16)


def test_sequences_that_can_be_predicted_are():
    scores = fitted().score(Histories.from_lists([[n, (n + 1) % ITEMS] for n in range(ITEMS)]))
    assert (scores.argmax(axis=1) == (np.arange(ITEMS) + 2) % ITEMS).mean() >= 0.9


def test_an_item_that_nobody_met_is_found_by_its_text():
    """Two new items: one with the text of the item that comes next, one with a text of its own."""
    random = np.random.default_rng(3).normal(size=(ITEMS + 1, 8)).astype(np.float32)
    vectors = np.concatenate([random[:ITEMS], random[3:4], random[ITEMS:]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = fitted(num_items=ITEMS + 2, vectors=vectors).score(Histories.from_lists([[1, 2]]))[0]
    assert scores.argmax() in (3, ITEMS) and set(np.argsort(-scores)[:2]) == {3, ITEMS}
    assert scores[ITEMS] > scores[ITEMS + 1] + 1


def test_without_history_the_popular_is_first():
    skewed = Histories.from_lists([[7 if user % 3 else user % ITEMS] for user in range(90)])
    assert fitted(skewed, epochs=10).score(Histories.from_lists([[]])).argmax() == 7


def test_other_seeds_give_other_weights_and_torchs_own_seed_is_left_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one, same, other = (fitted(epochs=1, dropout=0.2, seed=seed).score(cyclic(5)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(one, same)
    assert np.abs(other - one).max() > 1e-3


def test_it_is_the_same_however_many_are_scored_at_once(monkeypatch):
    model = fitted(epochs=1)
    whole = model.score(cyclic(10))
    monkeypatch.setattr("lakerec.models.two_tower.CELLS_AT_ONCE", 3 * ITEMS)
    np.testing.assert_allclose(model.score(cyclic(10)), whole, rtol=1e-5, atol=1e-5)


def test_without_any_event_it_still_scores():
    assert np.isfinite(fitted(Histories.from_lists([[], []])).score(Histories.from_lists([[1], []]))).all()


def test_weights_that_are_not_finite_are_an_error():
    with pytest.raises(TrainingError, match=r"lower train\.two_tower\.learning_rate"):
        fitted(learning_rate=float("inf"))
