"""Groups of users out of a tiny lake that is shown in full."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError
from lakerec.evaluation import slices as rules
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.data import Histories, Holdout
from lakerec.models.slices import Categories
from lakerec.stages.slices import catalogue_of, mean_popularity, slices_of
from pyspark.sql import functions as F

COUNTRIES = {"u": "FR", "v": "DE", "w": "FR", "z": "IT"}
"""z is no test user, x has no attributes."""
SEGMENTS = [("u", 0), ("v", 1), ("w", None), ("x", 1)]
USERS = np.array(["u", "v", "w", "x"], dtype=object)
CATEGORIES = Categories.of_items([["tea"], ["tea", "green"], ["lamp"], []])
KNOWN = Histories.from_lists([[0, 1, 1], [2], [], [0, 3]])


@pytest.fixture
def context(spark, lake):
    attributes = [(user, {"country": country}) for user, country in COUNTRIES.items()]
    lake.overwrite(spark.createDataFrame(attributes, CONTRACTS[Tables.USERS].schema), Tables.USERS)
    told = spark.createDataFrame(SEGMENTS, "user_id string, segment int")
    fixed = {"events": F.lit(1), "sentence": F.lit("-"), "knowable_at": F.lit("2024-01-01").cast("timestamp")}
    others = {name: fixed.get(name, F.lit(None)) for name in CONTRACTS[Tables.PORTRAITS].names if name not in told.columns}
    lake.overwrite(told.withColumns(others), Tables.PORTRAITS)
    return SimpleNamespace(lake=lake, config=SimpleNamespace(evaluate=SimpleNamespace(groups=["country"])))


@pytest.mark.spark
def test_groups_are_segments_categories_and_declared_attributes(context, monkeypatch):
    monkeypatch.setattr(rules, "LEAST_USERS", 1)
    inputs = {table: context.lake.version(table) for table in (Tables.USERS, Tables.PORTRAITS)}
    found = slices_of(context, inputs, USERS, Holdout(KNOWN, KNOWN), KNOWN, CATEGORIES)
    members = {name: "".join(USERS[chosen]) for name, chosen in found.of_users.items()}
    assert {name: who for name, who in members.items() if ":" in name} == {
        "segment:0": "u", "segment:1": "vx", "category:tea": "ux", "category:lamp": "v", "country:FR": "uw",
        "country:DE": "v",
    }  # fmt: skip
    assert members["cold_users"] == "w" and members["sparse_users"] == "uvwx"
    assert list(found.groups) == ["category", "segment", "country"]
    assert found.items["cold_items"].all(), "none has more than five events"

    context.config.evaluate.groups = ["contry"]
    with pytest.raises(
        ConfigError, match="evaluate.groups: `contry` is no attribute of silver/users; did you mean `country`"
    ):
        slices_of(context, inputs, USERS, Holdout(KNOWN, KNOWN), KNOWN, CATEGORIES)


def test_items_are_alike_by_their_vectors_and_without_them_by_their_categories():
    by_category = catalogue_of(KNOWN, None, CATEGORIES)
    np.testing.assert_array_equal(by_category.popularity, [2, 1, 1, 1])
    assert by_category.users == 3
    cosines = (by_category.vectors @ by_category.vectors.T).toarray()
    np.testing.assert_allclose(cosines, [[1, 0.5**0.5, 0, 0], [0.5**0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-6)
    assert by_category.described.tolist() == [True, True, True, False]
    vectors = np.array([[3.0, 4.0]] * 4)
    np.testing.assert_allclose(catalogue_of(KNOWN, vectors, CATEGORIES).vectors, [[0.6, 0.8]] * 4)
    assert catalogue_of(KNOWN, None, Categories.of_items([[], [], [], []])).vectors is None


def test_what_a_user_met_is_as_popular_as_its_items_each_counted_once():
    catalogue = catalogue_of(KNOWN, None, CATEGORIES)
    np.testing.assert_array_equal(mean_popularity(KNOWN, catalogue), [1.5, 1, np.nan, 1.5])
