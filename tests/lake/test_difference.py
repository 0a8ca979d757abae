"""What makes a table what it should be: few rows, few files, each row once."""

import pytest
from lakerec.columns import Tables
from lakerec.lake import difference
from lakerec.lake.contracts import CONTRACTS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
ITEMS = "item_id string, title string, description string, categories array<string>, attributes map<string,string>"
OLD = [
    ("a", "Apple", None, ["fruit"], {"color": "red", "size": "big"}),
    ("b", "Bread", None, None, {"grain": "rye"}),
    ("c", "Cheese", None, None, None),
    ("d", "Dates", None, None, None),
]
NOW = [
    ("a", "Apple", None, ["fruit"], {"size": "big", "color": "red"}),
    ("b", "Bread", None, None, {"grain": "oat"}),
    ("c", "Cheese", None, None, {}),
    ("e", "Eggs", None, None, None),
]


def rows(frame):
    return sorted(((row.item_id, row.title, row.attributes) for row in frame.collect()), key=str)


def changes(lake, spark):
    contract, now = CONTRACTS[Tables.ITEMS], spark.createDataFrame(NOW, ITEMS)
    return difference.difference(lake.read(Tables.ITEMS), now, contract.keys, contract.names)


def test_rows_differ_by_what_they_hold_not_by_the_order_of_a_map(lake, spark):
    lake.overwrite(spark.createDataFrame(OLD, ITEMS), Tables.ITEMS)
    found = {(row._action, row.item_id) for row in changes(lake, spark).collect()}
    assert found == {("update", "b"), ("update", "c"), ("delete", "d"), ("insert", "e")}


def test_a_table_becomes_what_it_should_be_and_its_other_rows_stay_where_they_are(lake, spark):
    lake.overwrite(spark.createDataFrame(OLD, ITEMS).coalesce(1), Tables.ITEMS)
    before = set(lake.read(Tables.ITEMS).inputFiles())
    assert difference.apply(lake, changes(lake, spark), Tables.ITEMS, "run") == {"update": 2, "delete": 1, "insert": 1}
    now = lake.read(Tables.ITEMS)
    assert rows(now) == rows(spark.createDataFrame(NOW, ITEMS))
    assert before < set(now.inputFiles())
    kept = now.where(F.col("_metadata.file_path").isin(*before)).select("item_id").collect()
    assert [row.item_id for row in kept] == ["a"]


def test_nothing_is_written_where_nothing_differs(lake, spark):
    version = lake.overwrite(spark.createDataFrame(NOW, ITEMS), Tables.ITEMS)
    assert difference.apply(lake, changes(lake, spark), Tables.ITEMS, "run") == {}
    assert lake.version(Tables.ITEMS) == version


@pytest.mark.parametrize("few", [0, difference.FEW])
def test_many_changed_rows_are_shuffled_few_are_held_in_memory(lake, spark, monkeypatch, few):
    monkeypatch.setattr(difference, "FEW", few)
    hinted, broadcast = [], F.broadcast

    def counting(frame: DataFrame) -> DataFrame:
        hinted.append(frame)
        return broadcast(frame)

    lake.overwrite(spark.createDataFrame(OLD, ITEMS), Tables.ITEMS)
    monkeypatch.setattr(F, "broadcast", counting)
    difference.apply(lake, changes(lake, spark), Tables.ITEMS, "run")
    assert len(hinted) == (1 if few else 0)
    assert rows(lake.read(Tables.ITEMS)) == rows(spark.createDataFrame(NOW, ITEMS))
