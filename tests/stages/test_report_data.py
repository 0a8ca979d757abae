"""The report's figures of the data, from tables that are shown in full; no personal value reaches the page."""

import doctest
from datetime import UTC, date, datetime

import pytest
from lakerec.columns import Tables
from lakerec.config import Config, LakeConfig
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.reporting.report import render
from lakerec.stages import counting, report
from lakerec.stages.base import Context
from lakerec.stages.report_arrivals import arrivals, bots, newest_batches, refused, tags
from lakerec.stages.report_drift import drift
from lakerec.stages.report_events import distributions
from pyspark.sql import functions as F

from tests import pages

pytestmark = pytest.mark.spark
ANN, BOT = "ann.lee@example.org", "crawler-77@example.org"
EVENTS = [
    # id, user, item, type, time, value, session, bot reasons, tags, batch
    ("e1", ANN, "a", "view", "2024-01-01 10:00:00", 1.0, "s1", None, None, "first"),
    ("e2", ANN, "a", "buy", "2024-01-01 10:05:30", 2.0, "s1", None, ["gift"], "first"),
    ("e3", ANN, "b", "view", "2024-01-02 10:00:00", 1.0, "s2", None, None, "first"),
    ("e4", "bob", "a", "view", "2024-01-02 11:00:00", None, "s3", None, ["gift", "late"], "first"),
    ("e5", None, "c", "view", "2024-01-03 23:59:00", 4.56, None, None, None, "first"),
    ("e6", BOT, "a", "view", "2024-01-04 10:00:00", 1.0, "s4", ["breadth", "rate"], None, "first"),
    ("e7", BOT, "b", "view", "2024-01-04 10:00:00", 1.0, "s4", ["breadth", "rate"], None, "first"),
    ("e8", BOT, "c", "view", "2024-01-04 10:00:01", 1.0, "s4", ["breadth", "rate"], None, "first"),
    ("e9", "cat", "a", "buy", "2024-01-05 10:00:00", 1.0, "s5", None, None, "second"),
    ("e10", ANN, "new", "buy", "2024-01-05 12:00:00", 120.0, "s6", None, None, "second"),
]
ITEMS = [("a", "Tea"), ("b", "b"), ("c", "Lamp"), ("new", "Chair"), ("never", " ")]
FILES = [
    # source, file, batch, arrived, rows in, good, refused, repeats, dropped: of the batch, on each of its files
    ("events", "day-1", "first", "2024-01-05 06:00:00", 12, 8, 2, 1, 1),
    ("events", "day-2", "first", "2024-01-05 06:00:00", 12, 8, 2, 1, 1),
    ("events", "day-3", "second", "2024-01-06 06:30:00", 4, 2, 2, 0, None),
    ("items", "items", "things", "2024-01-05 06:00:00", 5, 5, 0, 0, None),
]
REFUSED = [
    ("events", f"{ANN},,2024-01-01 10:00:00", ["item_id_missing"]),
    ("events", '{"customer": "bob-the-2nd", "at": "soon"}', ["event_time_unparsable", "item_id_missing"]),
    ("events", f"{BOT},x" * 40, ["malformed_row"]),
    ("events", f"{BOT},y", ["malformed_row"]),
]


def fill(lake, events=EVENTS, files=FILES, rejected=REFUSED):
    """The tables that the data page is made of, each by its contract; what is not named is null, or stands for nothing."""
    schema = (
        "event_id string, user_id string, item_id string, event_type string, event_time string, value double, "
        "session_id string, bot_reasons array<string>, tags array<string>, batch_id string"
    )
    rows = lake.spark.createDataFrame(events, schema).withColumns(
        {
            "event_time": F.to_timestamp("event_time"), "ingested_at": F.to_timestamp(F.lit("2024-01-05")),
            "is_bot": F.col("bot_reasons").isNotNull(),
        }
    )  # fmt: skip
    put(lake, Tables.BRONZE_EVENTS, rows)
    put(lake, Tables.EVENTS, rows)
    put(lake, Tables.ITEMS, lake.spark.createDataFrame(ITEMS, "item_id string, title string"))
    figures = ", ".join(f"rows_{name} long" for name in ("in", "out", "quarantined", "duplicate", "dropped"))
    schema = f"source string, source_file string, batch_id string, ingested_at string, {figures}"
    table = lake.spark.createDataFrame(files, schema).withColumn("ingested_at", F.to_timestamp("ingested_at"))
    put(lake, Tables.FILES, table)
    bad = lake.spark.createDataFrame(rejected, "source string, raw string, reasons array<string>")
    put(lake, Tables.QUARANTINE, bad.selectExpr("*", "'first' AS batch_id", "current_timestamp() AS ingested_at"))


