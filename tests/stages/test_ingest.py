"""Ingest over several runs, on raw files shown in full: what arrives again, late, empty, different or wrong."""

import logging
import time
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow as pa
import pytest
from lakerec.clean.items import latest
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.errors import ConfigError, ContractError, EmptyDataError, InputError
from lakerec.ingest.personal import KEY
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.loading import load_config
from lakerec.stages import arrivals, ingest
from lakerec.stages.base import Context
from lakerec.stages.log import LOGGER

pytestmark = pytest.mark.spark
HEADER = "user,item,at,stars\n"
COLUMNS = "{user_id: user, item_id: item, event_time: at, value: stars}"
CONFIG = """
name: shop
lake: {{root: {folder}/lake}}
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
spark: {{master: "local[2]", conf: {{spark.sql.shuffle.partitions: 2}}}}
source:
  events: {{path: {folder}/events, columns: {columns}, options: {{header: true}}}}
"""


@pytest.fixture
def shop(tmp_path):
    """A folder for raw events; a function that writes one of its files."""
    (tmp_path / "events").mkdir()

    def write(name, *lines, header=HEADER):
        (tmp_path / "events" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "events" / name).write_text(header + "".join(f"{line}\n" for line in lines))

    return write


def config(tmp_path, *overrides, columns=COLUMNS) -> Config:
    path = tmp_path / "shop.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, columns=columns))
    return load_config(path, overrides, {})


@pytest.fixture
def run(spark):
    """A function that ingests once, as a stage run that goes to its end: rows in, good, quarantined and repeated."""

    def once(config):
        lake, started, clock = Lake(spark, config.lake), datetime.now(UTC), time.monotonic()
        done = ingest.run(Context(config, spark, lake, None, None), {})
        figures = (done.rows_in, done.rows_out, done.rows_quarantined, done.rows_duplicate)
        row = (uuid4().hex, "ingest", "", "", {}, {}, *figures, time.monotonic() - clock, done.details, "", started, "")
        lake.append(spark.createDataFrame([row], CONTRACTS[Tables.RUNS].schema), Tables.RUNS, row[0], 1)
        return figures

    return once


def table(spark, tmp_path, name, *columns):
    lake = Lake(spark, load_config(tmp_path / "shop.yaml", (), {}).lake)
    return sorted(tuple(row) for row in lake.read(name).select(*columns).collect())


