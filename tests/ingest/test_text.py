"""CSV and JSON in all the ways in which they are written, on small files shown in full."""

import pytest
from lakerec.errors import ConfigError, InputError
from lakerec.ingest import openings
from lakerec.ingest.mapping import map_events
from lakerec.ingest.openings import HEAD, open_all
from lakerec.ingest.read import read_source
from pyspark.sql import functions as F

from tests.ingest.sources import NEEDED, source

pytestmark = pytest.mark.spark
AT = "2024-01-01 10:00:00"
CSV = f'user,item,at,stars\r\nann,"caf\u00e9, noir",{AT},5\r\nbob,"\u20ac",{AT},"4"\r\n\r\nshort,x\r\n'
LINES = f'{{"user": "ann", "item": "caf\u00e9", "at": "{AT}", "stars": 5}}\r\n\r\n{{"user": "bob", "item": "\u20ac"\r\n'
DOCUMENT = f"""[
  {{
    "user": "ann", "item": "caf\u00e9",
    "at": "{AT}", "stars": 5, "at_home": {{"yes": true}}
  }},
  {{"user": "bob", "at": "{AT}"}}
]
"""
CUT = DOCUMENT[: DOCUMENT.index("bob")]
HTML = "<html><body>no</body></html>"
MARK = "\ufeff"
ENCODINGS = {
    "ISO-8859-15": ("iso-8859-15", ""),
    "windows-1252": ("cp1252", ""),
    "UTF-16": ("utf-16-le", MARK),
    "utf-16": ("utf-16-be", MARK),
    "UTF-16LE": ("utf-16-le", ""),
    "UTF-16BE": ("utf-16-be", ""),
    "UnicodeBigUnmarked": ("utf-16-be", ""),
    "X-UTF-16LE": ("utf-16-le", ""),
}
"""Declared: as Python writes it, and what the file begins with."""


