"""Online Retail as it arrives: by month, at once, and in shuffled portions with a file delivered twice; the same tables.

The counts are those of the data's own README. The data are taken from LAKEREC_DATA (default ../shared/data).
"""

import os
import random
import shutil
import statistics
import sys
import time
from collections import ChainMap
from pathlib import Path

import pytest
from lakerec.columns import Tables
from lakerec.ingest.mapping import map_events
from lakerec.ingest.read import read_source
from lakerec.lake.lake import Lake
from lakerec.loading import load_config
from lakerec.registry.tracking import Tracker
from lakerec.stages.base import Context, run_stage
from lakerec.stages.pipeline import stage
from lakerec.stages.progress import Progress
from pyspark.sql import functions as F

DATA = Path(os.environ.get("LAKEREC_DATA", "../shared/data")) / "online-retail"
CONF = Path(__file__).parents[2] / "conf" / "online_retail.yaml"
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"Online Retail is not at {DATA} (LAKEREC_DATA)"),
]
ROWS, DUPLICATES = 541_909, 5_268
TABLES = {
    Tables.BRONZE_EVENTS: (
        "event_id",
        "user_id",
        "item_id",
        "event_type",
        "event_time",
        "value",
        "to_json(context)",
        "tags",
    ),
    Tables.EVENTS: ("event_id", "user_id", "item_id", "event_time", "value", "session_id", "is_bot", "net_value"),
    Tables.ITEMS: ("item_id", "title"),
    Tables.INTERACTIONS: ("user_id", "item_id", "event_time", "weight", "split", "position"),
    Tables.ITEM_TEXT: ("item_id", "text"),
}


def arrive(spark, folder, files) -> dict[str, int]:
    """Let files come and run what takes them in; rows in, good, refused and repeated of ingest."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        shutil.copy(file, raw / name)
    places = [f"lake.root={folder}/lake", f"tracking.uri=sqlite:///{folder}/mlflow.db", f"source.events.path={raw}"]
    config = load_config(CONF, [*places, "split.protocol=leave_last_out"], {})
    context = Context(config, spark, Lake(spark, config.lake), Tracker(config.tracking, "test"), Progress(False, spark))
    done = [run_stage(context, stage(name)) for name in ("ingest", "clean", "featurize")]
    return {name: done[0].row[name] for name in ("rows_in", "rows_out", "rows_quarantined", "rows_duplicate")}


def contents(spark, folder) -> dict[str, tuple[int, ...]]:
    """For each table the number of its rows and a sum of their hashes; sequences by external ids."""
    lake = Lake(spark, load_config(CONF, [f"lake.root={folder}/lake"], {}).lake)
    found = {table: _sums(lake.read(table).selectExpr(*names)) for table, names in TABLES.items()}
    index = lake.read(Tables.ITEM_INDEX)
    rows = lake.read(Tables.SEQUENCES)
    for name in ("items", "past"):
        each = rows.select("user_id", "split", F.posexplode(name).alias("place", "item")).join(index, on="item")
        found[f"{Tables.SEQUENCES}.{name}"] = _sums(each.select("user_id", "split", "place", "item_id"))
    found[Tables.SEQUENCES] = _sums(rows.select("user_id", "split", "times", "past_times", "next_split"))
    return found


def _sums(frame) -> tuple[int, ...]:
    return tuple(frame.agg(F.count("*"), F.sum(F.xxhash64(*frame.columns).cast("decimal(38,0)"))).first())


@pytest.fixture(scope="module")
def at_once(spark, tmp_path_factory):
    """A lake of all files at once: its folder, ingest's figures, what the tables hold."""
    folder = tmp_path_factory.mktemp("at_once")
    figures = arrive(spark, folder, {file.name: file for file in DATA.glob("*.csv")})
    return folder, figures, contents(spark, folder)


def test_counts_are_those_of_the_data(spark, at_once):
    _, figures, _ = at_once
    assert figures == {
        "rows_in": ROWS, "rows_out": ROWS - DUPLICATES, "rows_quarantined": 0, "rows_duplicate": DUPLICATES,
    }  # fmt: skip
    table = load_config(CONF, [f"source.events.path={DATA}"], {}).source.events
    rows = map_events(read_source(spark, table, sorted(map(str, DATA.glob("*.csv"))), "source.events"), table)
    counted = rows.agg(
        F.count_if(F.col("user_id").isNull()), F.count_if(F.array_contains("tags", "cancellation")),
        F.count_if(F.array_contains("tags", "quantity_not_positive")),
        F.count_if(F.array_contains("tags", "price_not_positive")), F.count_if(F.col("context")["title"].isNull()),
    )  # fmt: skip
    assert tuple(counted.first()) == (135_080, 9_288, 10_624, 2_517, 1_454)


@pytest.mark.long
@pytest.mark.parametrize(
    ("digits", "together", "arrivals"), [(7, 1, 13), (10, 1, 305), (10, 295, 11)], ids=["month", "day", "last_days"]
)
def test_by_month_and_by_day_give_the_tables_of_one_batch(spark, at_once, tmp_path, capsys, digits, together, arrivals):
    """What an arrival costs does not grow with what is there: the last tenth of them cost what the first ones did."""
    by_date: dict[str, dict[str, Path]] = {}
    for file in sorted(DATA.glob("*.csv")):
        by_date.setdefault(file.stem[:digits], {})[file.name] = file
    each = list(by_date.values())
    portions = [dict(ChainMap(*each[:together])), *each[together:]]
    assert len(portions) == arrivals
    seconds = []
    for files in portions:
        start = time.monotonic()
        arrive(spark, tmp_path, files)
        seconds.append(time.monotonic() - start)
    with capsys.disabled():
        sys.stdout.write(f"\nseconds of each arrival: {[round(value, 1) for value in seconds]}\n")
    assert contents(spark, tmp_path) == at_once[2]
    tenth = arrivals // 10
    assert statistics.median(seconds[-tenth:]) < 2 * statistics.median(seconds[tenth : 2 * tenth + 1])


@pytest.mark.long
def test_shuffled_portions_with_a_file_delivered_twice_give_the_tables_of_one_batch(spark, at_once, tmp_path):
    files = sorted(DATA.glob("*.csv"))
    random.Random(7).shuffle(files)
    again = files[3]
    total = 0
    for number in range(4):
        portion = {file.name: file for file in files[number::4]}
        if number == 3:
            portion[f"{again.stem}-again.csv"] = again
        total += arrive(spark, tmp_path, portion)["rows_in"]
    assert total == ROWS + len(again.read_text(encoding="utf-8").splitlines()) - 1
    assert contents(spark, tmp_path) == at_once[2]
