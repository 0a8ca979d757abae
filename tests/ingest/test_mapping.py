"""Raw files to good rows, repeats and refused rows, on tiny files shown in full."""

import pytest
from lakerec.config import SourceTable
from lakerec.errors import InputError
from lakerec.ingest.mapping import map_events, map_items
from lakerec.ingest.read import list_files, read_source
from lakerec.ingest.sort import KIND, sort_rows

pytestmark = pytest.mark.spark
COLUMNS = {"user_id": "user", "item_id": "item", "event_time": "at", "value": "stars"}


def source(path, **named):
    return SourceTable(path=str(path), **{"options": {"header": True}, "columns": COLUMNS, **named})


def read(spark, path, table):
    return read_source(spark, table, [str(path)], "source.events")


def test_every_row_is_good_a_repeat_or_refused_with_its_reasons(spark, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(
        "user,item,at,stars,shop\n"
        "ann,x,2024-01-01 10:00:00,5,north\n"
        "ann,x,2024-01-01 10:00:00,5,north\n"  # an exact repeat
        ",y,2024-01-01 11:00:00,4,\n"  # no user: still counts for the item
        "bob,,2024-01-01 12:00:00,3,\n"
        "bob,y,yesterday,3,\n"
        "bob,y,1969-12-31 23:00:00,3,\n"
        "bob,y,2999-01-01 00:00:00,3,\n"
        "bob,y,2024-01-01 12:00:00,many,\n"
        "bob,y,2024-01-01 12:00:00\n"  # too short
        "bob,y,2024-01-01 12:00:00,3,south,more\n"  # too long
    )
    table = source(path)
    rows = sort_rows(map_events(read(spark, path, table), table), "event_id").orderBy("source_row").collect()
    found = [(row[KIND], row["_reasons"]) for row in rows]
    assert found == [
        ("good", []),
        ("duplicate", []),
        ("good", []),
        ("refused", ["item_id_missing"]),
        ("refused", ["event_time_unparsable"]),
        ("refused", ["event_time_implausible"]),
        ("refused", ["event_time_implausible"]),
        ("refused", ["value_not_a_number"]),
        ("refused", ["malformed_row"]),
        ("refused", ["malformed_row"]),
    ]
    assert [row["_raw"] for row in rows[-2:]] == ["bob,y,2024-01-01 12:00:00", "bob,y,2024-01-01 12:00:00,3,south,more"]
    assert (rows[0]["user_id"], rows[2]["user_id"]) == ("ann", None)
    assert rows[0]["context"] == {"shop": "north"} and rows[0]["value"] == 5.0


@pytest.mark.parametrize(
    ("text", "time_format"),
    [
        ("1704103200", None),
        ("1704103200000", None),
        ("1704103200", "seconds"),
        ("1704103200000", "milliseconds"),
        ("2024-01-01T10:00:00Z", None),
        ("2024-01-01 12:00:00+02:00", None),
        ("01/01/2024 10:00", "dd/MM/yyyy HH:mm"),
    ],
)
def test_times_of_every_kind_become_the_same_utc_moment(spark, tmp_path, text, time_format):
    path = tmp_path / "events.csv"
    path.write_text(f'user,item,at,stars\nann,x,"{text}",1\n')
    table = source(path, time_format=time_format)
    row = map_events(read(spark, path, table), table).selectExpr("cast(event_time as string)", "_reasons").first()
    assert tuple(row) == ("2024-01-01 10:00:00", [])


def test_json_lines_and_parquet_give_the_same_rows(spark, tmp_path):
    lines = tmp_path / "events.json"
    lines.write_text('{"user": "ann", "item": 7, "at": "2024-01-01 10:00:00", "stars": 5, "tags": ["a"]}\n{"user": "bob"\n')
    table = source(lines, format="json", options={})
    rows = map_events(read(spark, lines, table), table).collect()
    assert [(row.item_id, row.value, row["_reasons"]) for row in rows] == [
        ("7", 5.0, []),
        (None, None, ["malformed_row"]),
    ]
    assert rows[0].context == {"tags": '["a"]'}
    parquet = tmp_path / "parquet"
    spark.sql("SELECT 'ann' AS user, 7 AS item, timestamp'2024-01-01 10:00:00' AS at, 5 AS stars").write.parquet(
        str(parquet)
    )
    table = source(parquet, format="parquet", options={})
    row = map_events(read(spark, parquet, table), table).first()
    assert (row.item_id, row.value, str(row.event_time)) == ("7", 5.0, str(rows[0].event_time))


def test_rows_keep_the_order_of_their_file(spark, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item,at,stars\n" + "".join(f"u,{i},2024-01-01 10:00:00,1\n" for i in range(2000)))
    spark.conf.set("spark.sql.files.maxPartitionBytes", "8k")
    try:
        table = source(path)
        rows = map_events(read(spark, path, table), table)
        assert rows.rdd.getNumPartitions() > 2
        assert [row.item_id for row in rows.orderBy("source_row").collect()] == [str(i) for i in range(2000)]
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")


def test_headerless_files_and_list_columns(spark, tmp_path):
    path = tmp_path / "movies.csv"
    path.write_text('1,"Alien, the first",Horror|Sci-Fi\n2,Heat,\n')
    table = SourceTable(
        path=str(path), options={"header": False}, columns={"item_id": "_c0", "title": "_c1", "categories": "_c2"}
    )
    rows = map_items(read(spark, path, table), table).collect()
    assert [(row.item_id, row.title, row.categories) for row in rows] == [
        ("1", "Alien, the first", ["Horror", "Sci-Fi"]),
        ("2", "Heat", None),
    ]


def test_a_column_that_is_not_there_is_named_with_the_nearest(spark, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("usr,item,at,stars\n")
    with pytest.raises(
        InputError,
        match=r"source\.events\.columns\.user_id: no column `user`; did you mean `usr`\? \(found: usr, item, at, stars\)",
    ):
        read(spark, path, source(path))


def test_a_path_with_nothing_there_is_named(spark, tmp_path):
    with pytest.raises(InputError, match=r"source\.events\.path: no file found at .*nowhere"):
        list_files(spark, source(tmp_path / "nowhere"), "source.events")
