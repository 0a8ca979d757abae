"""What makes a table what it should be: few rows, few files, each row once."""

from pathlib import Path
from urllib.parse import urlsplit

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


def test_only_files_of_the_time_that_changes_are_read(lake, spark):
    """Of three files, each of a day, two hold no row that changes: one of them is made unreadable."""
    contract = CONTRACTS[Tables.INTERACTIONS]
    days = spark.sql(
        "SELECT 'u' user_id, concat('i', id) item_id, timestamp_seconds(id * 86400) event_time, 'view' event_type, "
        "1d weight, 'train' split, 0 user, int(id) item, int(id) position FROM range(3)"
    )
    for number in range(3):
        lake.append(days.where(F.col("item") == number).coalesce(1), Tables.INTERACTIONS, f"day-{number}", 1)
    last = days.where("item = 2")
    changed = difference.difference(last, last.withColumn("split", F.lit("test")), contract.keys, contract.names)
    changed = changed.localCheckpoint()
    first = lake.read(Tables.INTERACTIONS).where("item = 0").select("_metadata.file_path").first()[0]
    file = Path(urlsplit(first).path)
    file.rename(file.with_suffix(".away"))
    assert difference.apply(lake, changed, Tables.INTERACTIONS, "run") == {"update": 1}
    file.with_suffix(".away").rename(file)
    found = {(row["item"], row.split) for row in lake.read(Tables.INTERACTIONS).collect()}
    assert found == {(0, "train"), (1, "train"), (2, "test")}


def test_nothing_is_written_where_nothing_differs(lake, spark):
    version = lake.overwrite(spark.createDataFrame(NOW, ITEMS), Tables.ITEMS)
    assert difference.apply(lake, changes(lake, spark), Tables.ITEMS, "run") == {}
    assert lake.version(Tables.ITEMS) == version


@pytest.mark.parametrize(("bound", "most", "held"), [("FEW", 2, 0), ("FEW", 3, 1), ("SMALL", 100, 0), ("SMALL", 1000, 1)])
def test_many_changed_rows_or_large_ones_are_shuffled_few_are_held_in_memory(lake, spark, monkeypatch, bound, most, held):
    """Three rows change, of some 200 bytes."""
    monkeypatch.setattr(difference, bound, most)
    hinted, broadcast = [], F.broadcast

    def counting(frame: DataFrame) -> DataFrame:
        hinted.append(frame)
        return broadcast(frame)

    lake.overwrite(spark.createDataFrame(OLD, ITEMS), Tables.ITEMS)
    monkeypatch.setattr(F, "broadcast", counting)
    difference.apply(lake, changes(lake, spark), Tables.ITEMS, "run")
    assert len(hinted) == held
    assert rows(lake.read(Tables.ITEMS)) == rows(spark.createDataFrame(NOW, ITEMS))
