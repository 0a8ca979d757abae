"""Evidence is what the score rests on: without it the score falls further than without as much of anything else."""

import numpy as np
import pytest
from lakerec.columns import Models
from lakerec.models.attribution import Attributions
from lakerec.models.data import Histories
from lakerec.serving.evidence import Explainer, evidence, measured
from lakerec.serving.reasons import named

from tests.shoppers import FITTED, ITEMS, fitted, kind, shoppers

PEOPLE = shoppers(60, 9)
NOTHING_HIDDEN = np.zeros(0, dtype=np.int64)


def explainer(name, **changed):
    return Explainer(fitted(name), ITEMS, NOTHING_HIDDEN, **changed)


def test_evidence_is_what_speaks_for_an_item_the_largest_share_first():
    met = Histories.from_lists([[4, 2, 7], []])
    found = evidence(Attributions(met, np.array([[1, -1], [3, 5], [0, 0]], dtype=np.float32)))
    assert found == [[[(2, 0.75), (4, 0.25)], [(2, 1.0)]], [[], []]]


@pytest.mark.parametrize("name", FITTED)
def test_all_that_is_named_is_of_the_users_own_history(name):
    (found,) = explainer(name).lists(PEOPLE, 5)
    assert found.items.shape == (len(PEOPLE), 5)
    for user, own in enumerate(found.why):
        assert len(own) == 5
        for told in own:
            assert {item for item, _ in told} <= set(PEOPLE.row(user).tolist())
            assert sum(share for _, share in told) <= 1 + 1e-5


def test_lists_are_the_same_however_many_are_explained_together(monkeypatch):
    (whole,) = explainer(Models.BLEND).lists(PEOPLE, 3)
    monkeypatch.setattr("lakerec.serving.evidence.USERS_AT_ONCE", 7)
    parts = list(explainer(Models.BLEND).lists(PEOPLE, 3))
    assert [part.users for part in parts][:2] == [slice(0, 7), slice(7, 14)] and len(parts) == 9
    np.testing.assert_array_equal(np.concatenate([part.items for part in parts]), whole.items)
    again = [told for part in parts for own in part.why for told in own]
    for one, other in zip(again, [told for own in whole.why for told in own], strict=True):
        np.testing.assert_allclose([share for _, share in one], [share for _, share in other], atol=1e-3)


@pytest.mark.parametrize("name", [Models.SEQUENCE, Models.EASE, Models.ITEM_CF, Models.BLEND, Models.BEHAVIOUR])
def test_reasons_are_faithful(name):
    found = explainer(name).faithfulness(PEOPLE, 200, 500, seed=1)
    assert found.users > 40
    assert found.named > found.drawn and found.ci_low > 0


def test_reasons_by_gradients_are_faithful():
    found = explainer(Models.SEQUENCE, method="integrated_gradients").faithfulness(PEOPLE, 200, 500, seed=1)
    assert found.ci_low > 0


@pytest.mark.parametrize("name", [Models.SEQUENCE, Models.EASE, Models.ITEM_CF, Models.BLEND])
def test_evidence_of_no_meaning_is_not(name):
    """The same shares on items of the history that are drawn anew: the interval is around 0, as chance has it."""
    (lists,) = explainer(name).lists(PEOPLE, 1)
    rng, gaps = np.random.default_rng(2), []
    for _ in range(5):
        shuffled = []
        for user, own in enumerate(lists.why):
            other = rng.permutation(np.unique(PEOPLE.row(user)))
            shuffled.append([(int(item), share) for item, (_, share) in zip(other, own[0], strict=False)])
        found = measured(fitted(name), PEOPLE, lists.items[:, 0], shuffled, ITEMS, 500, seed=int(rng.integers(1000)))
        gaps.append(found.named - found.drawn)
    true = measured(fitted(name), PEOPLE, lists.items[:, 0], [own[0] for own in lists.why], ITEMS, 500, seed=1)
    assert abs(np.mean(gaps)) < 0.25 * (true.named - true.drawn)


def test_users_without_other_items_are_left_out():
    asked = Histories.from_lists([[0, 1], [0, 1, 2, 3], []])
    told = [[(0, 0.9), (1, 0.1)], [(0, 0.9), (1, 0.1)], []]
    assert measured(fitted(Models.EASE), asked, np.array([2, 5, 5]), told, ITEMS, 100, 1).users == 1


def test_what_is_named_is_of_the_same_kind_as_what_is_recommended():
    """Goods are met with others of their own kind only, and what says otherwise is named with the smaller share."""
    (found,) = explainer(Models.EASE).lists(PEOPLE, 1)
    pairs = [(items[0], named(own[0])[0][0]) for items, own in zip(found.items, found.why, strict=True) if named(own[0])]
    shown, first = np.array(pairs).T
    assert (kind(shown) == kind(first)).mean() > 0.9
