"""The reader/writer keeps its promises on a real Delta lake."""

from dataclasses import replace
from urllib.parse import unquote

import pytest
from lakerec.columns import Tables
from lakerec.config import LakeConfig
from lakerec.errors import ConfigError, ContractError
from lakerec.lake.contracts import CONTRACTS, Column
from lakerec.lake.lake import Lake
from lakerec.lake.plain import export, live_files

pytestmark = pytest.mark.spark
INDEX = "item_id string, item int"


def rows(frame):
    return sorted(tuple(row) for row in frame.collect())


def test_a_table_that_does_not_exist_reads_as_empty_with_its_contracts_columns(lake):
    frame = lake.read(Tables.SEQUENCES)
    assert frame.columns == CONTRACTS[Tables.SEQUENCES].names
    assert frame.count() == 0
    assert lake.version(Tables.SEQUENCES) is None


def test_the_same_append_is_written_once(lake, spark):
    frame = spark.createDataFrame([("a", 0), ("b", 1)], INDEX)
    first = lake.append(frame, Tables.ITEM_INDEX, "batch-1", 1)
    again = lake.append(frame, Tables.ITEM_INDEX, "batch-1", 1)
    assert rows(lake.read(Tables.ITEM_INDEX)) == [("a", 0), ("b", 1)]
    assert first == again


def test_merge_replaces_by_key_and_inserts_the_rest(lake, spark):
    lake.merge(spark.createDataFrame([("a", 0), ("b", 1)], INDEX), Tables.ITEM_INDEX)
    lake.merge(spark.createDataFrame([("b", 7), ("c", 2)], INDEX), Tables.ITEM_INDEX)
    assert rows(lake.read(Tables.ITEM_INDEX)) == [("a", 0), ("b", 7), ("c", 2)]


def test_overwrite_replaces_all_or_the_named_part_and_old_versions_stay_readable(lake, spark):
    first = lake.overwrite(spark.createDataFrame([("a", 0), ("b", 1)], INDEX), Tables.ITEM_INDEX)
    lake.overwrite(spark.createDataFrame([("z", 1)], INDEX), Tables.ITEM_INDEX, where="item = 1")
    assert rows(lake.read(Tables.ITEM_INDEX)) == [("a", 0), ("z", 1)]
    assert rows(lake.read(Tables.ITEM_INDEX, first)) == [("a", 0), ("b", 1)]


def test_live_files_are_those_of_the_pinned_snapshot(lake, spark):
    lake.overwrite(spark.createDataFrame([("a", 0)], INDEX), Tables.ITEM_INDEX)
    pinned = lake.overwrite(spark.createDataFrame([("b", 1)], INDEX), Tables.ITEM_INDEX)
    lake.overwrite(spark.createDataFrame([("c", 2)], INDEX), Tables.ITEM_INDEX)
    files = live_files(lake, Tables.ITEM_INDEX, pinned)
    assert rows(spark.read.parquet(*files)) == [("b", 1)]


def test_an_export_is_the_pinned_snapshot_as_plain_parquet(lake, spark, tmp_path):
    pinned = lake.overwrite(spark.createDataFrame([("b", 1)], INDEX), Tables.ITEM_INDEX)
    lake.overwrite(spark.createDataFrame([("c", 2)], INDEX), Tables.ITEM_INDEX)
    files = export(lake, Tables.ITEM_INDEX, pinned, tmp_path / "out side")
    assert all(file.startswith("file:///") and "out%20side" in file for file in files)
    assert rows(spark.read.parquet(*map(unquote, files))) == [("b", 1)]


def test_a_row_against_a_constraint_or_a_missing_column_is_refused(lake, spark):
    with pytest.raises(Exception, match="from_zero"):
        lake.overwrite(spark.createDataFrame([("a", -1)], INDEX), Tables.ITEM_INDEX)
    with pytest.raises(ContractError, match="columns missing.*item"):
        lake.overwrite(spark.createDataFrame([("a",)], "item_id string"), Tables.ITEM_INDEX)
    assert lake.read(Tables.ITEM_INDEX).count() == 0