def put(lake, table, rows):
    contract = CONTRACTS[table]
    missing = {column.name: F.lit(None) for column in contract.columns if column.name not in rows.columns}
    lake.overwrite(rows.withColumns(missing).select(*contract.names), table)


def context_of(lake):
    config = Config(name="t", lake=lake.config, source={"events": {"path": "-"}})
    return Context(config, lake.spark, lake, None, None, run_id="r")


@pytest.fixture(scope="module")
def context(spark, tmp_path_factory):
    """The tables above; no test writes to them."""
    lake = Lake(spark, LakeConfig(root=str(tmp_path_factory.mktemp("lake"))))
    fill(lake)
    return context_of(lake)


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(counting)
    assert tried and not failed


def test_a_batch_counts_once_though_each_of_its_files_repeats_the_figures(context):
    events, items = arrivals(context)
    assert events == {
        "source": "events", "files": 3, "batches": 2, "rows_in": 16, "rows_out": 10, "rows_quarantined": 4,
        "rows_duplicate": 1, "rows_dropped": 1, "arrived": datetime(2024, 1, 6, 6, 30, tzinfo=UTC),
    }  # fmt: skip
    assert (items["source"], items["rows_in"], items["batches"]) == ("items", 5, 1)
    assert [row["batch_id"] for row in newest_batches(context, most=2)] == ["second", "first"]


def test_refused_rows_by_reason_with_a_masked_example(context):
    found = refused(context, {}, {"events": 16})
    assert [(row["reason"], row["rows"], row["share"]) for row in found] == [
        ("item_id_missing", 2, 0.125), ("malformed_row", 2, 0.125), ("event_time_unparsable", 1, 0.0625),
    ]  # fmt: skip
    assert found[0]["example"] == "xxx.xxx@xxxxxxx.xxx,,0000-00-00 00:00:00"
    assert found[2]["example"] == '{"customer": "xxx-xxx-0xx", "at": "xxxx"}'
    assert len(found[1]["example"]) == 160 and found[1]["example"].endswith("…")


def test_tags_and_bots(context):
    events = context.lake.read(Tables.EVENTS)
    assert tags(events, 10) == [{"tag": "gift", "rows": 2, "share": 0.2}, {"tag": "late", "rows": 1, "share": 0.1}]
    marked = bots(events)
    assert (marked.users, marked.events) == (1, 3)
    assert marked.reasons == [
        {"reason": "breadth", "users": 1, "events": 3},
        {"reason": "rate", "users": 1, "events": 3},
    ]
    assert marked.listed == [
        {"user": "xxxxxxx-00@xxxxxxx.xxx", "events": 3, "items": 3, "days": 1, "reasons": ["breadth", "rate"]}
    ]


