"""Weights for slices of users: kept where the slice is really different, left where the difference is chance."""

import numpy as np
import pytest
from lakerec.models import catalog, slices
from lakerec.models.blend import Blend, CrossFit, Tailored, cross_fitted_value, fit_weights, standardise
from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.linear import Ease
from lakerec.models.popular import Popular
from lakerec.models.slices import Categories, Lengths
from lakerec.models.tailoring import tailored

ITEMS = 40


def crowd(short, seed=0, users=400):
    """Half of the users have 2 events, half have 8. Member `good` knows the target of all users, or of those with 8 only
    where `short` names another one that knows it of those with 2; each is noise elsewhere.
    """
    rng = np.random.default_rng(seed)
    lengths = np.where(np.arange(users) % 4 < 2, 2, 8)
    known = Histories.from_lists([[0] * length for length in lengths])
    targets = rng.integers(1, ITEMS, users)
    holdout = Holdout(known, Histories.from_lists([[int(item)] for item in targets]))
    scores = {name: rng.normal(size=(users, ITEMS)).astype(np.float32) for name in ("good", "other", "noise")}
    member = {2: short, 8: "good"}
    for user, (length, item) in enumerate(zip(lengths, targets, strict=True)):
        scores[member[int(length)]][user, item] += 2.0
    return {name: standardise(each) for name, each in scores.items()}, holdout


def tried(short, least=50, **named):
    scores, holdout = crowd(short, **named)
    judge = CrossFit(scores, holdout, "good")
    assert judge.common.mean() == pytest.approx(cross_fitted_value(scores, holdout, "good"))
    return tailored(judge, fit_weights(scores, holdout, "good"), [Lengths()], least)


def test_slices_that_want_other_members_get_weights_of_their_own():
    short, long = tried("other")
    assert [short.told()["name"], long.told()["name"]] == ["1-4", "5-19"]
    assert (
        short.kept.weights["other"] > short.kept.weights["good"] and long.kept.weights["good"] > long.kept.weights["other"]
    )
    assert short.own > short.common + 2 * short.error and short.users == 200


def test_slices_that_are_like_the_rest_keep_the_common_weights():
    found = [each for seed in range(4) for each in tried("good", seed=seed)]
    assert len(found) == 8 and sum(each.kept is not None for each in found) <= 1


def test_a_slice_of_few_users_is_not_tried():
    assert tried("other", least=201) == []


def test_lengths_have_a_slice_for_everybody_and_categories_for_who_has_one():
    lengths = Lengths()
    histories = Histories.from_lists([[], [0], [0] * 4, [0] * 5, [0] * 99, [0] * 500])
    assert [lengths.names[place] for place in lengths.of(histories)] == ["0", "1-4", "1-4", "5-19", "20-99", "100+"]
    kinds = Categories.of_items([["tea"], ["lamp", "tea"], [], ["lamp"]])
    assert kinds.names == ["lamp", "tea"]
    assert kinds.of(Histories.from_lists([[0, 1], [3, 3, 0], [2], [], [1]])).tolist() == [1, 0, -1, -1, 0]
    newest = Histories.from_lists([[0] * 30 + [3] * 15])
    assert kinds.of(newest).tolist() == [0], "15 of the 20 newest"
    assert Categories.of_items([[], []]).of(Histories.from_lists([[0], []])).tolist() == [-1, -1]


@pytest.mark.parametrize("division", [Lengths(), Categories.of_items([["a"], [], ["b", "a"], [], []])])
def test_a_blend_scores_each_history_by_the_weights_of_its_slice_when_loaded_too(division, tmp_path):
    histories = Histories.from_lists([[0, 1], [0, 2], [3, 4, 1, 2, 0], [1]])
    members = [Popular(), Ease(regularization=1.0)]
    for member in members:
        member.fit(TrainingData(histories, 5))
    asked = Histories.from_lists([[], [0], [3], [0, 1, 2, 3, 4, 0]])
    number = int(division.of(asked)[1])
    blend = Blend(members, {"popular": 1.0}, [Tailored(division, number, {"ease": 2.0})])
    inside = division.of(asked) == number
    assert 0 < inside.sum() < len(asked)
    popular, ease = (standardise(member.score(asked)) for member in members)
    expected = np.where(inside[:, None], 2 * ease, popular)
    np.testing.assert_allclose(blend.score(asked), expected, rtol=1e-6)
    blend.save(tmp_path)
    np.testing.assert_array_equal(catalog.load(tmp_path).score(asked), blend.score(asked))


def test_of_two_slices_of_a_history_the_first_counts():
    histories = Histories.from_lists([[0, 1], [1]])
    member = Popular()
    member.fit(TrainingData(histories, 3))
    kinds = Categories.of_items([["a"], ["a"], []])
    blend = Blend(
        [member], {"popular": 1.0}, [Tailored(Lengths(), 1, {"popular": 3.0}), Tailored(kinds, 0, {"popular": 5.0})]
    )
    asked = Histories.from_lists([[0], [0] * 6, [2] * 6])
    base = standardise(member.score(asked))
    np.testing.assert_allclose(blend.score(asked), base * np.array([[3.0], [5.0], [1.0]]), rtol=1e-6)
    assert slices.from_settings(slices.settings(Lengths())) == Lengths()
