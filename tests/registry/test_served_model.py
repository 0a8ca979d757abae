"""What is asked of the served model reaches the recommender: items that it knows, and when they came."""

import numpy as np
import pandas as pd
import pytest
import torch
from lakerec.models.data import Histories, TrainingData
from lakerec.models.sequence import Sequence, Shape
from lakerec.registry.answers import Answers
from lakerec.registry.contents import Contents
from lakerec.registry.served_model import ServedModel
from mlflow.exceptions import MlflowException

from tests.registry.packages import ITEMS


@pytest.fixture
def served():
    shape = Shape(dims=8, blocks=1, heads=2, max_length=4, dropout=0.0, times=True)
    model = Sequence.fresh(shape, TrainingData(Histories.from_lists([]), len(ITEMS)), seed=1)
    with torch.no_grad():
        model.network.pause.normal_()
    found = ServedModel()
    found.answers = Answers(Contents(model, ITEMS, np.zeros(len(ITEMS), dtype=np.float32)))
    return found


def scores(served, **asked):
    found = served.predict(None, pd.DataFrame(asked), {"k": 4})
    return dict(zip(found["item_id"], found["score"], strict=True))


def test_times_are_told_with_the_items_that_are_known(served):
    day = 86_400
    long = scores(served, items=[["cup", "mug"]], times=[[0, 9 * day]])
    assert set(long) == {"lamp", "vase"}
    assert scores(served, items=[["cup", "who?", "mug"]], times=[[5, 6, 5 + 9 * day]]) == long
    assert scores(served, items=[["cup", "mug"]], times=[[0, 1]]) == scores(served, items=[["cup", "mug"]]) != long


def test_a_row_without_times_is_as_a_request_without_them(served):
    assert scores(served, items=[["cup", "mug"]], times=[None]) == scores(served, items=[["cup", "mug"]])


@pytest.mark.parametrize("times", [[[0]], [[9, 5]]], ids=["too few", "backwards"])
def test_a_time_for_each_item_oldest_first(served, times):
    with pytest.raises(MlflowException, match="row 0: times must have one number for each of its 2 items, oldest first"):
        scores(served, items=[["cup", "mug"]], times=times)
