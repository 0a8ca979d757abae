"""Raw files to good rows, repeats and refused rows, on tiny files shown in full."""

from urllib.parse import unquote

import pytest
from lakerec.errors import ConfigError, InputError
from lakerec.ingest import sort
from lakerec.ingest.mapping import check_names, map_events, map_items
from lakerec.ingest.read import list_files, read_source
from lakerec.ingest.rows import FILE
from lakerec.ingest.values import check_time_format
from lakerec.source import SourceTable

pytestmark = pytest.mark.spark
COLUMNS = {"user_id": "user", "item_id": "item", "event_time": "at", "value": "stars"}


def source(path, **named):
    return SourceTable(path=str(path), **{"options": {"header": True}, "columns": COLUMNS, **named})


def read(spark, path, table):
    return read_source(spark, table, [str(path)], "source.events")


def kinds(spark, mapped):
    """Mapped rows with what becomes of each."""
    names = sorted({unquote(row.source_file) for row in mapped.select("source_file").collect()})
    placed = sort.with_place(mapped, spark.createDataFrame(list(enumerate(names)), f"_file_number long, {FILE} string"))
    repeats = sort.tally(placed).where("_low IS NOT NULL")
    good = {(row.source_file, row.source_row) for row in sort.only_new(placed, repeats, None).collect()}
    rows = [
        (*row, "refused" if row["_reasons"] else "good" if (row.source_file, row.source_row) in good else "duplicate")
        for row in mapped.collect()
    ]
    return spark.createDataFrame(rows, mapped.schema.add("kind", "string"))


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
    rows = kinds(spark, map_events(read(spark, path, table), table)).orderBy("source_row").collect()
    found = [(row.kind, row["_reasons"]) for row in rows]
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
        (".17041032e10", None),
        (".17041032e10", "seconds"),
    ],
)
def test_times_of_every_kind_become_the_same_utc_moment(spark, tmp_path, text, time_format):
    path = tmp_path / "events.csv"
    path.write_text(f'user,item,at,stars\nann,x,"{text}",1\n')
    table = source(path, time_format=time_format)
    row = map_events(read(spark, path, table), table).selectExpr("cast(event_time as string)", "_reasons").first()
    assert tuple(row) == ("2024-01-01 10:00:00", [])


@pytest.mark.parametrize("text", ["10:30:00", "T10:30", "today", "2024"])
def test_a_time_without_a_date_is_refused(spark, tmp_path, text):
    path = tmp_path / "events.csv"
    path.write_text(f"user,item,at,stars\nann,x,{text},.5\n")
    table = source(path)
    row = map_events(read(spark, path, table), table).first()
    assert (row.value, len(row["_reasons"])) == (0.5, 1)


@pytest.mark.parametrize("pattern", ["foo", "yyyy-MM-dd'T", "YYYY-MM-dd", "yyyy-MM-ddTHH:mm"])
def test_a_pattern_that_spark_cannot_read_is_one_line(spark, pattern):
    with pytest.raises(InputError, match=rf"^source\.events\.time_format: `{pattern}` is no datetime pattern .*$"):
        check_time_format(spark, pattern, "source.events")
    for fine in (None, "seconds", "milliseconds", "dd/MM/yyyy HH:mm"):
        check_time_format(spark, fine, "source.events")


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