def test_rows_that_do_not_add_up_are_not_forgotten(spark, tmp_path, shop, monkeypatch, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5", "ann,y,2024-01-01 11:00:00,5")
    only_new = ingest.sort.only_new
    with monkeypatch.context() as patched:
        patched.setattr(ingest.sort, "only_new", lambda *arguments: only_new(*arguments).where("item_id = 'x'"))
        for _ in range(2):
            with pytest.raises(ContractError, match="events: 2 rows in, but 1 good"):
                run(config(tmp_path))
    assert table(spark, tmp_path, Tables.FILES, "source_file") == []


def test_rows_of_a_run_that_was_cut_short_are_counted_by_the_next(tmp_path, shop, run):
    """Events are read, then the items' mapping turns out wrong: the corrected run accounts for both."""
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5", "ann,x,2024-01-01 10:00:00,5", "ann,,2024-01-01 11:00:00,5")
    (tmp_path / "items.csv").write_text("id,name\nx,Tea\n")
    items = f"source.items={{path: {tmp_path}/items.csv, columns: {{item_id: ID, title: name}}}}"
    with pytest.raises(InputError, match="no column `ID`"):
        run(config(tmp_path, items))
    assert run(config(tmp_path, items.replace("ID", "id"))) == (4, 2, 1, 1)
    shop("day-2.csv", "bob,x,2024-01-02 10:00:00,5")
    assert run(config(tmp_path, items.replace("ID", "id"))) == (1, 1, 0, 0)


def test_csv_has_a_header_and_doubled_quotes_unless_its_options_say_otherwise(spark, tmp_path, shop, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    (tmp_path / "items.csv").write_text('id,name\nx,"A ""mug"", hand made"\n')
    run(config(tmp_path, f"source.items={{path: {tmp_path}/items.csv, columns: {{item_id: id, title: name}}}}"))
    assert table(spark, tmp_path, Tables.BRONZE_ITEMS, "item_id", "title") == [("x", 'A "mug", hand made')]


def test_many_refused_rows_are_told_with_their_commonest_reason(tmp_path, shop, run, caplog):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5", "ann,,2024-01-01 10:00:00,5", "ann,,2024-01-01 11:00:00,5")
    LOGGER.propagate = True
    with caplog.at_level(logging.WARNING, LOGGER.name):
        run(config(tmp_path))
    assert "source.events: 2 of 3 rows were refused, most of them as item_id_missing" in caplog.text


def test_a_bad_time_in_a_later_file_goes_to_the_quarantine(spark, tmp_path, shop, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    assert run(config(tmp_path)) == (1, 1, 0, 0)
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5", "bob,y,soon,4")  # the same file with a row more
    assert run(config(tmp_path)) == (2, 0, 1, 1)
    shop("day-2.csv", "cat,z,later,4")
    assert run(config(tmp_path)) == (1, 0, 1, 0)
    assert table(spark, tmp_path, Tables.QUARANTINE, "raw") == [
        ('{"user":"bob","item":"y","at":"soon","stars":"4"}',),
        ('{"user":"cat","item":"z","at":"later","stars":"4"}',),
    ]


def test_times_that_never_parse_are_shown_without_the_rest_of_the_row(tmp_path, shop, run):
    shop("day-1.csv", "ann@example.com,x,,5", "ann@example.com,x,1.1.2024 at ten,5")
    with pytest.raises(InputError, match=r"no value parses as a time; found '1\.1\.2024 at ten'; set") as raised:
        run(config(tmp_path))
    assert "ann@example.com" not in str(raised.value)
    shop("day-1.csv", "ann@example.com,x,,5")
    with pytest.raises(InputError, match="no value parses as a time; all are empty; set"):
        run(config(tmp_path))


def test_what_was_refused_is_kept_once_and_does_not_hide_its_correction(spark, tmp_path, shop, run):
    good, bad = "ann,x,2024-01-01 10:00:00,5", ["bob,,2024-01-01 10:00:00,5", "bob,y,2024-01-01 10:00:00"]
    shop("day-1.csv", good, *bad)
    assert run(config(tmp_path)) == (3, 1, 2, 0)
    shop("day-2.csv", good, *bad)  # the same rows under another name
    assert run(config(tmp_path)) == (3, 0, 0, 3)
    shop("day-1.csv", good, *bad, "bob,y,2024-01-01 10:00:00,5")  # grown, one row corrected
    assert run(config(tmp_path)) == (4, 1, 0, 3)
    assert [row[0] for row in table(spark, tmp_path, Tables.QUARANTINE, "reasons")] == [
        ["item_id_missing"],
        ["malformed_row"],
    ]
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "user_id", "item_id") == [("ann", "x"), ("bob", "y")]


@pytest.mark.parametrize("personal", ["{}", "{user: hash}"])
def test_each_file_that_is_refused_whole_is_a_row_by_its_name_and_once(spark, tmp_path, shop, run, personal, monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    cut = pa.compress(HEADER.encode() * 100, codec="zstd", asbytes=True)[:-9]
    names = ["day-2.csv.zst", "day-3.csv.zst"]
    for name in names:
        (tmp_path / "events" / name).write_bytes(cut)
    override = f"source.events.personal={personal}"
    assert run(config(tmp_path, override)) == (3, 1, 2, 0)
    (tmp_path / "events" / names[0]).write_bytes(cut[:-1])  # delivered again, cut elsewhere: Java says the same of it
    assert run(config(tmp_path, override)) == (1, 0, 0, 1)
    refused = table(spark, tmp_path, Tables.QUARANTINE, "source_file", "reasons")
    assert [(file.rpartition("/")[2], reasons) for file, reasons in refused] == [
        (name, ["unreadable_file"]) for name in names
    ]


@pytest.mark.slow
def test_a_batch_cut_short_before_its_files_counted_as_read_is_not_stored_twice(spark, tmp_path, shop, monkeypatch, run):
    (tmp_path / "items.csv").write_text("id,name\nx,Tea\n,Lamp\n")
    override = (
        f"source.items={{path: {tmp_path}/items.csv, columns: {{item_id: id, title: name}}, options: {{header: true}}}}"
    )
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5", "bob,y,soon,4")

    def killed(*arguments):
        raise KeyboardInterrupt

    for source in ("events", "items"):
        record = arrivals.record
        with monkeypatch.context() as patched:
            patched.setattr(
                arrivals, "record",
                lambda context, batch, figures, source=source, record=record: killed() if batch.source == source
                else record(context, batch, figures),
            )  # fmt: skip
            with pytest.raises(KeyboardInterrupt):
                run(config(tmp_path, override))
    shop("day-2.csv", "cat,z,2024-01-02 10:00:00,4")
    with (tmp_path / "items.csv").open("a") as items:
        items.write("y,Chair\n")
    run(config(tmp_path, override))
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "user_id") == [("ann",), ("cat",)]
    assert table(spark, tmp_path, Tables.BRONZE_ITEMS, "item_id", "title") == [("x", "Tea"), ("y", "Chair")]
    assert table(spark, tmp_path, Tables.QUARANTINE, "source", "raw") == [
        ("events", '{"user":"bob","item":"y","at":"soon","stars":"4"}'),
        ("items", '{"name":"Lamp"}'),
    ]


@pytest.mark.long
@pytest.mark.slow
def test_descriptions_are_kept_once_and_may_return_to_what_they_were(spark, tmp_path, shop, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    overrides = [
        f"source.items={{path: {tmp_path}/items, columns: {{item_id: id, title: name}}, options: {{header: true}}}}",
        f"source.users={{path: {tmp_path}/users, columns: {{user_id: id}}, options: {{header: true}}}}",
    ]
    for folder in ("items", "users"):
        (tmp_path / folder).mkdir()

    def arrives(name, *lines):
        for folder in ("items", "users"):
            (tmp_path / folder / name).write_text("id,name\n" + "".join(f"{line}\n" for line in lines))
        return run(config(tmp_path, *overrides))

    def winners():
        lake = Lake(spark, config(tmp_path).lake)
        items = latest(lake.read(Tables.BRONZE_ITEMS), "item_id").orderBy("item_id").collect()
        users = latest(lake.read(Tables.BRONZE_USERS), "user_id").orderBy("user_id").collect()
        assert [row.title for row in items] == [row.attributes["name"] for row in users]
        return [row.title for row in items]

    assert arrives("1.csv", "x,Tea", "y,Lamp", "x,Green tea")[1:] == (7, 0, 0)  # one event, then items and users
    assert winners() == ["Green tea", "Lamp"]
    assert arrives("2.csv", "x,Tea", "y,Lamp", "x,Green tea")[1:] == (0, 0, 6)  # the same under another name
    assert arrives("1.csv", "x,Tea", "y,Lamp", "x,Green tea", "z,Chair")[1:] == (2, 0, 6)  # grown
    assert arrives("3.csv", "x,Tea")[1:] == (2, 0, 0)  # back to what it was
    assert winners() == ["Tea", "Lamp", "Chair"]
    assert arrives("4.csv", "x,Tea")[1:] == (0, 0, 2)
    assert arrives("5.csv", "x,Mint", "x,Tea")[1:] == (4, 0, 0)  # something new, and the newest again: it must still win
    assert winners() == ["Tea", "Lamp", "Chair"]
    assert len(table(spark, tmp_path, Tables.BRONZE_ITEMS, "title")) == 7


def test_empty_files_count_as_read_and_hold_no_one_up(spark, tmp_path, shop, run):
    shop("day-0.csv", header="")
    with pytest.raises(InputError, match="no file found at .*/events, or empty ones only; put"):
        run(config(tmp_path))
    shop("day-1.csv", header="\n\n")
    with pytest.raises(EmptyDataError, match="not one of 0 rows was usable"):
        run(config(tmp_path))
    shop("day-2.csv", header="\n\n")
    shop("day-3.csv", "ann,x,2024-01-01 10:00:00,5")
    assert run(config(tmp_path)) == (1, 1, 0, 0)
    shop("day-4.csv", header="\n\n")
    shop("day-5.csv", header="")
    assert run(config(tmp_path)) == (0, 0, 0, 0)
    names = [file.rpartition("/")[2] for (file,) in table(spark, tmp_path, Tables.FILES, "source_file")]
    assert names == ["day-1.csv", "day-2.csv", "day-3.csv", "day-4.csv"]


@pytest.mark.slow
def test_a_json_file_without_an_optional_key_is_no_obstacle(spark, tmp_path, shop, run):
    as_json = ("source.events.format=json", "source.events.options={}")
    shop("day-1.json", '{"user": "ann", "item": "x", "at": "2024-01-01 10:00:00", "stars": 5}', header="")
    assert run(config(tmp_path, *as_json)) == (1, 1, 0, 0)
    shop("day-2.json", '{"item": "y", "at": "2024-01-02 10:00:00"}', header="")
    assert run(config(tmp_path, *as_json)) == (1, 1, 0, 0)
    shop("day-3.json", '{"item": "y",', header="")  # not one row parses
    assert run(config(tmp_path, *as_json)) == (1, 0, 1, 0)
    shop("day-4.json", '{"item": "y"}', header="")
    with pytest.raises(InputError, match=r"columns\.event_time: no column `at` \(found: item\)"):
        run(config(tmp_path, *as_json))
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "item_id", "user_id", "value") == [
        ("x", "ann", 5.0),
        ("y", None, None),
    ]


def test_a_mistaken_mapping_is_named_before_anything_is_written(tmp_path, shop, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    with pytest.raises(InputError, match=r"columns\.event_time: not mapped, and no column left is called `event_time`"):
        run(config(tmp_path, columns="{item_id: item}"))
    with pytest.raises(ConfigError, match=r"source\.events\.columns: unknown name `itme_id`; did you mean `item_id`\?"):
        run(config(tmp_path, columns="{itme_id: item, event_time: at}"))
    with pytest.raises(
        InputError, match=r"source\.events\.time_format: `yyyy-MM-ddTHH:mm` is no datetime pattern"
    ) as raised:
        run(config(tmp_path, "source.events.time_format=yyyy-MM-ddTHH:mm"))
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"source\.events\.path: .*day-1\.csv cannot be read: .*is not a Parquet file"):
        run(config(tmp_path, "source.events.format=parquet"))
    assert not (tmp_path / "lake" / "bronze").exists()


@pytest.mark.slow
def test_a_changed_mapping_does_not_drop_what_only_the_lake_still_has(spark, tmp_path, shop, run):
    shop("day-1.csv", "ann,x,2024-01-01 10:00:00,5")
    shop("day-2.csv", "bob,y,2024-01-02 10:00:00,5", "bob,y,soon,5")
    assert run(config(tmp_path)) == (3, 2, 1, 0)
    (tmp_path / "events" / "day-1.csv").rename(tmp_path / "day-1.csv")
    sale = "source.events.defaults={event_type: sale}"
    with pytest.raises(InputError, match=r"but 1 of those read before are no longer at .*, such as .*/day-1\.csv; put them"):
        run(config(tmp_path, sale))
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "user_id", "event_type") == [("ann", "event"), ("bob", "event")]
    (tmp_path / "day-1.csv").rename(tmp_path / "events" / "day-1.csv")
    assert run(config(tmp_path, sale)) == (3, 2, 1, 0)
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "user_id", "event_type") == [("ann", "sale"), ("bob", "sale")]
    refused = [('{"user":"bob","item":"y","at":"soon","stars":"5"}',)]
    assert table(spark, tmp_path, Tables.QUARANTINE, "raw") == refused, "again, not twice"


