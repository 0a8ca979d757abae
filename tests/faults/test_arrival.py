"""Faults 1 to 4, 12, 14, 15 and 24: how files arrive, whatever is killed, lost, delivered again or run twice.

There is no stream with a checkpoint: the ledger (ops/files, a Delta table) says which files were read. So a stream's
checkpoint is the ledger here, its application id the batch's transaction, its micro-batch the files of one run.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lakerec.columns import Tables
from lakerec.config import LakeConfig
from lakerec.errors import EmptyDataError, LakeError
from lakerec.lake.lake import Lake
from lakerec.stages import arrivals, ingest

from tests.faults.raw import AT, COLUMNS, HEADER, Shop

pytestmark = pytest.mark.spark
GOOD, BAD = f"ann,x,{AT},5\nbob,x,{AT},4\n", f"cat,,{AT},3\n"
KILLED = """
import os, signal, sys
from pathlib import Path
from lakerec.lake.session import spark_session
from lakerec.config import SparkConfig
from lakerec.stages import arrivals
from tests.faults.raw import Shop

folder, name, table = sys.argv[1:]
whole = getattr(arrivals, name)

def until(*arguments):
    if table in ("", *arguments):
        os.killpg(0, signal.SIGKILL)
    return whole(*arguments)

setattr(arrivals, name, until)
conf = {"spark.sql.shuffle.partitions": 2, "spark.driver.memory": "1g"}
Shop(spark_session(SparkConfig(master="local[1]", conf=conf)), Path(folder)).ingest()
"""


@pytest.fixture
def shop(spark, tmp_path):
    return Shop(spark, tmp_path)


@pytest.fixture(scope="module")
def killed(spark, tmp_path_factory):
    """Shops whose first ingest was killed (SIGKILL, with Spark) where it would write a table: of faults 1 and 2."""
    places, shops, processes = {1: ("record", ""), 2: ("put", Tables.QUARANTINE)}, {}, []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    for number, place in places.items():
        shops[number] = Shop(spark, tmp_path_factory.mktemp("killed"))
        shops[number].write("1.csv", HEADER + GOOD + BAD)
        command = [sys.executable, "-c", KILLED, str(shops[number].folder), *place]
        processes.append(subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE))
    for process in processes:
        said = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, said.decode()
    for each in shops.values():
        each.context()
    return shops


@pytest.mark.slow
def test_fault_01_killed_after_the_tables_commits_and_before_that_of_the_ledger(killed):
    shop = killed[1]
    assert (shop.good("user_id"), len(shop.refused()), shop.read()) == ([("ann",), ("bob",)], 1, [])
    before = [shop.lake.version(table) for table in (Tables.BRONZE_EVENTS, Tables.QUARANTINE)]
    assert shop.ingest() == (3, 2, 1, 0)
    assert [shop.lake.version(table) for table in (Tables.BRONZE_EVENTS, Tables.QUARANTINE)] == before, "rows were added"
    assert shop.read() == ["1.csv"]


@pytest.mark.slow
def test_fault_02_killed_between_two_tables_of_one_batch(killed):
    shop = killed[2]
    assert (shop.good("user_id"), shop.refused(), shop.read()) == ([("ann",), ("bob",)], [], [])
    assert shop.ingest() == (3, 2, 1, 0)
    assert (shop.good("user_id"), len(shop.refused()), shop.read()) == ([("ann",), ("bob",)], 1, ["1.csv"])


@pytest.mark.long
@pytest.mark.slow
def test_fault_01_killed_and_then_read_by_another_mapping(killed, tmp_path):
    """What the killed run stored was read in a way that is no longer wanted: it is replaced."""
    shop = killed[1].copy(tmp_path)
    shutil.rmtree(tmp_path / "lake" / "ops", ignore_errors=True)
    assert shop.ingest(defaults={"event_type": "sale"}) == (3, 2, 1, 0)
    assert shop.good("user_id", "event_type") == [("ann", "sale"), ("bob", "sale")]
    assert len(shop.refused()) == 1


@pytest.mark.slow
def test_fault_03_the_ledger_is_deleted_and_the_tables_are_kept(shop):
    shop.write("1.csv", HEADER + GOOD + BAD)
    shop.run("ingest")
    ledger, version = shop.folder / "lake" / Tables.FILES, shop.lake.version(Tables.BRONZE_EVENTS)
    shutil.rmtree(ledger)
    shop.write("2.csv", f"{HEADER}dan,y,{AT},1\n")
    with pytest.raises(LakeError, match=r"^ops/files is gone, though run ingest-\w+ left it at version 1: .*--full$"):
        shop.run("ingest")
    assert shop.lake.version(Tables.BRONZE_EVENTS) == version and not ledger.exists()
    shop.run("ingest", full=True)
    assert (shop.good("user_id"), len(shop.refused())) == ([("ann",), ("bob",), ("dan",)], 1)
    assert shop.read() == ["1.csv", "2.csv"]


@pytest.mark.slow
def test_fault_03_the_ledger_is_deleted_with_all_that_is_known_of_runs(killed, tmp_path):
    """It is begun anew: what is there counts as repeated, what is new comes in."""
    shop = killed[1].copy(tmp_path)
    shop.raw = shutil.copytree(shop.raw, tmp_path / "raw")
    shutil.rmtree(tmp_path / "lake" / "ops", ignore_errors=True)
    shop.write("2.csv", f"{HEADER}dan,y,{AT},1\n")
    assert shop.ingest() == (4, 1, 0, 3)
    assert (shop.good("user_id"), len(shop.refused())) == ([("ann",), ("bob",), ("dan",)], 1)
    assert shop.read() == ["1.csv", "2.csv"]


def damages(log):
    """Each way to damage a log of three commits, by what is said of it."""
    commit = [log / f"{number:020d}.json" for number in range(3)]
    yield "holds files of data, but no log", lambda: shutil.rmtree(log)
    yield "Versions (0, 2) are not contiguous", commit[1].unlink
    yield "truncated", commit[0].unlink
    yield "Encountered error while reading file", lambda: commit[2].write_bytes(commit[2].read_bytes()[:200])
    yield f"commit {commit[2].name} is empty", lambda: commit[2].write_bytes(b"")


def test_fault_04_a_log_that_is_missing_or_cut(lake, spark, tmp_path):
    rows = spark.createDataFrame([("x", 0)], "item_id string, item int")
    for number in range(2):
        lake.append(rows, Tables.ITEM_INDEX, "batch", number)
    for number in range(len(list(damages(tmp_path)))):
        root = tmp_path / f"copy-{number}"
        shutil.copytree(lake.config.root, root)
        log = root / Tables.ITEM_INDEX / "_delta_log"
        for file in log.glob("*.crc"):  # checksums of Hadoop and of Delta
            file.unlink()
        said, damage = list(damages(log))[number]
        damage()
        with pytest.raises(LakeError) as raised:
            Lake(spark, LakeConfig(root=str(root))).version(Tables.ITEM_INDEX)
        line = str(raised.value)
        assert line.startswith("gold/item_index: its Delta log is damaged: ") and line.endswith("run with --full")
        assert said in line and "\n" not in line


def test_fault_14_a_file_delivered_twice_and_one_renamed(shop):
    shop.write("1.csv", HEADER + GOOD + BAD)
    shop.write("2.csv", f"{HEADER}dan,y,{AT},1\n")
    assert shop.ingest() == (4, 3, 1, 0)
    shutil.copy(shop.raw / "1.csv", shop.raw / "1-again.csv")
    (shop.raw / "2.csv").rename(shop.raw / "2-renamed.csv")
    assert shop.ingest() == (8, 3, 1, 4), "the figures since the last run in ops/runs"
    assert (shop.good("user_id"), len(shop.refused())) == ([("ann",), ("bob",), ("dan",)], 1)


@pytest.mark.slow
def test_fault_15_one_run_overtakes_another_that_reads_more_files(shop, monkeypatch):
    """The other one has read 1.csv and 2.csv and is about to write when this one reads and writes 1.csv."""
    shop.write("1.csv", HEADER + GOOD + BAD)
    behind = shop.context()
    first = ingest.lying(behind)
    shop.write("2.csv", f"{HEADER}dan,y,{AT},1\ndan,,{AT},1\n")
    whole, calls = arrivals.put, []

    def late(*arguments):
        calls.append(arguments[3])
        if len(calls) == 1:
            behind.at_rest = first
            ingest.run(behind, {})
        return whole(*arguments)

    monkeypatch.setattr(arrivals, "put", late)
    shop.ingest()
    assert calls.count(Tables.BRONZE_EVENTS) == 3, "it was not overtaken"
    assert shop.good("user_id") == [("ann",), ("bob",), ("dan",)]
    assert (len(shop.refused()), shop.read()) == (2, ["1.csv", "2.csv"])


@pytest.mark.slow
def test_fault_15_two_runs_at_the_same_moment(shop):
    shop.write("1.csv", HEADER + GOOD + BAD)
    start, contexts = threading.Barrier(2), [shop.context(), shop.context()]

    def run(context):
        start.wait()
        return ingest.run(context, {}).rows_out

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, contexts)) == [2, 2]
    assert (shop.good("user_id"), len(shop.refused()), shop.read()) == ([("ann",), ("bob",)], 1, ["1.csv"])


@pytest.mark.slow
def test_fault_12_rows_are_deleted_changed_and_replaced_in_a_delta_source(spark, tmp_path):
    """Bronze is what was received: what the source takes back stays, what it says anew comes in."""
    shop = Shop(spark, tmp_path, format="delta")
    place, rows = f"delta.`{shop.raw}`", "SELECT '{}' user, 'x' item, timestamp'2024-01-01 10:00:00' at, {} stars"
    shop.raw.rmdir()
    spark.sql(" UNION ALL ".join([rows.format("ann", 1), rows.format("bob", 2)])).write.format("delta").save(str(shop.raw))
    assert shop.ingest() == (2, 2, 0, 0)
    spark.sql(f"DELETE FROM {place} WHERE user = 'ann'")
    spark.sql(f"UPDATE {place} SET stars = 3 WHERE user = 'bob'")
    shop.ingest()
    assert shop.good("user_id", "value") == [("ann", 1.0), ("bob", 2.0), ("bob", 3.0)]
    spark.sql(rows.format("cat", 4)).write.format("delta").mode("overwrite").save(str(shop.raw))
    shop.ingest()
    shop.ingest()
    assert shop.good("user_id", "value") == [("ann", 1.0), ("bob", 2.0), ("bob", 3.0), ("cat", 4.0)]


def test_fault_24_files_without_rows_and_files_without_a_good_one(shop):
    shop.write("1.csv", f"{HEADER}\n")
    shop.write("2.csv", HEADER + BAD)
    with pytest.raises(EmptyDataError, match="^source.events: not one of 1 rows was usable; bronze/quarantine") as raised:
        shop.run("ingest", "clean")
    assert raised.value.exit_code == 2
    assert len(shop.refused()) == 1, "the reason is there to be read"
    assert not shop.lake.exists(Tables.RUNS) and not shop.lake.exists(Tables.EVENTS)


CORRECTIONS = {
    "natural key without a time": (
        {"natural_key": ["user_id", "item_id"]},
        ("1,ann,x,2024-01-01 10:00:00,1,buy,", "2,ann,x,2024-03-01 10:00:00,2,buy,"),
    ),
    "a cancellation of something else": (
        {"cancels": {"back": "buy"}},
        ("1,ann,a,2024-01-01 10:00:00,1,buy,", "7,ann,a,2024-01-10 10:00:00,1,back,", "7,ann,b,2024-01-10 10:00:00,2,back,"),
    ),
    "a twin that comes back": (
        {"natural_key": ["user_id", "item_id", "event_type", "event_time"]},
        ("7,ann,a,2024-01-01 10:00:00,5,buy,\n8,ann,a,2024-01-01 10:00:00,4,buy,", "7,ann,a,2024-01-02 10:00:00,6,buy,"),
    ),
    "a user agent that was wrong": (
        {"bots": {"agent": "agent"}},
        ("7,ann,a,2024-01-01 10:00:00,5,buy,curl\n8,ann,b,2024-01-05 10:00:00,5,buy,", "7,ann,a,2024-01-01 10:00:00,6,buy,"),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", [pytest.param(name, marks=[pytest.mark.long] if place else []) for place, name in enumerate(CORRECTIONS)]
)
def test_fault_13_what_corrects_an_earlier_row_leaves_what_all_rows_at_once_would(spark, tmp_path, what):
    clean, deliveries = CORRECTIONS[what]
    shop = Shop(spark, tmp_path, columns={**COLUMNS, "event_id": "id", "event_type": "kind"})
    shop.others = {"clean": clean}
    for number, lines in enumerate(deliveries):
        shop.write(f"{number}.csv", f"id,user,item,at,stars,kind,agent\n{lines}\n")
        shop.run("ingest", "clean")
    seen = ("event_id", "item_id", "event_time", "value", "net_value", "is_bot", "session_id")
    grown = shop.rows(Tables.EVENTS, *seen)
    shop.run("clean", full=True)
    assert grown == shop.rows(Tables.EVENTS, *seen) and grown
