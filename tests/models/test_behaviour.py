"""The behaviour model: what it may know of an event, what it learns, and its bounds."""

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.evaluation.engagement import auc
from lakerec.models.behaviour import Behaviour, BehaviourRecipe, Examples, newest
from lakerec.models.data import DAY, Histories, TrainingData

GROUPS, SIZE = 6, 10
ITEMS = GROUPS * SIZE
RECIPE = {
    "dims": 8, "width": 32, "max_length": 8, "dropout": 0.0, "negatives": 8, "value_weight": 0.5, "epochs": 8,
    "events": 5000, "batch_size": 128, "learning_rate": 1e-2, "weight_decay": 0.01,
}  # fmt: skip
NOISE = 0.5
"""Standard deviation of a value about what user and item make of it."""


def recipe(**changed):
    return BehaviourRecipe(**RECIPE | changed)


def raters(count, seed, length=8):
    """Users of one group each, who value by their own severity, the item's quality and chance; all times differ."""
    quality = np.random.default_rng(0).normal(size=ITEMS)
    rng = np.random.default_rng(seed)
    rows = [rng.choice(SIZE, length, replace=False) + rng.integers(GROUPS) * SIZE for _ in range(count)]
    moments = np.sort(rng.permutation(count * length).reshape(count, length), axis=1) * DAY // 100
    severity = np.repeat(rng.normal(size=count), length)
    values = 3 + severity + quality[np.concatenate(rows)] + NOISE * rng.normal(size=count * length)
    return Histories.from_lists([row.tolist() for row in rows], moments.tolist()), values.astype(np.float32)


def data(count=500, seed=1):
    histories, values = raters(count, seed)
    return TrainingData(histories, ITEMS, None, values)


def last_left_out(count, seed, length=8):
    """Histories without their last event and their values, these last items and theirs."""
    histories, values = raters(count, seed, length)
    known = np.arange(len(values)) % length < length - 1
    offsets = np.arange(count + 1)
    before = Histories(offsets * (length - 1), histories.items[known], histories.times[known])
    return before, values[known], Histories(offsets, histories.items[~known], histories.times[~known]), values[~known]


@pytest.fixture(scope="module")
def fitted():
    model = Behaviour(recipe(), seed=1)
    model.fit(data())
    return model


def test_what_comes_later_changes_no_feature_of_an_event():
    """From a moment on all events get other items and values, and some go: nothing made before it is another."""
    histories, values = raters(60, 1)
    cut = np.quantile(histories.times, 0.6)
    later = histories.times >= cut
    rng = np.random.default_rng(2)
    items = np.where(later, rng.integers(0, ITEMS, len(later)), histories.items).astype(np.int32)
    kept = ~later | (rng.random(len(later)) < 0.7)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(histories.rows[kept], minlength=60))])
    changed = Histories(offsets, items[kept], histories.times[kept])
    other = np.where(later, 100 * rng.normal(size=len(later)), values)[kept].astype(np.float32)
    ours = Examples(TrainingData(histories, ITEMS, None, values), recipe())
    theirs = Examples(TrainingData(changed, ITEMS, None, other), recipe())
    early, same = np.flatnonzero(~later), np.flatnonzero(~later[kept])
    one, two = (made.batch(events, np.random.default_rng(3)) for made, events in ((ours, early), (theirs, same)))
    for name in ("history", "asked", "counts", "user_facts", "item_facts", "values"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=0, atol=0, msg=name)
    for mine, another in zip(one.shifts, two.shifts, strict=True):
        torch.testing.assert_close(mine, another)


