"""Bad input (numbers of shared/faults.md), through the ingest stage, with every row counted."""

import gzip
import resource
import time

import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError, InputError

from tests.faults.raw import AT, HEADER, RAW_BOUND, Shop

pytestmark = pytest.mark.spark


@pytest.fixture
def shop(spark, tmp_path):
    return Shop(spark, tmp_path)


def test_fault_16_rows_too_short_or_too_long_keep_their_raw_text(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\nann,y,{AT}\nann,z,{AT},5,more\n")
    assert shop.ingest() == (3, 1, 2, 0)
    assert shop.refused() == [
        ("1.csv", ["malformed_row"], f"ann,y,{AT}"),
        ("1.csv", ["malformed_row"], f"ann,z,{AT},5,more"),
    ]


def test_fault_17_files_without_header_and_saved_pages_are_refused_whole(shop):
    page = "<!DOCTYPE html>\n<html><body>502 Bad Gateway, " + "try again, " * 1000 + "</body></html>\n"
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n")
    shop.write("2.csv", f"bob,y,{AT},4\nbob,z,{AT},4\n")
    shop.write("3.csv", page)
    shop.write("4.csv", "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>")
    assert shop.ingest() == (4, 1, 3, 0)
    assert shop.good("user_id") == [("ann",)]
    assert shop.refused() == [
        ("2.csv", ["header_missing"], f"bob,y,{AT},4\nbob,z,{AT},4\n"),
        ("3.csv", ["html_page"], page[:RAW_BOUND]),
        ("4.csv", ["html_page"], "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ]
    # Later, alone in its batch, such a file stops nobody: the mapping has fitted others.
    shop.write("5.csv", f"cat,y,{AT},4\n")
    assert shop.ingest()[1:3] == (1, 4)
    assert [row[:2] for row in shop.refused()][-1] == ("5.csv", ["header_missing"])


def test_fault_17_files_by_names_of_any_characters(shop):
    for name in ("1.csv", "[1].csv", "{1,2}.csv", "*.csv", "?.csv", "100%.csv", "100%25.csv", "a+b c.csv"):
        shop.write(name, f"{HEADER}{name.replace(',', ' ')},x,{AT},5\n")
    for name in ("200%.csv", "200%25.csv", "200%+ [1].csv"):
        shop.write(name, f"<html>{name}</html>")
    assert shop.ingest() == (11, 8, 3, 0)
    assert [file for file, _, _ in shop.refused()] == ["200%+ [1].csv", "200%.csv", "200%25.csv"]


def test_fault_17_a_name_that_could_stand_for_earlier_files_is_a_file_of_its_own(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n")
    assert shop.ingest() == (1, 1, 0, 0)
    shop.write("[1].csv", f"{HEADER}bob,x,{AT},5\n")
    assert shop.ingest()[1:] == (2, 0, 0)
    assert shop.good("user_id") == [("ann",), ("bob",)]


def test_fault_17_a_file_beside_folders_of_keys_is_read_and_stays(shop):
    (shop.raw / "month=02").mkdir()
    shop.write("old.csv", f"{HEADER}ann,x,{AT},5\nbob,x,{AT},5\n")
    shop.write("month=02/1.csv", f"{HEADER}cat,x,{AT},5\n")
    assert shop.ingest() == (3, 3, 0, 0)
    assert shop.good("user_id", "context") == [("ann", {}), ("bob", {}), ("cat", {"month": "02"})]


def test_fault_17_a_header_that_no_file_has_is_a_mistake_in_the_config(shop):
    shop.write("1.csv", f"ann,x,{AT},5\n")
    with pytest.raises(InputError, match=r"columns\.user_id: no column `user`"):
        shop.ingest()
    assert not shop.lake.exists(Tables.BRONZE_EVENTS)


@pytest.mark.slow
def test_fault_18_bytes_that_are_no_text_and_values_too_large_are_refused_a_row(shop):
    at = AT.encode()
    lines = [
        b"\xef\xbb\xbf" + HEADER.encode(),
        b"caf\xe9,x,%s,5\n" % at,
        b"nul\0,x,%s,5\n" % at,
        b"caf\xc3\xa9,x,%s,5\n" % at,
    ]
    shop.write("1.csv", b"".join(lines) + b"ann,x,%s,5\n" % at + b"long,%s,%s,5\n" % (b"z" * 10_000_000, at))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert shop.ingest() == (5, 2, 3, 0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 200_000  # KiB, of the Python driver
    assert shop.good("user_id") == [("ann",), ("café",)]
    found = sorted(reasons for _, reasons, _ in shop.refused())
    assert found == [["field_too_large"], ["invalid_utf8"], ["nul_byte"]]


def test_fault_18_a_row_of_very_many_columns_is_refused_and_one_of_more_is_named(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n{',' * 200_000}\nbob,x,{AT},5\n")
    assert shop.ingest() == (3, 2, 1, 0)
    assert shop.refused() == [("1.csv", ["malformed_row"], "," * RAW_BOUND)]
    shop.write("2 a.csv", f"{HEADER}cat,x,{AT},5\nsecret,{',' * 300_000}\n")
    with pytest.raises(InputError, match=r"/2 a\.csv has a row of more than 262,144 columns: mend the file, or") as said:
        shop.ingest()
    assert "secret" not in str(said.value)


@pytest.mark.slow
def test_fault_18_a_line_of_hundreds_of_megabytes_refuses_its_file(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n")
    with (shop.raw / "2.csv").open("wb") as file:
        file.write(f"{HEADER}bob,x,{AT},5\n".encode())
        for _ in range(200):
            file.write(b"z" * (1 << 20))
    assert shop.ingest() == (2, 1, 1, 0)
    assert [row[:2] for row in shop.refused()] == [("2.csv", ["file_too_large"])]


@pytest.mark.slow
def test_fault_18_json_of_a_thousand_levels_and_the_like(shop):
    def line(user):
        return b'{"user": "%s", "item": "x", "at": "%s", "stars": 5}\n' % (user, AT.encode())

    deep = b'{"user":' + b'{"a":' * 1000 + b"1" + b"}" * 1001 + b"\n"
    arrays = b'{"user":' + b"[" * 1000 + b"]" * 1000 + b"}\n"
    shop.write("1.json", b"\xef\xbb\xbf" + line(b"ann") + deep + arrays + line(b"caf\xe9") + line(b"n\\u0000l"))
    shop.write("2.json", line(b"bob") + line(b"z" * 10_000_000))
    shop.write("3.json", b"<html>no</html>")
    assert shop.ingest(format="json") == (8, 2, 6, 0)
    assert shop.good("user_id") == [("ann",), ("bob",)]
    assert sorted(reasons for _, reasons, _ in shop.refused()) == [
        ["field_too_large"],
        ["html_page"],
        ["malformed_row"],
        ["malformed_row"],
        ["malformed_row", "invalid_utf8"],
        ["nul_byte"],
    ]


@pytest.mark.slow
def test_fault_18_compressed_files_that_are_cut_or_would_burst_are_refused_whole(shop):
    plain = f"{HEADER}ann,x,{AT},5\n".encode()
    shop.write("1.csv.gz", gzip.compress(plain))
    with gzip.open(shop.raw / "2.csv.gz", "wb") as bomb:
        bomb.write(HEADER.encode())
        for _ in range(400):
            bomb.write(b"a" * 1_000_000)
    shop.write("3.csv.gz", gzip.compress(plain * 100)[:-12])
    shop.write("4.csv.gz", b"this is not gzip")
    shop.write("5.csv.gz", gzip.compress("\ufeff".encode() + plain.replace(b"ann", b"bob")))
    several = f"{HEADER}" + "".join(f"cat,x{place},{AT},5\n" for place in range(20_000))
    for name in ("6.csv.gz", "7.csv.gz", "8.csv.gz", "9.csv.gz"):  # looked through at the same time
        shop.write(name, gzip.compress(several.replace("cat", name).encode()))
    assert shop.ingest() == (80_005, 80_002, 3, 0)
    assert [(file, reasons) for file, reasons, _ in shop.refused()] == [
        ("2.csv.gz", ["compressed_ratio"]),
        ("3.csv.gz", ["unreadable_file"]),
        ("4.csv.gz", ["unreadable_file"]),
    ]


@pytest.mark.slow
def test_fault_19_a_new_column_is_kept_and_the_old_table_stays_readable(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n")
    assert shop.ingest() == (1, 1, 0, 0)
    shop.write("2.csv", f"user,item,at,stars,shop\nbob,y,{AT},five,north\ncat,y,{AT},4,north\n")
    assert shop.ingest()[2] == 1  # the type of `stars` drifted in one row
    assert shop.good("user_id", "context") == [("ann", None), ("cat", {"shop": "north"})]
    assert [reasons for _, reasons, _ in shop.refused()] == [["value_not_a_number"]]


def test_fault_19_a_new_column_is_an_error_where_drift_is_refused_and_nothing_is_written(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},5\n")
    assert shop.ingest(drift="refuse") == (1, 1, 0, 0)
    shop.write("2.csv", f"user,item,at,stars,shop\nbob,y,{AT},4,north\n")
    with pytest.raises(InputError, match=r"/2\.csv has a column `shop` that nothing declares"):
        shop.ingest(drift="refuse")
    assert (shop.good("user_id"), shop.refused()) == ([("ann",)], [])


@pytest.mark.slow
def test_fault_19_a_type_that_differs_between_parquet_files_is_text_or_an_error(shop, spark):
    row = "SELECT 'ann' user, {} item, timestamp'2024-01-01 10:00:00' at, 5 stars"
    for name, item in (("1", "7"), ("2", "'x'"), ("3", "9L")):
        spark.sql(row.format(item)).coalesce(1).write.parquet(str(shop.raw / name))
    with pytest.raises(InputError, match=r"^source\.events\.drift: `item` is string in .*/2/part-.*, but int in .*/1/part-"):
        shop.ingest(format="parquet", drift="refuse")
    assert shop.ingest(format="parquet") == (3, 3, 0, 0)
    assert shop.good("item_id") == [("7",), ("9",), ("x",)]


def test_fault_20_negative_quantities_prices_and_cancellations_are_tagged_by_rule(shop):
    shop.write(
        "1.csv",
        "InvoiceNo,user,item,at,stars,price\n"
        f"1,ann,x,{AT},5,1\nC2,ann,x,{AT},-5,1\n3,ann,y,{AT},-1,0\n4,ann,z,{AT},1,-9\n5,test,z,{AT},1,1\n6,ann,,{AT},1,-1\n",
    )
    rules = [
        {"code": "cancellation", "when": "InvoiceNo LIKE 'C%'"},
        {"code": "quantity_not_positive", "when": "stars <= 0"},
        {"code": "price_not_positive", "when": "price <= 0"},
        {"code": "price_absurd", "when": "price < -5", "action": "quarantine"},
    ]
    fields = {"stars": {"type": "int"}, "price": {"type": "double"}}
    assert shop.ingest(fields=fields, rules=rules) == (6, 4, 2, 0)
    seen = dict(shop.good("context['InvoiceNo']", "tags"))
    assert seen == {
        "1": [],
        "C2": ["cancellation", "quantity_not_positive"],
        "3": ["quantity_not_positive", "price_not_positive"],
        "5": [],
    }
    assert sorted(reasons for _, reasons, _ in shop.refused()) == [["item_id_missing"], ["price_absurd"]]


def test_fault_23_times_of_1970_of_the_future_and_of_no_number_are_refused(shop):
    times = ["0", "1970-01-01", "2999-01-01", "NaN", "Infinity", "-1e300", "99999999999999999999", ""]
    shop.write("1.csv", HEADER + "".join(f"ann,x{place},{at},5\n" for place, at in enumerate(times)) + f"bob,x,{AT},5\n")
    assert shop.ingest() == (9, 1, 8, 0)
    assert {reason for _, reasons, _ in shop.refused() for reason in reasons} <= {
        "event_time_implausible",
        "event_time_unparsable",
    }


@pytest.mark.slow
def test_fault_23_daylight_saving_moves_no_event_past_another(shop):
    """An hour of purchases around the night in which the clocks go back, and around that in which they go forward."""
    shop.write("1.csv", f"{HEADER}a,x,2024-10-27 01:59:00,1\na,y,2024-10-27 03:00:00,1\na,z,2024-10-27T00:30:00Z,1\n")
    shop.write("2.csv", f"{HEADER}b,x,2024-03-31 01:59:00,1\nb,y,2024-03-31 03:00:00,1\nb,z,2024-03-31 02:15:00,1\n")
    assert shop.ingest(time_zone="Europe/Berlin") == (6, 6, 0, 0)
    assert shop.good("user_id", "item_id", "cast(event_time AS string)") == [
        ("a", "x", "2024-10-26 23:59:00"),
        ("a", "y", "2024-10-27 02:00:00"),
        ("a", "z", "2024-10-27 00:30:00"),
        ("b", "x", "2024-03-31 00:59:00"),
        ("b", "y", "2024-03-31 01:00:00"),
        ("b", "z", "2024-03-31 01:15:00"),  # a time that the clocks skipped
    ]


def test_fault_14_the_same_rows_in_numbers_of_another_type_count_once(shop, spark):
    """pandas writes whole numbers as floats where one is missing; types also widen when files are read together."""
    shop.named = {"format": "parquet"}
    rows = [(17850, "x", "2024-01-01 10:00:00", 5), (None, "y", "2024-01-01 11:00:00", 4), (12345678, "z", AT, 1)]

    def write(name, types):
        named = f"user {types[0]}, item string, at string, stars {types[1]}"
        data = [tuple(None if v is None else float(v) if t in ("float", "double") else v for v, t in
                      zip(row, (types[0], "string", "string", types[1]), strict=True)) for row in rows]  # fmt: skip
        spark.createDataFrame(data, named).coalesce(1).write.parquet(str(shop.raw / name))

    write("1.parquet", ("int", "int"))
    assert shop.ingest() == (3, 3, 0, 0)
    write("2.parquet", ("double", "bigint"))
    write("3.parquet", ("bigint", "float"))
    assert shop.ingest() == (9, 3, 0, 6), "of all runs so far"
    assert shop.good("user_id") == [(None,), ("12345678",), ("17850",)]


def test_equal_elements_of_one_row_count_once(shop):
    shop.named = {"columns": {"user_id": "user", "event_time": "at"}, "explode": {"one": "split(shown, ' ')"}}
    shop.named["derive"] = {"item_id": "one"}
    shop.write("1.csv", f"user,at,shown\nann,{AT},tea tea mug\nbob,{AT},tea\n")
    assert shop.ingest() == (4, 3, 0, 1)
    assert shop.good("user_id", "item_id") == [("ann", "mug"), ("ann", "tea"), ("bob", "tea")]


def test_a_number_too_large_for_a_double_is_no_number(shop):
    shop.write("1.csv", f"{HEADER}ann,x,{AT},1e999\nbob,x,{AT},1e300\n")
    assert shop.ingest() == (2, 1, 1, 0)


def test_fault_23_repeats_are_met_where_the_machines_clocks_go_back(shop, monkeypatch):
    """An hour that the driver's zone shows twice, in rows without a user, delivered twice."""
    lines = "".join(f",x,2024-10-27 0{hour}:{minute:02d}:00,5\n" for hour in range(5) for minute in (3, 23, 43))
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    try:
        shop.write("1.csv", HEADER + lines)
        assert shop.ingest() == (15, 15, 0, 0)
        shop.write("2.csv", HEADER + lines)
        assert shop.ingest() == (30, 15, 0, 15), "of both runs"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_fault_43_personal_columns_that_no_file_has_are_an_error_and_no_message_shows_a_row(shop):
    shop.named = {"personal": {"e-mail": "drop"}}
    shop.write("1.csv", f"user,item,at,stars,email\nann,x,{AT},5,ann@example.com\n")
    with pytest.raises(
        ConfigError, match=r"^source\.events\.personal: no file has a column `e-mail`; did you mean `email`\?"
    ):
        shop.ingest()
    assert not (shop.folder / "lake" / "bronze").exists()
    shop.named = {"personal": {"email": "drop"}}
    shop.write("1.csv", f"ann,x,{AT},5,ann@example.com\n")
    with pytest.raises(InputError) as refused:
        shop.ingest()
    assert "ann" not in str(refused.value).replace(str(shop.folder), "")
