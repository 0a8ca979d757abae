"""Hand-computed values of the small models and of what they share; tests/models/test_contract.py has what all keep to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lakerec.columns import Models
from lakerec.errors import TrainingError
from lakerec.models import catalog
from lakerec.models.basis import Basis
from lakerec.models.blend import Blend, blended_value, cross_fitted_value, fit_weights, standardise
from lakerec.models.content import Content
from lakerec.models.data import Histories, Holdout, Recency, TrainingData, new_targets
from lakerec.models.factors import Als
from lakerec.models.linear import Ease, ItemCF
from lakerec.models.neighbours import UserCF
from lakerec.models.network import span
from lakerec.models.newcomers import extended
from lakerec.models.popular import Popular
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.topk import recommend, top_k
from lakerec.training_config import TrainConfig

DAY = 86_400
ITEMS = 6
HISTORIES = Histories.from_lists([[0, 1, 2], [0, 1], [0, 3], [4]], [[0, 1, 9 * DAY], [2, 3], [8 * DAY, 9 * DAY], [5]])
SMALL = Shape(dims=8, blocks=1, heads=2, max_length=4, dropout=0.0, text_dims=3)


@pytest.fixture
def data():
    vectors = np.random.default_rng(1).normal(size=(ITEMS, 5)).astype(np.float32)
    return TrainingData(HISTORIES, ITEMS, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def blended(data):
    ease = Ease()
    ease.fit(data)
    return Blend([ease, Sequence.fresh(SMALL, data, seed=1)], {Models.EASE: 1.0, Models.SEQUENCE: 0.5})


def test_popular_counts_users_and_recent_popular_those_of_the_last_days():
    model = Popular()
    model.fit(TrainingData(HISTORIES, ITEMS))
    assert model.counts.tolist() == [3, 2, 1, 1, 1, 0]
    recent = Popular(days=2)
    recent.fit(TrainingData(HISTORIES, ITEMS))
    assert recent.counts.tolist() == [1, 0, 1, 1, 0, 0]


def test_item_cf_is_the_cosine_of_who_met_the_items():
    model = ItemCF(neighbours=ITEMS)
    model.fit(TrainingData(HISTORIES, ITEMS))
    weights = model.weights.toarray()
    assert weights[0, 1] == pytest.approx(2 / np.sqrt(3 * 2))
    assert weights[0, 3] == pytest.approx(1 / np.sqrt(3))
    assert weights[1, 3] == 0 and weights[0, 0] == 0


def test_item_cf_keeps_the_nearest_items_only():
    model = ItemCF(neighbours=1)
    model.fit(TrainingData(HISTORIES, ITEMS))
    assert np.flatnonzero(model.weights.toarray()[:, 1]).tolist() == [0]


def test_item_cf_is_the_same_however_many_columns_are_worked_on_at_once(monkeypatch):
    histories = Histories.from_lists([np.random.default_rng(n).permutation(20)[:6].tolist() for n in range(30)])
    whole, parts = ItemCF(neighbours=4), ItemCF(neighbours=4)
    whole.fit(TrainingData(histories, 20))
    monkeypatch.setattr("lakerec.models.linear.COLUMNS_AT_ONCE", 3)
    parts.fit(TrainingData(histories, 20))
    np.testing.assert_array_equal(parts.weights.toarray(), whole.weights.toarray())


def test_ease_minimises_its_objective_with_a_zero_diagonal():
    model = Ease(regularization=2.0)
    model.fit(TrainingData(HISTORIES, ITEMS))
    met = HISTORIES.matrix(ITEMS).toarray().astype(float)
    weights = model.weights.astype(float)
    assert np.abs(np.diag(weights)).max() == 0
    # At the minimum the gradient vanishes off the diagonal.
    gradient = met.T @ (met @ weights - met) + 2.0 * weights
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4


def test_ease_says_so_where_its_regularization_is_too_small_to_solve_with():
    always_together = TrainingData(Histories.from_lists([[0, 1], [0, 1], [1, 0]]), 2)
    with pytest.raises(TrainingError, match=r"ease: a regularization of 1e-30 is too small here: raise it in train\.reg"):
        Ease(regularization=1e-30).fit(always_together)


def test_content_prefers_what_is_like_the_newest_items():
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
    model = Content(half_life=1.0)
    model.fit(TrainingData(Histories.from_lists([]), 4, vectors))
    scores = model.score(Histories.from_lists([[0, 1]]))[0]
    assert scores[3] == pytest.approx(1 / np.hypot(0.5, 1)) and scores[2] == pytest.approx(0.5 / np.hypot(0.5, 1))


def test_sequence_sees_the_order_and_no_future():
    model = Sequence.fresh(SMALL, TrainingData(HISTORIES, ITEMS), 1)
    one, other = (model.score(Histories.from_lists([row]))[0] for row in ([0, 1, 2], [1, 0, 2]))
    assert np.abs(one - other).max() > 1e-6
    table = model.network.table()
    first = model.network(torch.tensor([[0, 1, 2, 3]]), table)[0, :2]
    second = model.network(torch.tensor([[0, 1, 5, 5]]), table)[0, :2]
    torch.testing.assert_close(first, second)


def test_sequence_sees_the_pauses_between_events_and_no_clock_and_no_future():
    model = Sequence.fresh(replace(SMALL, times=True), TrainingData(HISTORIES, ITEMS), 1)
    with torch.no_grad():
        for weight in (model.network.pause, *(block.time_bias for block in model.network.blocks)):
            weight.normal_()
    items = torch.tensor([[0, 1, 2, 3]])

    def states(*seconds):
        with torch.inference_mode():
            return model.network.eval()(items, model.network.table(), torch.tensor([seconds]))[0]

    plain = states(0, 100, 200, 300)
    torch.testing.assert_close(states(7_000, 7_100, 7_200, 7_300), plain)
    later = states(0, 100, 200, 90_000)
    torch.testing.assert_close(later[:3], plain[:3])
    assert not torch.allclose(later[3], plain[3])
    assert span(torch.tensor([-5, 0, 1, 2, 3, 4, 86_400, 2**40])).tolist() == [0, 0, 1, 1, 2, 2, 16, 31]
    asked = Histories.from_lists([[0, 1], [0, 1]], [[0, 60], [0, 600_000]])
    assert not np.allclose(*model.score(asked))


def test_reduced_vectors_keep_zero_rows_and_likeness_and_have_one_sign():
    vectors = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32) @ np.diag([9, 7, 5, 3, 1e-4, 1e-4])
    vectors[3] = 0
    reduced = Basis.of(vectors.astype(np.float32), 4).apply(vectors.astype(np.float32))
    assert reduced.shape == (20, 4) and not reduced[3].any()
    present = np.arange(20) != 3
    centred = vectors[present] - vectors[present].mean(axis=0)
    scale = (centred @ centred.T)[0, 0] / (reduced[present] @ reduced[present].T)[0, 0]
    np.testing.assert_allclose(scale * reduced[present] @ reduced[present].T, centred @ centred.T, atol=0.05)
    # The sign of an axis is free; the largest loading of each is made positive, whatever the library gives.
    loadings = np.linalg.lstsq(centred, reduced[present], rcond=None)[0]
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(4)] > 0).all()


def test_blend_weights_take_what_helps_and_leave_what_does_not():
    known = Histories.from_lists([[0], [0], [0]])
    holdout = Holdout(known, Histories.from_lists([[1], [2], [3]]))
    right = np.eye(ITEMS, dtype=np.float32)[[1, 2, 3]]
    noise = np.random.default_rng(3).normal(size=(3, ITEMS)).astype(np.float32)
    ready = {"noise": standardise(noise), "right": standardise(right)}
    weights = fit_weights(ready, holdout, first="noise", k=1)
    assert weights["right"] > 0
    assert blended_value(ready, weights, holdout, 1) == 1.0
    assert fit_weights({"right": ready["right"], "noise": ready["noise"]}, holdout, first="right", k=1) == {
        "right": 1.0, "noise": 0.0,
    }  # fmt: skip


def test_a_blend_is_judged_on_users_its_weights_were_not_fitted_on():
    """Members that are noise look good together on the users that chose their weights, and on no others."""
    flattered, judged, chance = [], [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        wanted = [[int(item)] for item in rng.integers(1, 40, 60)]
        holdout = Holdout(Histories.from_lists([[0]] * 60), Histories.from_lists(wanted))
        noise = {f"noise{n}": standardise(rng.normal(size=(60, 40)).astype(np.float32)) for n in range(8)}
        flattered.append(blended_value(noise, fit_weights(noise, holdout, "noise0"), holdout))
        judged.append(cross_fitted_value(noise, holdout, "noise0"))
        chance += [blended_value(noise, {name: 1.0}, holdout) for name in noise]
    assert np.mean(flattered) > 1.5 * np.mean(chance)
    assert np.mean(judged) < 1.2 * np.mean(chance)


def test_a_blend_beside_its_members_and_one_that_holds_them_are_the_same(data, tmp_path):
    blend = blended(data)
    for member in blend.members:
        member.save(tmp_path / member.name)
    blend.save_beside(tmp_path / "blend", {member.name: f"../{member.name}" for member in blend.members})
    assert [path.name for path in (tmp_path / "blend").iterdir()] == ["model.json"]
    beside = catalog.load(tmp_path / "blend")
    beside.save(tmp_path / "elsewhere" / "whole")
    asked = Histories.from_lists([[0, 1], [5]])
    for found in (beside, catalog.load(tmp_path / "elsewhere" / "whole")):
        np.testing.assert_array_equal(found.score(asked), blend.score(asked))


def test_mean_ndcg_by_hand():
    scores = np.array([[9.0, 5, 4, 3], [1, 2, 3, 4]])
    known = Histories.from_lists([[0], [3]])
    targets = Histories.from_lists([[2], [0, 2]])
    # user 0: target at rank 2 → 1/log2(3); user 1: ranks 1 (item 2) and 3 (item 0) → (1 + 1/2) / (1 + 1/log2(3))
    expected = (1 / np.log2(3) + 1.5 / (1 + 1 / np.log2(3))) / 2
    assert mean_ndcg(mask_seen(scores, known), targets, 3) == pytest.approx(expected)


def test_a_model_that_scores_all_alike_gains_nothing():
    users = 200
    known = Histories.from_lists([[]] * users)
    targets = Histories.from_lists([[50 + user % 50] for user in range(users)])
    assert mean_ndcg(np.zeros((users, 100)), targets, 10) == 0.0
    items, _ = top_k(mask_seen(np.zeros((users, 100), np.float32), known), 10)
    assert items[0].tolist() == list(range(10))


def test_new_targets_drops_what_was_met_and_whoever_is_left_with_nothing():
    kept, holdout = new_targets(Histories.from_lists([[0, 1], [2]]), Histories.from_lists([[1, 3, 3], [2]]), 4)
    assert kept.tolist() == [0]
    assert holdout.targets.row(0).tolist() == [3]


def test_a_decayed_interaction_counts_by_the_last_time_and_stays_met():
    histories = Histories.from_lists([[0, 1, 0], [2], []], [[0, 6 * DAY, 8 * DAY], [10 * DAY], []])
    assert histories.matrix(3).toarray().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    expected = [[0.5, 0.5**2, 0], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(histories.matrix(3, half_life_days=2).toarray(), expected, rtol=1e-6)
    assert (histories.matrix(3, half_life_days=0.01).toarray() > 0).sum() == 3
    assert Histories.from_lists([[]]).matrix(3, half_life_days=2).nnz == 0


def test_the_newest_event_of_each_history_weighs_most():
    histories = Histories.from_lists([[0, 1, 0, 2], [2], []], [[0, 6 * DAY, 8 * DAY, 8 * DAY], [99 * DAY], []])
    assert (histories.by_recency(3, Recency()) != histories.matrix(3)).nnz == 0
    by_events = [[0.5, 0.25, 1], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(histories.by_recency(3, Recency(events=1)).toarray(), by_events)
    by_days = [[1, 0.5, 1], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(histories.by_recency(3, Recency(days=2)).toarray(), by_days)
    both = np.array(by_events) * by_days
    np.testing.assert_allclose(histories.by_recency(3, Recency(events=1, days=2)).toarray(), both)
    assert Histories.from_lists([[]]).by_recency(3, Recency(1, 1)).nnz == 0


def test_models_of_pairs_follow_the_newest_items_of_a_history():
    """Items 0 1 2 go together, and items 3 4 5; the history turned from the first to the second."""
    histories = Histories.from_lists([[0, 1, 2]] * 20 + [[3, 4, 5]] * 20)
    asked = Histories.from_lists([[0, 1, 3]])
    als = Als(np.array([[1, 0]] * 3 + [[0, 1]] * 3, dtype=np.float32), 0.1, 10.0, np.ones(6))
    fitted = [UserCF(9), ItemCF(9), Ease(1.0)]
    for model in fitted:
        model.fit(TrainingData(histories, 6))
    for model in (*fitted, als):
        whole, recent = (catalog.reweighed(model, TrainConfig(history_half_life=each)) for each in (0, 0.5))
        assert whole.score(asked)[0, 2] > whole.score(asked)[0, 4], model.name
        assert recent.score(asked)[0, 2] < recent.score(asked)[0, 4], model.name


def saved_and_loaded(model, folder):
    model.save(folder / model.name)
    return catalog.load(folder / model.name)


def test_a_history_that_tells_nothing_is_answered_by_what_is_popular(tmp_path):
    """Nobody who met item 4 met another; item 5 was met by nobody. A saved model does the same."""
    asked = Histories.from_lists([[], [4], [5], [0]])
    for model in (UserCF(9), ItemCF(9), Ease(1.0)):
        model.fit(TrainingData(HISTORIES, ITEMS))
        for each in (model, saved_and_loaded(model, tmp_path)):
            items = top_k(each.score(asked), ITEMS)[0].tolist()
            nothing = [0, 2] if isinstance(each, UserCF) else [0, 1, 2]
            assert all(items[row] == [0, 1, 2, 3, 4, 5] for row in nothing), each.name
            assert items[3] != items[0], each.name


def test_in_a_blend_a_model_that_a_history_tells_nothing_is_silent():
    """The other member is heard alone, with new items and without."""
    ease, recent = Ease(1.0), Popular(days=2)
    for model in (ease, recent):
        model.fit(TrainingData(HISTORIES, ITEMS))
    blend, alone = Blend([ease, recent], {Models.EASE: 1.0, Models.RECENT_POPULAR: 0.1}), Histories.from_lists([[]])
    assert blend.score(alone)[0].tolist() == pytest.approx((0.1 * standardise(recent.score(alone)))[0].tolist())
    wider = [extended(model, np.zeros((2, 3), np.float32), ITEMS) for model in (ease, recent, blend)]
    assert wider[0].score(alone)[0].tolist() == [3, 2, 1, 1, 1, 0, 0, 0]
    assert wider[2].score(alone)[0].tolist() == pytest.approx((0.1 * standardise(wider[1].score(alone)))[0].tolist())


def test_item_cf_and_ease_learn_from_decayed_interactions():
    """Item 1 went with item 0 long ago, item 2 does now."""
    histories = Histories.from_lists([[0, 1], [0, 1], [0, 2]], [[0, 1], [0, 1], [9 * DAY, 9 * DAY + 1]])
    for make in (lambda days: ItemCF(9, half_life_days=days), lambda days: Ease(1.0, half_life_days=days)):
        whole, recent = make(0), make(3)
        for model in (whole, recent):
            model.fit(TrainingData(histories, 3))
        scores = [model.score(Histories.from_lists([[0]]))[0] for model in (whole, recent)]
        assert scores[0][1] > scores[0][2] and scores[1][1] < scores[1][2]


def test_histories_take_last_below_and_pad():
    histories = Histories.from_lists([[0, 1, 2], [3], []])
    assert histories.take(np.array([1, 0])).items.tolist() == [3, 0, 1, 2]
    assert histories.last(2).items.tolist() == [1, 2, 3]
    other = histories.renumbered(np.array([7, -1, 5, -1]))
    assert (other.items.tolist(), other.lengths.tolist(), other.times.tolist()) == ([7, 5], [2, 0, 0], [0, 2])
    assert histories.padded(2, 9).tolist() == [[1, 2], [3, 9], [9, 9]]
    assert histories.padded_times(2).tolist() == [[1, 2], [0, 0], [0, 0]]


def test_top_k_is_exact_and_breaks_ties_by_index():
    scores = np.array([[1, 3, 3, 2, 3], [-np.inf, 1, -np.inf, -np.inf, -np.inf]], dtype=np.float32)
    items, values = top_k(scores, 2)
    assert items.tolist() == [[1, 2], [1, -1]] and values[0].tolist() == [3, 3]
    random = np.random.default_rng(0).integers(0, 30, size=(50, 200)).astype(np.float32)
    expected = np.lexsort((np.broadcast_to(np.arange(200), random.shape), -random), axis=1)[:, :20]
    np.testing.assert_array_equal(top_k(random, 20)[0], expected)


def test_lists_of_many_users_leave_out_what_was_met_and_what_is_hidden(monkeypatch):
    monkeypatch.setattr("lakerec.models.topk.CELLS_AT_ONCE", 2 * ITEMS)
    model = Popular()
    model.fit(TrainingData(HISTORIES, ITEMS))
    asked = Histories.from_lists([[0], [], [1, 2], [0, 1, 2, 3, 4, 5], [3]])
    parts = list(recommend(model, asked, 2, ITEMS, hidden=np.array([1])))
    assert [(part.start, part.stop) for part, *_ in parts] == [(0, 2), (2, 4), (4, 5)]
    assert np.concatenate([items for _, items, _ in parts]).tolist() == [[2, 3], [0, 2], [0, 3], [-1, -1], [0, 2]]


def test_other_choices_of_a_key_are_tried_with_what_was_chosen_before():
    config = TrainConfig(half_life_days=7, recent_days=7, choices={"half_life_days": [0, 7, 30], "als.alpha": [5]})
    assert [each.half_life_days for each in catalog.others("half_life_days", config)] == [0, 30]
    assert catalog.others("recent_days", config) == []
    (alpha,) = catalog.others("als.alpha", config)
    assert (alpha.als.alpha, alpha.half_life_days, alpha.at("als.alpha"), config.als.alpha) == (5, 7, 5, 10)
