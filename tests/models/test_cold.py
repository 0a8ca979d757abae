"""Cold items in a blend, by hand."""

import json
from dataclasses import replace

import numpy as np
from lakerec.columns import Models
from lakerec.models import catalog, storage
from lakerec.models.blend import Blend, standardise
from lakerec.models.cold import ColdItems, cold_items, fit_cold
from lakerec.models.compressed import compressed
from lakerec.models.content import Content
from lakerec.models.data import DAY, Histories, Holdout, TrainingData
from lakerec.models.popular import Popular
from safetensors.numpy import save_file

NOTHING = np.zeros((2, 6), dtype=np.float32)


def cold(items, **lift):
    """Cold items that never had an event."""
    return ColdItems(np.array(items), np.full(len(items), np.inf, dtype=np.float32), **lift)


def test_cold_items_have_at_most_five_events_and_are_as_old_as_their_first_one():
    histories = Histories.from_lists(
        [[0] * 5, [1] * 6, [0, 2], [3, 2]], [[0] * 5, [9] * 6, [0, 14 * DAY], [21 * DAY, 28 * DAY]]
    )
    assert cold_items(histories, 5).tolist() == [2, 3, 4]
    found = ColdItems.of(histories, 5)
    assert (found.items.tolist(), found.ages.tolist(), found.lifts) == ([2, 3, 4], [14, 7, np.inf], False)
    assert ColdItems.of(Histories.from_lists([]), 2).ages.tolist() == [np.inf, np.inf]
    assert ColdItems.of(histories, 5).like(cold([1], fresh=2.0)).fresh == 2.0


def test_the_freshest_are_lifted_most_and_those_of_no_event_not_at_all():
    items = ColdItems(np.array([0, 1, 2, 3]), np.array([0, 14, 28, np.inf], dtype=np.float32), fresh=4.0)
    assert items.lifted(np.ones((1, 5), dtype=np.float32), None).tolist() == [[5, 3, 2, 1, 1]]


def test_what_came_lately_is_found_where_bias_and_text_cannot_tell_it_from_what_nobody_wants():
    """Four cold items look alike to the members and by text; the one wanted is the newest. A warm one heads each list."""
    blended = np.array([[2.0, -1, -1, -1, -1, 0]] * 4, dtype=np.float32)
    items = ColdItems(np.array([1, 2, 3, 4]), np.array([300, 200, 100, 0], dtype=np.float32))
    lift = fit_cold(blended, np.zeros_like(blended), holdout(0, 0, 0, 4), items, tolerance=0.0, k=2)
    assert lift.chosen.fresh and not lift.chosen.text and lift.cold[0] < lift.cold[1]
    assert lift.told()["fresh"] == lift.chosen.fresh
    ranked = np.argsort(-lift.chosen.lifted(blended, None)[0])
    assert ranked[:2].tolist() == [0, 4]


def test_only_cold_items_are_lifted_by_the_bias_and_by_their_text():
    blended = np.arange(6, dtype=np.float32)[None]
    content = np.full((1, 6), 2, dtype=np.float32)
    lifted = cold([1, 3], bias=0.5, text=2.0).lifted(blended, content)
    assert lifted.tolist() == [[0, 5.5, 2, 7.5, 4, 5]] and blended.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert cold([1], bias=1.0, text=2.0).lifted(blended, None).tolist() == [[0, 2, 2, 3, 4, 5]]


def test_a_blend_lifts_its_cold_items_and_is_saved_with_them(tmp_path):
    vectors = np.eye(6, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    data = TrainingData(Histories.from_lists([[0, 1]] * 6 + [[0, 2]]), 6, vectors)
    members = [Popular(), Content()]
    for member in members:
        member.fit(data)
    plain = Blend(members, {Models.POPULAR: 1.0})
    lifted = replace(ColdItems.of(data.histories, 6), bias=0.5, text=2.0, fresh=1.0)
    blend = Blend(members, {Models.POPULAR: 1.0}, cold=lifted)
    asked = Histories.from_lists([[2], []])
    text = standardise(members[1].score(asked))
    expected = plain.score(asked)
    expected[:, 2:] += 0.5 + 2.0 * text[:, 2:]
    expected[:, 2] += 1.0  # whose only event is among the newest
    np.testing.assert_allclose(blend.score(asked), expected, rtol=1e-6)
    blend.save(tmp_path)
    np.testing.assert_array_equal(catalog.load(tmp_path).score(asked), blend.score(asked))
    np.testing.assert_array_equal(compressed(blend, "int8").score(asked), blend.score(asked))
    settings = json.loads((tmp_path / storage.SETTINGS).read_text())
    del settings["cold"]["fresh"]
    (tmp_path / storage.SETTINGS).write_text(json.dumps(settings))
    save_file({"cold": lifted.items.astype(np.int32)}, tmp_path / storage.WEIGHTS)
    expected[:, 2] -= 1.0
    np.testing.assert_allclose(catalog.load(tmp_path).score(asked), expected, rtol=1e-6)  # as it was before there were ages


def holdout(*wanted):
    return Holdout(Histories.from_lists([[0]] * len(wanted)), Histories.from_lists([[item] for item in wanted]))


def test_the_lift_finds_cold_targets_and_costs_no_more_than_is_allowed():
    """Item 5 is cold and wanted by the second user; above item 1 it takes the first user's place in a list of one."""
    blended = np.array([[0, 3.0, 0, 0, 0, -1.0]] * 9 + [[0, 1.0, 0, 0, 0, -0.1]], dtype=np.float32)
    content = np.array([[0, 0, 0, 0, 0, 0.0]] * 9 + [[0, 0, 0, 0, 0, 1.0]], dtype=np.float32)
    people = holdout(*[1] * 9, 5)
    lift = fit_cold(blended, content, people, cold([4, 5]), tolerance=0.0, k=1)
    assert (lift.users, lift.whole, lift.cold) == (1, (0.9, 1.0), (0.0, 1.0))
    scores = lift.chosen.lifted(blended, content)
    assert scores[9].argmax() == 5 and (scores[:9].argmax(axis=1) == 1).all()
    without = fit_cold(blended, None, people, cold([5]), tolerance=0.0, k=1)
    assert without.chosen.lifted(blended, None)[9].argmax() == 5, "the bias alone does it, as long as the others keep theirs"


def test_where_every_lift_costs_too_much_there_is_none():
    blended = np.array([[0, 1.0, 0, 0, 0, 0.9], [0, 1.0, 0, 0, 0, 0.2]], dtype=np.float32)
    people = holdout(1, 5)
    assert fit_cold(blended, None, people, cold([5]), tolerance=0.0, k=1).chosen.bias == 1.0, "one found for one lost"
    many = np.concatenate([blended[:1]] * 3 + [blended[1:]])
    kept = fit_cold(many, None, holdout(1, 1, 1, 5), cold([5]), tolerance=0.1, k=1).chosen
    assert (kept.bias, kept.text) == (0.0, 0.0)


def test_without_cold_targets_nothing_is_lifted():
    found = fit_cold(NOTHING, NOTHING, holdout(1, 2), cold([5]), tolerance=0.5).chosen
    assert (found.bias, found.text, found.items.tolist()) == (0.0, 0.0, [5])