def test_distributions(context):
    kept = distributions(context, {})
    assert (kept.events, kept.strangers, kept.types) == (10, 1, {"view": 7, "buy": 3})
    assert (kept.first, kept.last) == (
        datetime(2024, 1, 1, 10, tzinfo=UTC),
        datetime(2024, 1, 5, 12, tzinfo=UTC),
    )
    assert list(kept.days.values()) == [2, 2, 1, 3, 2] and next(iter(kept.days)) == date(2024, 1, 1)
    assert {tuple(map(int, place)): int(kept.hours[tuple(place)]) for place in zip(*kept.hours.nonzero(), strict=True)} == {
        (0, 10): 2, (1, 10): 1, (1, 11): 1, (2, 23): 1, (3, 10): 3, (4, 10): 1, (4, 12): 1,
    }  # fmt: skip
    assert kept.values == {1.0: 6, 2.0: 1, 4.6: 1, 120.0: 1}
    assert pairs(kept.users) == {4: 1, 1: 2, 3: 1}, "ann 4, bob and cat 1, the bot 3"
    assert pairs(kept.items) == {5: 1, 2: 2, 1: 1, 0: 1}, "a 5, b and c 2, new 1, one never"
    assert pairs(kept.sessions) == {2: 1, 1: 4, 3: 1} and pairs(kept.minutes) == {5: 1, 0: 5}
    assert (kept.untitled, kept.cold, kept.pairs) == (2, 1, 8)
    assert kept.density == 8 / (4 * 5)


def pairs(tally):
    return dict(zip(tally.sizes.tolist(), tally.counts.tolist(), strict=True))


def test_the_last_batch_is_compared_with_all_before_it(context):
    found = drift(context, {}, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 6, tzinfo=UTC))
    assert found.compared == "The last batch of events, of 2024-01-06 06:30 UTC, against all that came before it"
    assert (found.before, found.now) == (8, 2)
    said = {row.what: (row.before, row.now) for row in found.changes}
    nbsp = "\N{NO-BREAK SPACE}%"
    assert said == {
        "event types": (f"view 87.5{nbsp}", f"view 0{nbsp}"),
        "hours of the day (UTC)": (f"busiest 10:00, 75.0{nbsp}", f"busiest 10:00, 50.0{nbsp}"),
        "values, by tenths": ("median 1", "median 1"),
        "values, largest gap": ("median 1", "median 1"),
        "popular and rare items": (f"head 50.0{nbsp}", f"head 100{nbsp}"),
        "events on items not met before": ("–", f"50.0{nbsp}"),
        "events of users not met before": ("–", f"50.0{nbsp}"),
        "events without a user": (f"12.5{nbsp}", f"0{nbsp}"),
        "rows refused": (f"16.7{nbsp}", f"50.0{nbsp}"),
    }
    assert {row.reading for row in found.changes if row.measure.startswith("PSI")} <= {"stable", "moderate"}, "by chance"


def test_of_one_batch_the_last_quarter_of_its_time_is_compared(lake):
    fill(lake, files=FILES[:2])
    context = context_of(lake)
    found = drift(context, {}, datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 5, 12, tzinfo=UTC))
    assert "the last quarter of its time, from 2024-01-04 on" in found.compared
    assert (found.before, found.now) == (8, 2), "from 11:30 on the fourth"
    assert "rows refused" not in {row.what for row in found.changes}
    once = datetime(2024, 1, 1, tzinfo=UTC)
    assert drift(context, {}, once, once) is None, "nothing before"


def test_the_least_there_can_be(lake, tmp_path):
    """One event without user, value, type, title or time of day, from one file; nothing refused, tagged or marked."""
    bare = [("e1", None, "a", None, "2024-01-01 00:00:00", None, None, None, None, "first")]
    fill(lake, bare, [("events", "day-1", "first", "2024-01-05 06:00:00", 1, 1, 0, 0, 0)], [])
    page = report.data_page(context_of(lake), {})
    assert (page.refused, page.tags, page.bots.users, page.drift) == ([], [], 0, None)
    assert page.kept.types == {"(none)": 1} and page.kept.values == {} and page.kept.sessions.number == 0
    html = render(pages.made(page=page, bots_looked_for=False), tmp_path / "report.html").read_text()
    assert "There are no sessions" in html


def test_no_personal_value_reaches_the_page(context, tmp_path):
    page = report.data_page(context, {})
    html = render(pages.made(page=page), tmp_path / "report.html").read_text()
    for personal in ("ann", "lee", "example.org", "crawler", "77@", "bob", "2nd"):
        assert personal not in html.lower(), personal
    assert "xxx.xxx@xxxxxxx.xxx" in html and "xxxxxxx-00@xxxxxxx.xxx" in html
