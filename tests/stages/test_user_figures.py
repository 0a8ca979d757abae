"""What a Spark worker makes of a batch of lists; a whole lake's figures are compared in test_pipeline."""

import numpy as np
import pyarrow as pa
from lakerec.evaluation.lists import per_user
from lakerec.evaluation.metrics import PER_USER
from lakerec.stages.user_figures import TARGETS, _judged

LISTS = [[3, 1, 2], [0, 1], []]
WANTED = [[1], [2, 1], [0]]


def test_a_batch_of_lists_gives_a_row_a_user_with_every_metric_and_an_empty_list_gives_zeros():
    whole = pa.RecordBatch.from_pydict(
        {
            "model": pa.array(["other", "m", "m", "m"]), "user_id": pa.array(["s", "u", "v", "w"]),
            "items": pa.array([[0], *LISTS], pa.list_(pa.int32())), TARGETS: pa.array([[0], *WANTED], pa.list_(pa.int32())),
        }
    )  # fmt: skip
    (found,) = _judged(4, [1, 3])([whole.slice(1)])
    assert found["user_id"].to_pylist() == ["u", "v", "w"] and found["model"].to_pylist() == ["m", "m", "m"]
    lists = np.array([row + [-1] * (3 - len(row)) for row in LISTS])
    offsets, targets = np.array([0, 1, 3, 4]), np.concatenate(WANTED)
    for k in (1, 3):
        for metric in PER_USER:
            expected = per_user(lists, offsets, targets, 4, metric, k)
            np.testing.assert_array_equal(found[f"{metric}_at_{k}"].to_numpy(), expected, err_msg=metric)
    assert found["recall_at_3"].to_pylist() == [1.0, 0.5, 0.0]