def test_constraints_are_added_to_a_table_whose_creation_was_cut_short(lake, spark):
    """As an older lakerec created it: constraints came after, one commit each."""
    spark.sql(
        f"CREATE TABLE delta.`{lake.name(Tables.ITEM_INDEX)}` (item_id string NOT NULL, item int NOT NULL) USING delta"
    )
    lake.ensure(Tables.ITEM_INDEX)
    with pytest.raises(Exception, match="from_zero"):
        lake.overwrite(spark.createDataFrame([("a", -1)], INDEX), Tables.ITEM_INDEX)


def test_a_table_gains_the_columns_that_its_contract_has_gained(lake, spark, monkeypatch):
    """The index as an older lakerec made it, which knew nothing of notes."""
    lake.overwrite(spark.createDataFrame([("a", 0)], INDEX), Tables.ITEM_INDEX)
    old, notes = CONTRACTS[Tables.ITEM_INDEX], Column("notes", "array<string>", "what people say of it")
    monkeypatch.setitem(CONTRACTS, Tables.ITEM_INDEX, replace(old, columns=(*old.columns, notes)))
    lake = Lake(spark, lake.config)
    lake.append(spark.createDataFrame([("b", 1, ["good"])], f"{INDEX}, notes array<string>"), Tables.ITEM_INDEX, "two", 1)
    found = lake.read(Tables.ITEM_INDEX)
    assert sorted(tuple(row) for row in found.collect()) == [("a", 0, None), ("b", 1, ["good"])]
    assert found.schema["notes"].metadata == {"comment": "what people say of it"}


def test_a_table_that_its_contract_no_longer_fits_is_left_alone(lake, spark, monkeypatch):
    lake.overwrite(spark.createDataFrame([("a", 0)], INDEX), Tables.ITEM_INDEX)
    old = CONTRACTS[Tables.ITEM_INDEX]
    other = (Column("item_id", "bigint", "external id"), old.columns[1], Column("rank", "int", "place", nullable=False))
    monkeypatch.setitem(CONTRACTS, Tables.ITEM_INDEX, replace(old, columns=other))
    with pytest.raises(ContractError, match="item_id is string, not bigint; rank is missing and must not be null"):
        Lake(spark, lake.config).ensure(Tables.ITEM_INDEX)
    assert lake.version(Tables.ITEM_INDEX) == 1 and rows(lake.read(Tables.ITEM_INDEX)) == [("a", 0)]


@pytest.mark.parametrize("table", CONTRACTS)
def test_every_contract_makes_a_table_with_comments(lake, table):
    lake.ensure(table)
    fields = lake.read(table).schema.fields
    assert [field.name for field in fields] == CONTRACTS[table].names
    assert all(field.metadata.get("comment") for field in fields)


def test_catalog_mode_names_tables_by_layer_and_keeps_them_in_the_schema(spark):
    lake = Lake(spark, LakeConfig(catalog="spark_catalog", schema="lakerec_test"))
    try:
        lake.append(spark.createDataFrame([("a", 0)], INDEX), Tables.ITEM_INDEX, "batch-1", 1)
        lake.merge(spark.createDataFrame([("b", 1)], INDEX), Tables.ITEM_INDEX)
        version = lake.version(Tables.ITEM_INDEX)
        assert rows(spark.table("lakerec_test.gold_item_index")) == [("a", 0), ("b", 1)]
        assert rows(lake.read(Tables.ITEM_INDEX, version)) == [("a", 0), ("b", 1)]
        assert live_files(lake, Tables.ITEM_INDEX, version)
    finally:
        spark.sql("DROP SCHEMA lakerec_test CASCADE")


def test_catalog_names_that_are_not_plain_identifiers_are_refused(spark):
    with pytest.raises(ConfigError, match="not a plain identifier"):
        Lake(spark, LakeConfig(catalog="main", schema="a`; DROP TABLE b"))