@pytest.mark.slow
def test_a_delta_source_is_read_at_the_version_that_is_recorded(spark, tmp_path, shop, monkeypatch, run):
    raw = tmp_path / "today's events"
    rows = "SELECT '{}' AS user, 'x' AS item, timestamp'2024-01-01 10:00:00' AS at, 5 AS stars"
    spark.sql(rows.format("ann")).write.format("delta").save(str(raw))
    monkeypatch.chdir(tmp_path)
    delta = ("source.events.format=delta", "source.events.options={}", "source.events.path=today's events")
    find = arrivals.find_batch

    def later(*arguments):
        """A row arrives between listing and reading."""
        batch = find(*arguments)
        spark.sql(rows.format("late")).write.format("delta").mode("append").save(str(raw))
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(arrivals, "find_batch", later)
        assert run(config(tmp_path, *delta)) == (1, 1, 0, 0)
    assert run(config(tmp_path, *delta)) == (2, 1, 0, 1)
    assert table(spark, tmp_path, Tables.BRONZE_EVENTS, "user_id") == [("ann",), ("late",)]
    assert table(spark, tmp_path, Tables.FILES, "source_file") == [("today's events@0",), ("today's events@1",)]
    assert run(config(tmp_path, *delta, "source.events.defaults={event_type: sale}")) == (2, 2, 0, 0)