def rows(spark, folder, files, **named):
    """What is made of files by name, as (user, item, value, context, reasons, raw), in order."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        folder.joinpath(name).write_bytes(content)
    table = source(**{"path": folder, **named})
    paths = [str(folder / name) for name in files]
    found = map_events(read_source(spark, table, paths, "source.events", NEEDED), table)
    place = "regexp_extract(source_file, '[^/]*$', 0)"
    return [
        (row.user_id, row.item_id, row.value, row.context or {}, row["_reasons"], row["_raw"])
        for row in found.orderBy(F.expr(place), "source_row").collect()
    ]


@pytest.mark.parametrize("declared", ENCODINGS)
def test_csv_in_a_declared_encoding(spark, tmp_path, declared):
    encoding, mark = ENCODINGS[declared]
    files = {"1.csv": f"{mark}{CSV}".encode(encoding), "2.csv": f"{mark}{HTML}".encode(encoding)}
    assert rows(spark, tmp_path / "raw", files, options={"encoding": declared}) == [
        ("ann", "caf\u00e9, noir", 5, {}, [], None),
        ("bob", "\u20ac", 4, {}, [], None),
        ("short", "x", None, {}, ["malformed_row"], "short,x"),
        (None, None, None, {}, ["html_page"], HTML),
    ]


@pytest.mark.parametrize("declared", [None, "UTF-16"])
def test_csv_whose_names_are_blank_or_repeated(spark, tmp_path, declared):
    texts = [
        f",user,item,at,stars\n0,ann,x,{AT},5\n",
        f"user,item,at,stars,\nbob,x,{AT},4,\n",
        f"user,item,at,stars,note,Note\ncat,x,{AT},3,a,b\n",
        f'user,item,at,stars,_c0,""\ndan,x,{AT},2,a,b\n',
    ]
    files = {f"{n}.csv": text.encode("utf-16" if declared else "utf-8") for n, text in enumerate(texts)}
    found = rows(spark, tmp_path / "raw", files, options={"encoding": declared} if declared else {})
    assert [(user, value, context) for user, _, value, context, *_ in found] == [
        ("ann", 5, {"_c0": "0"}), ("bob", 4, {}),
        ("cat", 3, {"note4": "a", "Note5": "b"}), ("dan", 2, {"_c0": "a", "_c5": "b"}),
    ]  # fmt: skip


@pytest.mark.parametrize("declared", [None, "UTF-16"])
@pytest.mark.parametrize("looked_at", [2 * HEAD, HEAD + 100])
def test_csv_headers_that_differ_late_are_told_apart(spark, tmp_path, monkeypatch, looked_at, declared):
    monkeypatch.setattr(openings, "STEP", looked_at)
    long = "c" * (HEAD // 2 + 100 if declared else HEAD + 150)
    texts = [f"user,{long},{last}\nann,x,{n},{AT}\n" for n, last in enumerate(["stars,at", "votes,at"])]
    files = {f"{n}.csv": text.encode("utf-16" if declared else "utf-8") for n, text in enumerate(texts)}
    columns = {"user_id": "user", "event_time": "at"}
    options = {"encoding": declared} if declared else {}
    found = rows(spark, tmp_path / "raw", files, columns=columns, derive={"item_id": "1"}, options=options)
    assert [context for *_, context, _, _ in found] == [{long: "x", "stars": "0"}, {long: "x", "votes": "1"}]


def test_csv_headers_behind_comments_and_over_two_lines_are_told_apart(spark, tmp_path):
    pages = [f"# made {n}\n\n#, by hand\nuser,item,at,{last}\nann,x,{AT},{n}\n" for n, last in enumerate(["a", "b"])]
    pages.append("# x\n" * HEAD + pages[0])
    files = {f"{n}.csv": text.encode() for n, text in enumerate(pages)}
    columns = {"user_id": "user", "item_id": "item", "event_time": "at"}
    found = rows(spark, tmp_path / "1", files, columns=columns, options={"comment": "#"})
    assert [context for *_, context, _, _ in found] == [{"a": "0"}, {"b": "1"}, {"a": "0"}]
    files = {f"{n}.csv": f'"the\n{last}",user,item,at\n{n},ann,x,{AT}\n'.encode() for n, last in enumerate(["a", "b"])}
    found = rows(spark, tmp_path / "2", files, columns=columns, options={"multiline": True})
    assert [context for *_, context, _, _ in found] == [{"the\na": "0"}, {"the\nb": "1"}]


@pytest.mark.parametrize("declared", ENCODINGS)
def test_json_lines_in_a_declared_encoding(spark, tmp_path, declared):
    encoding, mark = ENCODINGS[declared]
    files = {"1.json": f"{mark}{LINES}".encode(encoding), "2.json": f"{mark}{HTML}".encode(encoding)}
    assert rows(spark, tmp_path / "raw", files, format="json", options={"encoding": declared}) == [
        ("ann", "caf\u00e9", 5, {}, [], None),
        (None, None, None, {}, ["malformed_row"], '{"user": "bob", "item": "\u20ac"'),
        (None, None, None, {}, ["html_page"], HTML),
    ]


@pytest.mark.parametrize("declared", [None, "windows-1252", "UTF-16"])
def test_arrays_of_objects_a_line_are_rows_in_any_encoding(spark, tmp_path, declared):
    def one(user):
        return f'{{"user": "{user}", "item": "x", "at": "{AT}", "stars": 5}}'

    bad = ['[{"user": "cut"', '[{"user": "cat"}, 5]', '[{"user": "cat"}, null]', "[1]"]
    lines = [f"[{one('ann')}, {one('bob')}]", "[]", *bad, f"[{one('dan')}]", one("eve"), ""]
    folder = tmp_path / "raw" / "shop=north"
    folder.mkdir(parents=True)
    files = {"1.json": "\n".join(lines).encode({"UTF-16": "utf-16"}.get(declared, "ascii"))}
    options = {"encoding": declared} if declared else {}
    found = rows(spark, folder, files, path=tmp_path / "raw", format="json", options=options)
    shop = {"shop": "north"}
    assert found == [
        *[(user, "x", 5.0, shop, [], None) for user in ("ann", "bob")],
        *[(None, None, None, shop, ["malformed_row"], line) for line in bad],
        *[(user, "x", 5.0, shop, [], None) for user in ("dan", "eve")],
    ]


@pytest.mark.parametrize("declared", [None, "windows-1252"])
def test_json_lines_that_end_with_a_carriage_return_alone(spark, tmp_path, declared):
    text = "".join(f'{{"user": "{user}", "item": "x", "at": "{AT}", "stars": 5}}\r' for user in ("ann", "bob"))
    options = {"encoding": declared} if declared else {}
    found = rows(spark, tmp_path / "raw", {"1.json": text.encode()}, format="json", options=options)
    assert found == [(user, "x", 5.0, {}, [], None) for user in ("ann", "bob")]


def test_utf_16_of_both_orders_without_header_and_split_in_the_midst(spark, tmp_path):
    lines = "".join(f"u{n},x,{AT},{n}\n" for n in range(2000))
    folder = tmp_path / "raw" / "shop=north"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_bytes((MARK + lines).encode("utf-16-le"))
    (folder / "2.csv").write_bytes((MARK + '"v, w",x,' + AT + ",1\n").encode("utf-16-be"))
    columns = {"user_id": "_c0", "item_id": "_c1", "event_time": "_c2", "value": "_c3"}
    table = source(tmp_path / "raw", columns=columns, options={"header": False, "encoding": "UTF-16"})
    spark.conf.set("spark.sql.files.maxPartitionBytes", "16k")
    try:
        read = read_source(spark, table, [str(folder / "1.csv"), str(folder / "2.csv")], "source.events", NEEDED)
        assert read.rdd.getNumPartitions() > 3
        found = map_events(read, table).orderBy("source_file", "source_row").collect()
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert [row.user_id for row in found] == [*[f"u{n}" for n in range(2000)], "v, w"]
    assert {row.context["shop"] for row in found} == {"north"} and not any(row["_reasons"] for row in found)


def test_json_lines_of_two_orders_whose_types_differ_and_folders(spark, tmp_path):
    line = f'{{"item": "x", "at": "{AT}", "more": %s}}\n'
    folder = tmp_path / "raw" / "user=ann"
    folder.mkdir(parents=True)
    files = {"1.json": (MARK + line % '{"a": 1}').encode("utf-16-le"), "2.json": (line % "7").encode("utf-16-be")}
    found = rows(spark, folder, files, path=tmp_path / "raw", format="json", options={"encoding": "UTF-16"},
                 columns={"user_id": "user", "item_id": "item", "event_time": "at"})  # fmt: skip
    assert [(user, context) for user, _, _, context, _, _ in found] == [
        ("ann", {"more": '{"a":"1"}'}), ("ann", {"more": "7"}),
    ]  # fmt: skip


def test_bytes_that_are_no_text_in_the_declared_encoding_refuse_their_row(spark, tmp_path):
    csv = f"user,item,at,stars\nann,\x81,{AT},5\nbob,x,{AT},5\n".encode("latin-1")
    lines = f'{{"user": "ann", "item": "\x81", "at": "{AT}"}}\n{{"item": "x", "at": "{AT}"}}\n'.encode("latin-1")
    for name, content in (("csv", csv), ("json", lines)):
        found = rows(spark, tmp_path / name, {"1": content}, format=name, options={"charset": "windows-1252"})
        assert [reasons for *_, reasons, _ in found] == [["invalid_utf8"], []]


@pytest.mark.parametrize("name", ["nonsense", "no such one"])
def test_an_encoding_that_java_does_not_know_is_named(spark, tmp_path, name):
    with pytest.raises(ConfigError, match=rf"^source\.events\.options\.encoding: Java knows no `{name}`; say UTF-16"):
        rows(spark, tmp_path / "raw", {"1.csv": CSV.encode()}, options={"encoding": name})


@pytest.mark.parametrize("name", ["UTF-32", "UTF_32LE", "cp037", "x-UTF-16LE-BOM", "x-JISAutoDetect"])
def test_an_encoding_whose_lines_end_otherwise_is_named(spark, tmp_path, name):
    with pytest.raises(ConfigError, match=rf"^source\.events\.options\.encoding: `{name}` is not read: .* to UTF-8$"):
        rows(spark, tmp_path / "raw", {"1.csv": CSV.encode()}, options={"encoding": name})


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("options", [{}, {"encoding": "UTF-16"}])
def test_utf_32_is_called_by_its_name(spark, tmp_path, encoding, options):
    files = {"1.csv": (MARK + CSV).encode(encoding)}
    with pytest.raises(InputError, match=r"^source\.events\.path: .*/1\.csv is UTF-32: convert it to UTF-8$"):
        rows(spark, tmp_path / "raw", files, options=options)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_that_nobody_declared_is_refused_with_what_to_declare(spark, tmp_path, encoding):
    files = {"1.csv": CSV.encode(encoding)}
    with pytest.raises(InputError, match=r"^source\.events\.path: .*/1\.csv is UTF-16: set options\.encoding to UTF-16$"):
        rows(spark, tmp_path / "raw", files)
    found = rows(spark, tmp_path / "raw", {**files, "2.csv": CSV.encode()})
    raw = "is UTF-16: set options.encoding to UTF-16\n" + CSV
    assert [row for row in found if row[4] == ["invalid_utf8"]] == [(None, None, None, {}, ["invalid_utf8"], raw)]
    assert [row[0] for row in found] == [None, "ann", "bob", "short"]


@pytest.mark.parametrize(("declared", "encoding"), [(None, "utf-8"), (None, "utf-8-sig"), ("UTF-16", "utf-16"),
                                                    ("UTF-16LE", "utf-16"), ("windows-1252", "cp1252")])  # fmt: skip
def test_json_documents_over_many_lines(spark, tmp_path, declared, encoding):
    texts = {"1.json": DOCUMENT, "2.json": CUT, "3.json": " \n", "4.json": "[]", "5.json": '{"user": "cat", "item": "y"}'}
    files = {name: text.encode(encoding) for name, text in texts.items()}
    options = {"multiLine": True, **({"encoding": declared} if declared else {})}
    assert rows(spark, tmp_path / "raw", files, format="json", options=options) == [
        ("ann", "caf\u00e9", 5, {"at_home": '{"yes":"true"}'}, [], None),
        ("bob", None, None, {}, ["item_id_missing"], f'{{"at":"{AT}","user":"bob"}}'),
        (None, None, None, {}, ["malformed_row"], MARK * (encoding == "utf-8-sig") + CUT),
        ("cat", "y", None, {}, ["event_time_unparsable"], '{"item":"y","user":"cat"}'),
    ]


def test_rows_within_a_document_by_explode(spark, tmp_path):
    document = f'{{"page": 1,\n "rows": [\n{{"user": "ann", "item": "x", "at": "{AT}", "stars": 5}},\n{{"item": "y"}}]\n}}'
    named = {
        "options": {"multiline": True}, "explode": {"row": "rows"},
        "derive": {"user_id": "row.user", "item_id": "row.item", "event_time": "row.at", "value": "row.stars"},
    }  # fmt: skip
    found = rows(spark, tmp_path / "raw", {"1.json": document.encode()}, format="json", columns={}, **named)
    assert [row[:3] for row in found] == [("ann", "x", 5.0), (None, "y", None)]


OTHERWISE = r"^source\.events\.path: .*/1\.json "


@pytest.mark.parametrize(
    "text",
    [DOCUMENT, f'[{{"user": "ann", "item": "x", "at": "{AT}"}},\n{{"item": "y"}}]\n', '{\n"item": "x"\n}\n', "\n[\n]"],
)
def test_a_document_where_lines_are_declared_is_refused_with_what_to_declare(spark, tmp_path, text):
    with pytest.raises(InputError, match=OTHERWISE + r"is one JSON document over many lines: set options\.multiline"):
        rows(spark, tmp_path / "raw", {"1.json": text.encode()}, format="json")


def test_a_document_among_files_of_lines_is_one_refused_row(spark, tmp_path):
    line = f'{{"user": "ann", "item": "x", "at": "{AT}", "stars": 5}}\n'
    files = {"1.json": DOCUMENT.encode(), "2.json": f"[{line.strip()}, {line.strip()}]\n{line}".encode(), "3.json": b"{\n"}
    files["4.json"] = ("{\n" + line).encode()  # what a cut line leaves
    files["5.json"] = ("{\n" + line.replace("ann", "a" * HEAD)).encode()
    found = rows(spark, tmp_path / "raw", files, format="json")
    remedy = "is one JSON document over many lines: set options.multiline to true\n"
    good = ("ann", "x", 5.0, {}, [], None)
    assert found == [
        (None, None, None, {}, ["json_document"], remedy + DOCUMENT),
        good, good, good,
        (None, None, None, {}, ["json_document"], remedy + "{\n"),
        (None, None, None, {}, ["malformed_row"], "{"),
        good,
        (None, None, None, {}, ["malformed_row"], "{"),
        ("a" * HEAD, *good[1:]),
    ]  # fmt: skip


def test_one_long_line_is_no_document_wherever_the_bytes_looked_at_end(spark, tmp_path):
    one = f'{{"user": "ann", "item": "x", "at": "{AT}"}}'
    files = {f"{n}.json": f"[{' ' * n}{', '.join([one] * 300)}]\n".encode() for n in range(len(one) + 2)}
    assert any(content[:HEAD].endswith(b"},") for content in files.values())
    assert any(content[:HEAD].endswith(b"}, ") for content in files.values())
    table = source(tmp_path, format="json")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = open_all(spark, table, [str(tmp_path / name) for name in files], "source.events")
    assert {one.fault for one in found} == {None}


def test_lines_where_documents_are_declared_are_refused_not_read_up_to_the_first(spark, tmp_path):
    files = {"1.json": f'{{"item": "x", "at": "{AT}"}}\n{{"item": "y", "at": "{AT}"}}\n'.encode()}
    with pytest.raises(InputError, match=OTHERWISE + r"holds a JSON document a line: leave options\.multiline out"):
        rows(spark, tmp_path / "raw", files, format="json", options={"multiline": True})
    files["2.json"] = f'{{"item": "z",\n "at": "{AT}"}}\n'.encode()
    found = rows(spark, tmp_path / "raw", files, format="json", options={"multiline": True})
    assert [(item, reasons) for _, item, _, _, reasons, _ in found] == [(None, ["json_lines"]), ("z", [])]


def test_long_lines_where_documents_are_declared_are_told_too(spark, tmp_path):
    long = f'{{"item": "x", "at": "{AT}", "more": "{"a" * HEAD}"}}\n'
    files = {"1.json": (long * 2).encode(), "2.json": (MARK + long * 2).encode("utf-16"), "3.json": long.encode()}
    for options in ({}, {"encoding": "UTF-16"}):
        kept = {name: content for name, content in files.items() if (name == "2.json") == bool(options)}
        kept["3.json"] = long.encode("utf-16" if options else "utf-8")
        found = rows(spark, tmp_path / f"raw{len(kept)}", kept, format="json", options={"multiline": True, **options})
        assert [reasons for *_, reasons, _ in found] == [["json_lines"], []]


def test_a_document_larger_than_declared_is_refused_whole(spark, tmp_path):
    files = {"1.json": DOCUMENT.encode(), "2.json": (DOCUMENT + " " * 1000).encode()}
    limits = {"document_bytes": 500}
    found = rows(spark, tmp_path / "raw", files, format="json", options={"multiline": True}, limits=limits)
    assert [row[4] for row in found] == [[], ["item_id_missing"], ["file_too_large"]]
