"""What a source declares, on rows shown in full: types, limits, SQL, rules, drift, pseudonyms, time zones."""

import hashlib
import hmac
import logging

import pytest
from lakerec.errors import ConfigError, EnvironmentProblem, InputError
from lakerec.ingest.contract import check_contract
from lakerec.ingest.mapping import map_events
from lakerec.ingest.personal import KEY
from lakerec.ingest.read import read_source

from tests.ingest.sources import NEEDED, mapped, source

pytestmark = pytest.mark.spark
HEADER = "user,item,at,stars,price,country\n"
AT = "2024-01-01 10:00:00"


def reasons(rows):
    return [row["_reasons"] for row in rows]


def test_a_row_that_breaks_what_a_field_declares_is_refused_with_each_reason(spark, tmp_path):
    fields = {
        "price": {"type": "double", "required": True, "min": 0, "max": 100},
        "stars": {"type": "int", "allowed": [1, 5]},
        "country": {"allowed": ["UK", "FR"]},
        "item": {"pattern": "^[a-z]$"},
        "at": {"type": "timestamp", "min": "2020-01-01"},
    }
    text = HEADER + (
        f"ann,x,{AT},5,2.50,UK\n"
        f"ann,x,{AT},5,cheap,UK\n"
        f"ann,x,{AT},5,,UK\n"
        f"ann,x,{AT},5,-1,UK\n"
        f"ann,x,{AT},5,1000,UK\n"
        f"ann,x,{AT},2,1,UK\n"
        f"ann,x,{AT},1.5,1,UK\n"
        f"ann,x,{AT},5,1,DE\n"
        f"ann,x9,{AT},5,NaN,DE\n"
        "ann,x,2019-01-01,5,1,\n"
    )
    assert reasons(mapped(spark, tmp_path / "events.csv", text, fields=fields)) == [
        [],
        ["price_not_double"],
        ["price_missing"],
        ["price_below_min"],
        ["price_above_max"],
        ["stars_not_allowed"],
        ["stars_not_int"],
        ["country_not_allowed"],
        ["price_not_double", "country_not_allowed", "item_pattern"],
        ["at_below_min"],
    ]


def test_declared_fields_stay_in_the_context_as_they_were_written(spark, tmp_path):
    fields = {"price": {"type": "double"}, "absent": {"type": "int"}}
    (row,) = mapped(
        spark, tmp_path / "e.csv", f"{HEADER}ann,x,{AT},5,2.50,UK\n", fields=fields, derive={"cheap": "price < 3"}
    )
    assert row.context == {"price": "2.50", "country": "UK", "cheap": "true"}


def test_derived_columns_see_types_and_map_themselves_by_name(spark, tmp_path):
    rows = mapped(
        spark,
        tmp_path / "events.csv",
        f"{HEADER}ann,x,{AT},2,8,UK\nann,y,{AT},0,8,UK\nann,z,{AT},2,free,UK\n",
        fields={"stars": {"type": "int"}, "price": {"type": "double"}},
        derive={"event_type": "if(stars > 1, 'many', 'few')", "each": "price / stars", "twice": "each * 2"},
    )
    assert [row.event_type for row in rows] == ["many", "few", "many"]
    # Neither a division by zero nor text in place of a number ends the job.
    assert [(row.context.get("each"), row.context.get("twice")) for row in rows] == [
        ("4.0", "8.0"),
        (None, None),
        (None, None),
    ]
    assert reasons(rows) == [[], [], ["price_not_double"]]


def test_a_change_of_derived_columns_leaves_the_digest(spark, tmp_path):
    text = f"{HEADER}ann,x,{AT},2,8,UK\n"
    plain, derived = (mapped(spark, tmp_path / "e.csv", text, derive=derive)[0] for derive in ({}, {"half": "stars / 2"}))
    assert (plain.digest, plain.event_id) == (derived.digest, derived.event_id)


def test_rules_tag_refuse_or_leave_out(spark, tmp_path):
    rules = [
        {"code": "free", "when": "price = 0"},
        {"code": "abroad", "when": "country <> 'UK'", "action": "tag"},
        {"code": "test_user", "when": "user LIKE 'test%'", "action": "drop_with_count"},
        {"code": "negative", "when": "stars < 0", "action": "quarantine"},
    ]
    rows = mapped(
        spark,
        tmp_path / "events.csv",
        HEADER + f"ann,x,{AT},1,0,FR\nann,x,{AT},1,,\ntest1,x,{AT},1,1,UK\ntest2,x,{AT},-1,1,UK\ntest3,,{AT},1,1,UK\n",
        fields={"price": {"type": "double"}, "stars": {"type": "int"}},
        rules=rules,
    )
    assert [(row.tags, row["_reasons"], row["_dropped"]) for row in rows] == [
        (["free", "abroad"], [], None),
        ([], [], None),
        ([], [], "test_user"),
        ([], ["negative"], "test_user"),
        ([], ["item_id_missing"], "test_user"),
    ]


