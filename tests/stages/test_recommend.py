"""The champion's catalogue and today's."""

import numpy as np
from lakerec.models.content import Content
from lakerec.models.data import Histories, TrainingData
from lakerec.stages.recommend import with_newcomers


def content(vectors):
    model = Content()
    model.fit(TrainingData(Histories.from_lists([]), len(vectors), vectors))
    return model


def test_new_items_with_a_text_stand_behind_those_that_the_champion_knows():
    """`b` is gone today, `d` has no text."""
    model, today = content(np.eye(4, dtype=np.float32)[:3]), np.array(["c", "d", "a", "e"], dtype=object)
    vectors = np.eye(4, dtype=np.float32)[[2, 0, 0, 3]]
    vectors[1] = 0
    longer, ids = with_newcomers(model, np.array(["a", "b", "c"], dtype=object), today, vectors)
    assert ids.tolist() == ["a", "b", "c", "e"]
    np.testing.assert_array_equal(longer.vectors, np.eye(4))


def test_a_catalogue_without_new_items_or_texts_leaves_the_model_as_it_is():
    model, ids = content(np.eye(2, dtype=np.float32)), np.array(["a", "b"], dtype=object)
    for today, vectors in ((ids, np.eye(2, dtype=np.float32)), (np.array(["a", "b", "c"], dtype=object), None)):
        assert with_newcomers(model, ids, today, vectors) == (model, ids)
