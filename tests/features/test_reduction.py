"""Vectors in fewer dimensions: against numpy, what is kept, and that rows keep their other columns."""

import numpy as np
import pytest
from lakerec.features.reduction import first_dimensions, kept_variance, principal_components, project

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def block():
    """Unit vectors whose first eight dimensions vary less and less and the rest hardly at all."""
    values = np.random.default_rng(0).normal(size=(60, 8)) * [8, 4, 2, 1, 0.5, 0.25, 0.1, 0.1] + 1
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    turned = values @ rotation
    return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors(spark, block):
    rows = [(f"i{number}", row.tolist()) for number, row in enumerate(block)]
    return spark.createDataFrame(rows, "item_id string, vector array<float>").repartition(3)


def test_principal_components_are_those_of_numpy_but_for_the_sign(vectors, block):
    found = principal_components(vectors, 3)
    expected = np.linalg.eigh(np.cov(block.T))[1][:, ::-1][:, :3].T
    np.testing.assert_allclose(np.abs((found * expected).sum(axis=1)), 1, atol=1e-4)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-5)


def test_kept_variance_is_that_of_numpy(vectors, block):
    components = principal_components(vectors, 2)
    expected = np.var(block @ components.T, axis=0).sum() / np.var(block, axis=0).sum()
    assert kept_variance(vectors, components) == pytest.approx(expected, abs=1e-5)
    assert kept_variance(vectors, first_dimensions(8, 8)) == pytest.approx(1)
    cut = first_dimensions(2, 8)
    assert kept_variance(vectors, cut) == pytest.approx(np.var(block[:, :2], axis=0).sum() / np.var(block, axis=0).sum())
    assert kept_variance(vectors, cut) < kept_variance(vectors, components)


def test_vectors_that_are_all_alike_keep_all_of_nothing(spark):
    same = spark.createDataFrame([([1.0, 0.0],)] * 3, "vector array<float>")
    assert kept_variance(same, first_dimensions(1, 2)) == 1


def test_projected_vectors_have_unit_length_and_their_rows(vectors, block):
    components = principal_components(vectors, 3)
    rows = project(vectors, components).collect()
    assert sorted(row.item_id for row in rows) == sorted(f"i{number}" for number in range(len(block)))
    plain = block @ components.T
    expected = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    found = np.array([row.vector for row in sorted(rows, key=lambda row: int(row.item_id[1:]))])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_has_nothing_in_the_first_dimensions_becomes_zero_not_nan(spark):
    frame = spark.createDataFrame([("a", [0.0, 1.0])], "item_id string, vector array<float>")
    assert project(frame, first_dimensions(1, 2)).first().vector == [0.0]