def test_explode_gives_a_row_an_element(spark, tmp_path):
    text = f"user,at,shown\nann,{AT},x-1 y-0\nbob,{AT},\n"
    rows = mapped(
        spark,
        tmp_path / "events.csv",
        text,
        columns={"user_id": "user", "event_time": "at"},
        explode={"one": "split(shown, ' ')"},
        derive={"item_id": "split_part(one, '-', 1)", "event_type": "if(one LIKE '%-1', 'click', 'impression')"},
    )
    assert [(row.user_id, row.item_id, row.event_type) for row in rows if not row["_reasons"]] == [
        ("ann", "x", "click"),
        ("ann", "y", "impression"),
    ]
    assert len({row.digest for row in rows}) == 3
    assert [(row.user_id, row["_reasons"]) for row in rows if row["_reasons"]] == [("bob", ["item_id_missing"])]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"derive": {"half": "stars /"}}, r"^source\.events\.derive\.half: Spark cannot use this: "),
        ({"derive": {"half": "halve(stars)"}}, r"^source\.events\.derive\.half: Spark cannot use this: .*`halve`"),
        ({"rules": [{"code": "odd", "when": "stars % "}]}, r"^source\.events\.rules\.odd: "),
        ({"explode": {"one": "split("}}, r"^source\.events\.explode\.one: "),
        ({"fields": {"item": {"pattern": "["}}}, r"^source\.events\.fields\.item\.pattern: "),
    ],
)
def test_sql_that_spark_cannot_read_is_one_line_before_a_file_is_read(spark, capfd, named, message):
    with pytest.raises(ConfigError, match=message) as raised:
        check_contract(spark, source("events.csv", **named), "source.events")
    assert "\n" not in str(raised.value)
    assert "Traceback" not in capfd.readouterr().err
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ({"derive": {"half": "strs / 2"}}, "derive.half"),
        ({"derive": {"many": "explode(array(1, 2))"}}, "derive.many"),
        ({"derive": {"rows": "count(*)"}}, "derive.rows"),
        ({"rules": [{"code": "odd", "when": "strs > 1"}]}, "rules.odd"),
    ],
)
def test_sql_that_does_not_fit_the_files_is_one_line(spark, tmp_path, named, key):
    with pytest.raises(ConfigError, match=rf"^source\.events\.{key}: Spark cannot use this: ") as raised:
        mapped(spark, tmp_path / "events.csv", f"{HEADER}ann,x,{AT},2,8,UK\n", **named)
    assert "\n" not in str(raised.value)


def test_tags_are_for_events(spark):
    with pytest.raises(ConfigError, match=r"^source\.items\.rules\.odd: only events have tags"):
        check_contract(spark, source("items.csv", rules=[{"code": "odd", "when": "true"}]), "source.items")


def test_personal_columns_become_the_hmac_of_their_text_or_disappear(spark, tmp_path, monkeypatch, caplog):
    key = "a secret of more bytes than one block of SHA-256 has, which HMAC shortens first, " * 2
    monkeypatch.setenv(KEY, key)
    personal = {"user": "hash", "email": "drop", "card": "hash"}
    text = (
        "user,item,at,stars,email,card\n"
        f"ann, x,{AT},5,ann@example.com, 4711 \n"
        f"ann,,{AT},5,ann@example.com,\n"
        f"ann,x,{AT},5,ann@example.com\n"
    )
    path = tmp_path / "events.csv"
    with caplog.at_level(logging.DEBUG):
        rows = mapped(spark, path, text, personal=personal, fields={"user": {"pattern": "^[a-z]+$"}})
    ann, card = (hmac.new(key.encode(), text, hashlib.sha256).hexdigest() for text in (b"ann", b"4711"))
    assert [(row.user_id, row.context) for row in rows[:2]] == [(ann, {"card": card}), (ann, {})]
    assert reasons(rows) == [[], ["item_id_missing"], ["malformed_row"]]
    assert rows[1]["_raw"] == f'{{"user":"{ann}","at":"{AT}","stars":"5"}}'
    assert rows[2]["_raw"] == "43 characters, not kept: the source has personal columns"
    table = source(path, personal=personal)
    plan = map_events(read_source(spark, table, [str(path)], "source.events", NEEDED), table)
    shown = plan._jdf.queryExecution().toString() + caplog.text
    pads = [bytes(byte ^ pad for byte in hashlib.sha256(key.encode()).digest()).hex() for pad in (0x36, 0x5C)]
    for secret in (key, "ann@example.com", *pads):
        assert secret.lower() not in shown.lower()


