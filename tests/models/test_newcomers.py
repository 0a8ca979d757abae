"""New items in a fitted model: what the contract's suite does not see."""

import numpy as np
import pytest
from lakerec.models.blend import Blend, Tailored
from lakerec.models.cold import ColdItems
from lakerec.models.compressed import PRECISIONS, CompressedSequence
from lakerec.models.content import Content
from lakerec.models.data import Histories, TrainingData
from lakerec.models.moments import Moments
from lakerec.models.newcomers import Unmet, extended
from lakerec.models.popular import Popular
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.slices import Categories

ITEMS = 6
ASKED = Histories.from_lists([[0, 1], [5], []])
NEW = np.eye(4, dtype=np.float32)[[2]]


def data(vectors=True):
    texts = np.random.default_rng(1).normal(size=(ITEMS, 4)).astype(np.float32)
    return TrainingData(Histories.from_lists([[0, 1, 2], [2, 3], [2, 4]]), ITEMS, texts if vectors else None)


def fitted(model, known):
    model.fit(known)
    return model


def test_a_blend_counts_new_items_among_the_cold_ones_and_tells_slices_by_the_old_ones():
    members = [fitted(Popular(), data()), fitted(Content(), data())]
    kinds = Categories.of_items([["tea"], ["tea"], ["tea"], ["lamp"], ["lamp"], ["lamp"]])
    own = [Tailored(kinds, kinds.names.index("lamp"), {"content": 1.0})]
    blend = Blend(members, {"popular": 1.0}, own, ColdItems(np.array([5]), bias=2.0, text=0.5))
    longer = extended(blend, NEW, ITEMS)
    assert longer.cold.items.tolist() == [5, 6] and blend.cold.items.tolist() == [5]
    bare = Blend(longer.members, longer.weights, longer.own)
    lifted = longer.score(ASKED) - bare.score(ASKED)
    assert (lifted[:, 6] != 0).all() and not lifted[:, :5].any()
    asked = Histories.from_lists([[3, 6, 6], [6]])
    assert longer.own[0].division.of(asked).tolist() == [kinds.names.index("lamp"), -1], "no slice is told by new items"


def test_a_model_without_texts_puts_new_items_last():
    bare = Sequence.fresh(Shape(dims=8, blocks=1, heads=2, max_length=4), data(vectors=False), seed=1)
    longer = extended(bare, NEW, ITEMS)
    assert isinstance(longer, Unmet)
    np.testing.assert_array_equal(longer.score(ASKED)[:, ITEMS], bare.score(ASKED).min(axis=1))
    passed_over = longer.score(Histories.from_lists([[0, ITEMS, 1]]))[:, :ITEMS]
    np.testing.assert_allclose(passed_over, bare.score(ASKED)[:1], atol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_compressed_table_takes_new_rows_in_its_precision(tmp_path, precision):
    model = Sequence.fresh(Shape(dims=8, blocks=1, heads=2, max_length=4, text_dims=4), data(), seed=1)
    CompressedSequence.of(model, precision).save(tmp_path)
    longer = extended(CompressedSequence.load(tmp_path), NEW, ITEMS)
    assert longer.table.dtype == CompressedSequence.of(model, precision).table.dtype
    np.testing.assert_allclose(longer.score(ASKED), extended(model, NEW, ITEMS).score(ASKED), atol=0.02)


def test_facts_of_nobodys_item_are_those_of_one_that_nobody_met():
    moments = Moments(data().histories, ITEMS)
    np.testing.assert_array_equal(moments.nobodys(), moments.items(np.array([5]), np.array([moments.now]))[0])


def test_what_is_made_for_one_catalogue_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="not saved"):
        extended(fitted(Popular(), data()), NEW, ITEMS).save(tmp_path)