def test_an_example_is_an_items_first_event_with_what_was_known_then():
    histories = Histories.from_lists([[4, 2, 4, 7]], [[10, 20, 20, 30]])
    examples = Examples(TrainingData(histories, 9), recipe(max_length=2, negatives=40))
    assert sorted(examples.firsts.tolist()) == [0, 1, 3]
    batch = examples.batch(np.array([0, 1, 3]), np.random.default_rng(1))
    assert batch.history.tolist() == [[9, 9], [4, 9], [4, 2]]
    assert batch.asked[:, 0].tolist() == [4, 2, 7]
    for row, met in enumerate(({4}, {4, 2}, {4, 2, 7})):
        counted = batch.asked[row, 1:][batch.counts[row, 1:] > 0].tolist()
        assert set(counted) == set(range(9)) - met, "what is met later is not met yet"
    assert batch.counts[0, 0] == 1.0 and batch.counts[0, 1:].max() == pytest.approx(1 / 40)


def test_newest_first():
    found = newest(np.array([1, 2, 3, 9]), np.array([0, 0, 3]), np.array([3, 1, 3]), 2)
    assert found.tolist() == [[3, 2], [1, 9], [9, 9]]


def test_engagement_of_new_people_is_told_from_items_drawn_at_random(fitted):
    """AUC of the last item of people of whom it has seen nothing. Floor: .85, where popularity gives .5."""
    before, _, target, _ = last_left_out(200, 2)
    rng = np.random.default_rng(4)
    others = [rng.choice(np.setdiff1d(np.arange(ITEMS), [*before.row(n), *target.row(n)]), 20) for n in range(200)]
    asked = Histories.from_lists([[*target.row(n), *others[n]] for n in range(200)])
    logits, _ = fitted.predict(before, asked)
    wanted = np.arange(len(logits)) % 21 == 0
    assert auc(logits, wanted, asked.offsets).mean() >= 0.85
    right = (logits[wanted] > 0).mean(), (logits[~wanted] <= 0).mean()
    assert np.mean(right) >= 0.75


def test_values_of_new_people_are_foretold_better_than_by_the_mean(fitted):
    """RMSE of the last value. Floor: 1, where the mean gives √2.25 = 1.5 and the noise alone .5."""
    before, known, target, given = last_left_out(300, 3)
    _, foretold = fitted.predict(before, target, known)
    assert np.sqrt(np.mean((foretold - given) ** 2)) <= 1.0
    assert np.sqrt(np.mean((given - given.mean()) ** 2)) >= 1.3


def test_engagement_does_not_depend_on_what_values_are_kept(fitted):
    before, known, target, _ = last_left_out(20, 5)
    one, two = fitted.predict(before, target, known), fitted.predict(before, target)
    np.testing.assert_array_equal(one[0], two[0])
    assert np.abs(one[1] - two[1]).max() > 0.05


def test_pairs_get_the_scores_of_the_whole_catalogue(fitted, monkeypatch):
    before, _, target, _ = last_left_out(20, 6)
    scores = fitted.score(before)
    monkeypatch.setattr("lakerec.models.behaviour.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("lakerec.models.behaviour.CELLS_AT_ONCE", 3 * ITEMS * 32)
    np.testing.assert_allclose(fitted.predict(before, target)[0], scores[target.rows, target.items], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fitted.score(before), scores, rtol=1e-4, atol=1e-4)


def test_an_epoch_is_no_longer_than_asked_and_draws_others_each_time():
    examples = Examples(data(20), recipe(epochs=3, events=50, batch_size=20))
    batches = list(examples.batches(1))
    assert [len(batch.asked) for batch in batches] == [20, 20, 10] * 3
    assert examples.steps == len(batches)


def test_without_anything_to_learn_it_still_scores():
    model = Behaviour(recipe())
    model.fit(TrainingData(Histories.from_lists([[]]), ITEMS))
    assert np.isfinite(model.score(Histories.from_lists([[], [2, 3]]))).all()


def test_weights_that_are_not_finite_are_an_error():
    with pytest.raises(TrainingError, match=r"lower train\.behaviour\.learning_rate"):
        Behaviour(recipe(learning_rate=1e30)).fit(data(20))