def test_a_key_that_fits_a_block_is_hmac_too(spark, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "clé")
    (row,) = mapped(spark, tmp_path / "e.csv", f"{HEADER}anné,x,{AT},5,1,UK\n", personal={"user": "hash"})
    assert row.user_id == hmac.new("clé".encode(), "anné".encode(), hashlib.sha256).hexdigest()


def test_pseudonyms_need_a_key(spark, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(EnvironmentProblem, match=rf"^source\.events\.personal needs a secret key: .* {KEY}$"):
        check_contract(spark, source("events.csv", personal={"user": "hash"}), "source.events")
    check_contract(spark, source("events.csv", personal={"email": "drop"}), "source.events")


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_refused_drift_names_file_and_column(spark, tmp_path, format_):
    frame = spark.sql(f"SELECT 'ann' user, 'x' item, '{AT}' at, '5' stars, 'UK' country")
    strict = {"drift": "refuse", "format": format_, "fields": {"country": {}}}
    for name, rows in {"1": frame, "2": frame.selectExpr("*", "'n' AS new"), "3": frame.drop("country")}.items():
        rows.coalesce(1).write.format(format_).options(header=True).save(str(tmp_path / name))

    def read(*names):
        files = sorted(str(path) for name in names for path in (tmp_path / name).glob("part-*"))
        return read_source(spark, source(tmp_path, **strict), files, "source.events", NEEDED)

    assert read("1").count() == 1
    with pytest.raises(InputError, match=r"^source\.events\.drift: .*/2/part-.* has a column `new` that nothing declares"):
        read("1", "2")
    with pytest.raises(InputError, match=r"^source\.events\.drift: .*/3/part-.* lacks the declared column `country`"):
        read("1", "3")


def test_refused_drift_allows_our_names_of_the_same_source_only(spark, tmp_path):
    (tmp_path / "1.csv").write_text("user,item,at,stars,price,item_id\nann,x,2024-01-01,5,2,y\n")
    files, table = [str(tmp_path / "1.csv")], source(tmp_path, drift="refuse")
    assert read_source(spark, table, files, "source.events", NEEDED).count() == 1
    declared = {"columns": {"item_id": "item"}, "fields": {"user": {}, "at": {}, "stars": {}}}
    with pytest.raises(InputError, match=r"^source\.items\.drift: .*/1\.csv has a column `price` that nothing declares"):
        read_source(spark, source(tmp_path, drift="refuse", **declared), files, "source.items", ("item_id",))


@pytest.mark.parametrize(
    ("written", "time_format", "expected"),
    [
        ("2024-01-15 12:00:00", None, "2024-01-15 11:00:00"),
        ("2024-07-15T12:00", None, "2024-07-15 10:00:00"),
        ("2024-07-15 12:00:00+00:00", None, "2024-07-15 12:00:00"),
        ("2024-07-15T12:00:00Z", None, "2024-07-15 12:00:00"),
        ("2024-07-15", None, "2024-07-14 22:00:00"),
        ("1721044800", None, "2024-07-15 12:00:00"),
        ("15.07.2024 12:00", "dd.MM.yyyy HH:mm", "2024-07-15 10:00:00"),
        ("15.07.2024 12:00 +0000", "dd.MM.yyyy HH:mm Z", "2024-07-15 12:00:00"),
        ("2024-03-31 02:30:00", None, "2024-03-31 01:30:00"),  # the clocks skipped it: 03:30 summer time
        ("2024-10-27 02:30:00", None, "2024-10-27 00:30:00"),  # the clocks showed it twice: the first, summer time
    ],
)
def test_times_without_an_offset_are_of_the_declared_zone(spark, tmp_path, written, time_format, expected):
    text = f"user,item,at,stars\nann,x,{written},1\n"
    (row,) = mapped(spark, tmp_path / "e.csv", text, time_zone="Europe/Berlin", time_format=time_format)
    assert (str(row.event_time), row["_reasons"]) == (expected, [])


def test_times_of_parquet_are_moments_already_unless_they_have_no_zone(spark, tmp_path):
    for kind, expected in (("timestamp", "2024-07-15 12:00:00"), ("timestamp_ntz", "2024-07-15 10:00:00")):
        folder = tmp_path / kind
        spark.sql(f"SELECT 'ann' user, 'x' item, 5 stars, {kind}'2024-07-15 12:00:00' at").write.parquet(str(folder))
        table = source(folder, format="parquet", time_zone="Europe/Berlin")
        row = map_events(read_source(spark, table, [str(folder)], "source.events", NEEDED), table).first()
        assert str(row.event_time) == expected