def test_files_with_other_columns_are_read_by_their_own_header(spark, tmp_path):
    folder = tmp_path / "all events"
    folder.mkdir()
    files = {
        "1.csv": "user,item,at,stars\nann,x,2024-01-01 10:00:00,5\n",
        "2.csv": "user,item,at,stars,shop\nann,y,2024-01-02 10:00:00,4,north\nann,y,2024-01-02 10:00:00,4\n",
        "3.csv": "stars,at,item,user\n5,2024-01-01 10:00:00,x,ann\n",  # the row of the first file in another order
        "4.csv": "",
        "5.csv": "\n\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    table = source(folder)
    listed = [row.source_file for row in list_files(spark, table, "source.events").collect()]
    raw = read_source(spark, table, sorted(listed), "source.events")
    rows = kinds(spark, map_events(raw, table)).orderBy("source_file", "source_row").collect()
    assert [(row.user_id, row.item_id, row.context, row.kind) for row in rows] == [
        ("ann", "x", {}, "good"),
        ("ann", "y", {"shop": "north"}, "good"),
        ("ann", "y", {}, "refused"),
        ("ann", "x", {}, "duplicate"),
    ]


def test_a_file_that_lacks_a_mapped_column_is_named(spark, tmp_path):
    for name, header in (("1.csv", "user,item,at,stars"), ("2.csv", "user,item,at,rating")):
        (tmp_path / name).write_text(f"{header}\nann,x,2024-01-01 10:00:00,5\n")
    files = [str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]
    with pytest.raises(
        InputError, match=r"columns\.value: no column `stars`.*\(found: user, item, at, rating\) in .*/2\.csv"
    ):
        read_source(spark, source(tmp_path), files, "source.events")


def test_keys_with_any_characters_inside_json(spark, tmp_path):
    lines = tmp_path / "events.json"
    lines.write_text('{"item": "x", "at": "2024-01-01", "geo.ip": {"is-eu": true, "a b": {"c:d": 1}, "`": "tick"}}\n')
    table = source(lines, format="json", options={})
    row = map_events(read(spark, lines, table), table).first()
    assert row.context == {"geo.ip": '{"`":"tick","a b":{"c:d":"1"},"is-eu":"true"}'}


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_columns_called_as_ours_were_are_as_any_other(spark, tmp_path, format_):
    own = ["_raw", "_RAW_", "_file", "_row", "_corrupt", "_corrupt_record", "_faults", "_declared", "_tagged", "_drop"]
    own += ["_our_item_id", "_rest_stars", "_text_of_stars", "_inner_pad", "_parsed", "_metadata", "_reasons", "value"]
    said = ", ".join(f"'{place}' {name}" for place, name in enumerate(own))
    frame = spark.sql(f"SELECT 'ann' user, 'x' item, '2024-01-01' at, '5' stars, {said}")
    frame.write.format(format_).options(header=True).save(str(tmp_path / "raw"))
    files = [str(path) for path in (tmp_path / "raw").glob("part-*")]
    rules = [{"code": "tagged", "when": "stars > 4"}, {"code": "gone", "when": "_raw = 1", "action": "quarantine"}]
    for named in ({}, {"fields": {"stars": {"type": "int"}}, "rules": rules, "derive": {"more": "_row + 1"}}):
        table = source(tmp_path / "raw", format=format_, **named)
        row = map_events(read_source(spark, table, files, "source.events"), table).first()
        more = {name: str(place) for place, name in enumerate(own)} | ({"more": "4.0"} if named else {})
        assert (row.user_id, row.value, row.context, row["_reasons"], row["_raw"]) == ("ann", 5.0, more, [], None)
        assert unquote(row.source_file).endswith(files[0])
        assert row.tags == (["tagged"] if named else [])


def test_a_key_that_differs_in_case_only_is_named(spark, tmp_path):
    lines = tmp_path / "events.json"
    lines.write_text('{"User": "ann", "item": "x", "at": "2024-01-01"}\n')
    with pytest.raises(InputError, match=r"columns\.user_id: no column `user`; did you mean `User`\?"):
        read(spark, lines, source(lines, format="json", options={}))


def test_columns_of_exactly_our_name_map_themselves(spark, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("item_id,event_type,event_time,value,title,user_id\nx,view,2024-01-01 10:00:00,2,Tea,u1\n")
    table = SourceTable(path=str(path), options={"header": True}, columns={"item_id": "title"}, defaults={"event_type": "?"})
    row = map_events(read_source(spark, table, [str(path)], "source.events", ("item_id", "event_time")), table).first()
    assert (row.item_id, row.event_type, row.value, row.user_id) == ("Tea", "view", 2.0, "u1")
    assert (row.context, str(row.event_time), row["_reasons"]) == ({"item_id": "x"}, "2024-01-01 10:00:00", [])


def test_a_needed_name_that_nothing_covers_is_named(spark, tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("itemid,name\nx,Tea\n")
    table = SourceTable(path=str(path), options={"header": True}, columns={"title": "name"})
    expected = (
        r"source\.items\.columns\.item_id: not mapped, and no column left is called `item_id`; did you mean `itemid`\?"
    )
    with pytest.raises(InputError, match=expected):
        read_source(spark, table, [str(path)], "source.items", ("item_id",))
    covered = table.model_copy(update={"defaults": {"item_id": "only one"}})
    assert read_source(spark, covered, [str(path)], "source.items", ("item_id",)).count() == 1


def test_names_near_ours_are_slips_and_others_are_the_users_own():
    check_names(source("f", columns={"item_id": "a", "event_time": "b", "order_id": "c", "price": "d"}), "events")
    check_names(source("f", columns={"item_id": "a", "event_time": "b", "event_type": "c", "event_name": "d"}), "events")
    for slip, name in (("itme_id", "item_id"), ("user", "user_id"), ("event_tme", "event_time"), ("titel", "title")):
        with pytest.raises(ConfigError, match=rf"source\.events\.columns: unknown name `{slip}`; did you mean `{name}`\?"):
            check_names(source("f", columns={slip: "a"}), "events")
    with pytest.raises(ConfigError, match=r"unknown name `userid`; did you mean `user_id`\?"):
        check_names(source("f", columns={"user_id": "customer", "userid": "customer"}), "events")
    with pytest.raises(ConfigError, match=r"source\.items\.defaults: unknown name `category`; did you mean `categories`\?"):
        check_names(source("f", columns={}, defaults={"category": "tea"}), "items")


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_partition_folders_give_their_columns(spark, tmp_path, format_):
    folder = tmp_path / "events"
    frame = spark.sql("SELECT 'ann' user, 'x' item, '2024-01-01' at, '5' stars, 'view' event_type, 'north' shop")
    frame.write.partitionBy("event_type", "shop").format(format_).options(header=True).save(str(folder))
    table = source(folder, format=format_)
    files = [row.source_file for row in list_files(spark, table, "source.events").collect()]
    row = map_events(read_source(spark, table, files, "source.events"), table).first()
    assert (row.user_id, row.event_type, row.context, row["_reasons"]) == ("ann", "view", {"shop": "north"}, [])


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_a_name_with_brackets_stands_for_its_own_file_only(spark, tmp_path, format_):
    frame = spark.sql("SELECT 'ann' user, 'x' item, '2024-01-01' at, '5' stars").coalesce(1)
    frame.write.format(format_).options(header=True).save(str(tmp_path / "written"))
    part = next((tmp_path / "written").glob("part-*")).read_bytes()
    for name in ("1", "[1]", "{1,2}", "*"):
        (tmp_path / name).write_bytes(part)
    table = source(tmp_path, format=format_)
    rows = map_events(read_source(spark, table, [str(tmp_path / "[1]"), str(tmp_path / "*")], "source.events"), table)
    found = rows.select("source_file").collect()
    assert sorted(row.source_file.rpartition("/")[2] for row in found) == ["%5B1%5D", "*"]


LAYOUTS = ["1", "old/2", "month=02/3", "month=all/day=1/4", "m=03/5", "old/month=04/6", "month=05/old/7", "month=/8"]
"""Files beside folders `key=value`, at different depths, of different keys, in or above one that is none, without value."""


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_files_in_different_kinds_of_folders_are_all_read(spark, tmp_path, format_):
    lines = [
        f"SELECT '{name.split('/')[-1]}' user, 'x' item, '2024-01-01' at, '5' stars, {more} more"
        for name, more in zip(LAYOUTS, ["named_struct('a', 'b')", *["named_struct('c', 'd')"] * 7], strict=True)
    ]
    raw = tmp_path / "raw"
    for name, line in zip(LAYOUTS, lines, strict=True):
        frame = spark.sql(line if format_ != "csv" else line.partition(", named_struct")[0]).coalesce(1)
        frame.write.format(format_).options(header=True).save(str(tmp_path / "written" / name))
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(next((tmp_path / "written" / name).glob("part-*")).read_bytes())
    derived = {} if format_ == "csv" else {"derive": {"first": "more.a", "second": "more.c"}}
    table = source(raw, format=format_, **derived)
    files = [row.source_file for row in list_files(spark, table, "source.events").collect()]
    rows = map_events(read_source(spark, table, sorted(files), "source.events"), table).collect()
    said = {row.user_id: {key: value for key, value in row.context.items() if key != "more"} for row in rows}
    folders = [{}, {}, {"month": "02"}, {"month": "all", "day": "1"}, {"m": "03"}, {"month": "04"}, {"month": "05"}, {}]
    inner = [{}] * 8 if format_ == "csv" else [{"first": "b"}, *[{"second": "d"}] * 7]
    assert said == {str(place): {**kind, **more} for place, (kind, more) in enumerate(zip(folders, inner, strict=True), 1)}
