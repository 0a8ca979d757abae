"""Cold items in a blend, by hand."""

import numpy as np
import pytest
from lakerec.columns import Models
from lakerec.models import catalog
from lakerec.models.blend import Blend, standardise
from lakerec.models.cold import ColdItems, cold_items, fit_cold
from lakerec.models.compressed import compressed
from lakerec.models.content import Content
from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.popular import Popular

NOTHING = np.zeros((2, 6), dtype=np.float32)


def test_cold_items_have_at_most_five_events():
    assert cold_items(Histories.from_lists([[0] * 5, [1] * 6, [0, 2]]), 5).tolist() == [2, 3, 4]


def test_only_cold_items_are_lifted_by_the_bias_and_by_their_text():
    blended = np.arange(6, dtype=np.float32)[None]
    content = np.full((1, 6), 2, dtype=np.float32)
    lifted = ColdItems(np.array([1, 3]), bias=0.5, text=2.0).lifted(blended, content)
    assert lifted.tolist() == [[0, 5.5, 2, 7.5, 4, 5]] and blended.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert ColdItems(np.array([1]), 1.0, 2.0).lifted(blended, None).tolist() == [[0, 2, 2, 3, 4, 5]]


def test_a_blend_lifts_its_cold_items_and_is_saved_with_them(tmp_path):
    vectors = np.eye(6, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    data = TrainingData(Histories.from_lists([[0, 1]] * 6 + [[0, 2]]), 6, vectors)
    members = [Popular(), Content()]
    for member in members:
        member.fit(data)
    plain = Blend(members, {Models.POPULAR: 1.0})
    blend = Blend(members, {Models.POPULAR: 1.0}, cold=ColdItems(cold_items(data.histories, 6), bias=0.5, text=2.0))
    asked = Histories.from_lists([[2], []])
    text = standardise(members[1].score(asked))
    expected = plain.score(asked)
    expected[:, 2:] += 0.5 + 2.0 * text[:, 2:]
    np.testing.assert_allclose(blend.score(asked), expected, rtol=1e-6)
    blend.save(tmp_path)
    np.testing.assert_array_equal(catalog.load(tmp_path).score(asked), blend.score(asked))
    np.testing.assert_array_equal(compressed(blend, "int8").score(asked), blend.score(asked))


def holdout(*wanted):
    return Holdout(Histories.from_lists([[0]] * len(wanted)), Histories.from_lists([[item] for item in wanted]))


def test_the_lift_finds_cold_targets_and_costs_no_more_than_is_allowed():
    """Item 5 is cold and wanted by the second user; above item 1 it takes the first user's place in a list of one."""
    blended = np.array([[0, 3.0, 0, 0, 0, -1.0]] * 9 + [[0, 1.0, 0, 0, 0, -0.1]], dtype=np.float32)
    content = np.array([[0, 0, 0, 0, 0, 0.0]] * 9 + [[0, 0, 0, 0, 0, 1.0]], dtype=np.float32)
    people = holdout(*[1] * 9, 5)
    lift = fit_cold(blended, content, people, np.array([4, 5]), tolerance=0.0, k=1)
    assert (lift.users, lift.whole, lift.cold) == (1, (0.9, 1.0), (0.0, 1.0))
    scores = lift.chosen.lifted(blended, content)
    assert scores[9].argmax() == 5 and (scores[:9].argmax(axis=1) == 1).all()
    without = fit_cold(blended, None, people, np.array([5]), tolerance=0.0, k=1)
    assert without.chosen.lifted(blended, None)[9].argmax() == 5, "the bias alone does it, as long as the others keep theirs"


def test_where_every_lift_costs_too_much_there_is_none():
    blended = np.array([[0, 1.0, 0, 0, 0, 0.9], [0, 1.0, 0, 0, 0, 0.2]], dtype=np.float32)
    people = holdout(1, 5)
    assert fit_cold(blended, None, people, np.array([5]), tolerance=0.0, k=1).chosen.bias == 1.0, "one found for one lost"
    many = np.concatenate([blended[:1]] * 3 + [blended[1:]])
    kept = fit_cold(many, None, holdout(1, 1, 1, 5), np.array([5]), tolerance=0.1, k=1).chosen
    assert (kept.bias, kept.text) == (0.0, 0.0)


def test_without_cold_targets_nothing_is_lifted():
    found = fit_cold(NOTHING, NOTHING, holdout(1, 2), np.array([5]), tolerance=0.5).chosen
    assert (found.bias, found.text, found.items.tolist()) == (0.0, 0.0, [5])


def test_where_no_lift_brings_a_cold_target_into_the_list_the_one_that_brings_it_nearest_is_taken():
    blended = np.array([[0, 9.0, 8.0, 2.0, 1.0, -1.0]], dtype=np.float32)
    lift = fit_cold(blended, None, holdout(5), np.array([5]), tolerance=0.0, k=1)
    assert lift.chosen.bias == 4.0 and lift.cold == (0.0, 0.0) and lift.placed[1] > lift.placed[0]
    assert lift.told()["placed"] == [pytest.approx(1 / np.log2(6)), pytest.approx(1 / np.log2(4))]


def test_no_lift_takes_cold_targets_out_of_the_list_to_place_others_better():
    """Item 5 is first for one user; item 4's text lifts it above that, while those who have it far below come nearer."""
    blended = np.array(
        [[0, 3, 2, 1, -1, 4]] + [[0, 90, 80, 20, 19, 10]] * 6 + [[0, 90, 0, 0, -5, -5]] * 400, dtype=np.float32
    )
    content = np.array([[0, 0, 0, 0, 3, 0]] + [[0, 0, 0, 0, 0, 5.5]] * 6 + [[0] * 6] * 400, dtype=np.float32)
    lift = fit_cold(blended, content, holdout(*[5] * 7, *[1] * 400), np.array([4, 5]), tolerance=0.01, k=1)
    assert lift.cold[1] >= lift.cold[0] > 0
