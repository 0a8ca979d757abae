"""Vectors of several kinds in one: cosines are weighted means, what lacks a kind is compared by the rest."""

import numpy as np
import pytest
from lakerec.features.fusion import Kind, fuse

pytestmark = pytest.mark.spark


def test_the_cosine_is_the_weighted_mean_of_the_kinds(spark):
    text = {"a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.0, 1.0]}
    image = {"a": [0.0, 2.0, 0.0], "b": [0.0, 3.0, 4.0]}
    base = spark.createDataFrame(
        [(i, "text", v) for i, v in text.items()], "item_id string, encoder string, vector array<float>"
    )
    others = spark.createDataFrame(list(image.items()), "item_id string, vector array<double>")
    rows = {row.item_id: row for row in fuse(base, "item_id", 1.0, [Kind("image", others, 3, 0.5)]).collect()}
    assert set(rows) == {"a", "b", "c"} and {row.encoder for row in rows.values()} == {"text"}
    found = {name: np.array(row.vector) for name, row in rows.items()}
    np.testing.assert_allclose([np.linalg.norm(each) for each in found.values()], 1, atol=1e-6)
    assert found["a"] @ found["b"] == pytest.approx((1.0 * 0.6 + 0.5 * 0.6) / 1.5, abs=1e-6)
    assert found["b"] @ found["c"] == pytest.approx(0.8 / np.sqrt(1.5), abs=1e-6)
