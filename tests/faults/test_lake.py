"""Faults 5, 6, 8 to 11, 34 and 35: what happens to tables while they are written, compacted, vacuumed and read."""

import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from delta.tables import DeltaMergeBuilder
from lakerec.columns import Tables
from lakerec.errors import TrainingError
from lakerec.lake.lake import Lake
from lakerec.lake.plain import live_files, plain_files
from lakerec.lake.scratch import sweep
from lakerec.training import feed
from pyspark.sql import DataFrameWriter
from pyspark.sql import functions as F

from tests.tables import optimize, vacuum_all

pytestmark = pytest.mark.spark
INDEX = "item_id string, item int"
TABLE = Tables.ITEM_INDEX
PAD = 1000


class ReplyLost(Exception):
    """The storage did as asked, and the writer never heard of it."""


def index(spark, *rows):
    return spark.createDataFrame(list(rows), INDEX)


def rows(lake, table=TABLE):
    return sorted(tuple(row) for row in lake.read(table).collect())


def lose_first_reply(patch, kind, method):
    """The first call commits and then fails."""
    whole, calls = getattr(kind, method), []

    def commit_and_fail(*arguments, **named):
        whole(*arguments, **named)
        calls.append(method)
        if len(calls) == 1:
            raise ReplyLost

    patch.setattr(kind, method, commit_and_fail)


@pytest.mark.parametrize("write", ["append", "overwrite", "merge"])
def test_fault_05_commit_succeeded_and_the_reply_was_lost(lake, spark, monkeypatch, write):
    lake.ensure(TABLE)
    frame = index(spark, ("a", 0), ("b", 1))
    lose_first_reply(monkeypatch, *((DeltaMergeBuilder, "execute") if write == "merge" else (DataFrameWriter, "save")))
    arguments = (frame, TABLE, "batch-1", 1) if write == "append" else (frame, TABLE)
    with pytest.raises(ReplyLost):
        getattr(lake, write)(*arguments)
    assert rows(lake) == [("a", 0), ("b", 1)], "the commit was there"
    getattr(lake, write)(*arguments)
    assert rows(lake) == [("a", 0), ("b", 1)]


def at_once(*actions):
    """Results of actions that start at the same moment."""
    start = threading.Barrier(len(actions))

    def run(action):
        start.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def test_fault_06_two_runs_merge_the_same_keys_at_once(lake, spark):
    lake.merge(index(spark, *[(f"k{number}", 0) for number in range(10)]), TABLE)
    frames = {value: index(spark, *[(f"k{number}", value) for number in range(5, 20)]) for value in (1, 2)}
    at_once(*[lambda frame=frame: Lake(spark, lake.config).merge(frame, TABLE) for frame in frames.values()])
    found = rows(lake)
    assert [key for key, _ in found] == sorted(f"k{number}" for number in range(20)), "every key once"
    values = {value for key, value in found if int(key[1:]) >= 5}
    assert values in ({1}, {2}), "one run after the other: the later one's values, whole"
    assert [commit.operation for commit in lake.commits(TABLE)].count("MERGE") == 3


def test_fault_06_two_runs_append_the_same_batch_at_once_to_a_table_that_is_not_there(lake, spark):
    frame = index(spark, ("a", 0), ("b", 1))
    at_once(*[lambda: Lake(spark, lake.config).append(frame, TABLE, "batch-1", 1)] * 2)
    assert rows(lake) == [("a", 0), ("b", 1)]


def lose_materialised_source(spark, done):
    """Drop the blocks of a MERGE's kept source once all of it is there; gives how many went."""
    manager = spark.sparkContext._jvm.org.apache.spark.SparkEnv.get().blockManager()
    while not done.is_set():
        for kept in spark.sparkContext._jsc.sc().getRDDStorageInfo():
            if kept.name().startswith("mergeMaterializedSource") and kept.numCachedPartitions() == kept.numPartitions():
                manager.removeRdd(kept.id())
                return kept.numPartitions()
        time.sleep(0.002)
    return 0


def test_fault_08_a_source_that_differs_each_time_loses_a_block_during_merge(lake, spark):
    """Half the keys, drawn anew at each evaluation: were the source read twice, unmatched keys would come in again."""
    keys = spark.range(0, 400, 1, 8).selectExpr("concat('k', id) AS item_id", "CAST(id AS int) AS item")
    lake.overwrite(keys, TABLE)
    drawn = keys.where("rand() < 0.5").selectExpr("item_id", "item + 1000 AS item")
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        losing = pool.submit(lose_materialised_source, spark, done)
        try:
            lake.merge(drawn, TABLE)
        finally:
            done.set()
        assert losing.result() > 0, "no block was lost"
    found = rows(lake)
    assert len(found) == len({key for key, _ in found}) == 400
    assert 0 < sum(item >= 1000 for _, item in found) < 400


@pytest.mark.slow
def test_fault_09_optimize_during_merge(lake, spark):
    for number in range(4):
        lake.append(index(spark, (f"k{number}", number)), TABLE, f"batch-{number}", 1)
    begun = lake.config.root + "-begun"

    def slowly(parts):
        Path(begun).touch()
        time.sleep(2)
        yield from parts

    slow = index(spark, ("k1", 100), ("new", 101)).mapInPandas(slowly, INDEX)
    with ThreadPoolExecutor(1) as pool:
        merging = pool.submit(lake.merge, slow, TABLE)
        while not Path(begun).exists():
            time.sleep(0.01)
        optimize(lake, TABLE)
        merging.result()
    assert rows(lake) == [("k0", 0), ("k1", 100), ("k2", 2), ("k3", 3), ("new", 101)]
    assert [commit.operation for commit in lake.commits(TABLE)][:2] == ["MERGE", "OPTIMIZE"], "they did not meet"


def test_fault_10_a_write_fails_half_way_through_a_file(lake, spark):
    first = lake.append(index(spark, ("a", 0)), TABLE, "batch-1", 1)
    many = spark.range(200_000).selectExpr("sha2(CAST(id AS string), 256) AS item_id", "CAST(id AS int) AS item")
    process = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (512 * 1024, before[1]))
    try:
        with pytest.raises(Exception, match="File too large|TASK_WRITE_FAILED"):
            lake.append(many, TABLE, "batch-2", 1)
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)
    assert next(lake.commits(TABLE)).version == first and rows(lake) == [("a", 0)]
    lake.append(many, TABLE, "batch-2", 1)
    assert lake.read(TABLE).count() == lake.read(TABLE).select("item_id").distinct().count() == 200_001


def sequences(spark, users, first):
    """gold/sequences of users with one row each, whose items tell user and table apart."""
    found = [(f"u{user}", user, [first + user, first + user + 1], [1, 2], "train", [], [], None) for user in range(users)]
    schema = (
        "user_id string, user int, items array<int>, times array<bigint>, split string, past array<int>, "
        "past_times array<bigint>, next_split string"
    )
    return spark.createDataFrame(found, schema).repartition(4, "user")


def windows(files):
    return sorted(feed.read_windows(files, "train", 3, PAD)[0][:, 0].tolist())


def test_fault_11_vacuum_during_a_training_read(lake, spark, monkeypatch):
    """The table is replaced and vacuumed when the first of several row groups has been read."""
    pinned = lake.overwrite(sequences(spark, 40, 0), Tables.SEQUENCES)
    files, whole, calls = live_files(lake, Tables.SEQUENCES, pinned), feed._windows_of, []
    assert len(files) > 1

    def vanish(*arguments):
        if not calls:
            lake.overwrite(sequences(spark, 40, 500), Tables.SEQUENCES)
            vacuum_all(lake, Tables.SEQUENCES)
        calls.append(1)
        return whole(*arguments)

    monkeypatch.setattr(feed, "_windows_of", vanish)
    with pytest.raises(TrainingError, match="was it vacuumed"):
        windows(files)
    assert not any(Path(file.removeprefix("file://")).exists() for file in files)
    monkeypatch.undo()
    assert windows(live_files(lake, Tables.SEQUENCES)) == list(range(500, 540))


def test_fault_11_compaction_and_vacuum_leave_what_a_pinned_version_holds(lake, spark):
    """Its own files are gone, and those of a later version with the same rows are read instead."""
    for number in range(2):
        pinned = lake.append(sequences(spark, 20, 100 * number), Tables.SEQUENCES, f"batch-{number}", 1)
    optimize(lake, Tables.SEQUENCES)
    vacuum_all(lake, Tables.SEQUENCES)
    assert windows(live_files(lake, Tables.SEQUENCES, pinned)) == [*range(20), *range(100, 120)]


KEEPER = "import time; from lakerec.lake import scratch; f = scratch.scratch_folder(); (f / 'shuffle').write_text('x'); "


def keeper(then):
    """A process with a scratch folder, and the folder."""
    code = KEEPER + f"print(f, flush=True); {then}"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_fault_34_what_a_killed_driver_left_goes_when_the_next_one_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (killed, left), (living, used) = keeper("time.sleep(60)"), keeper("time.sleep(60)")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "shuffle").exists(), "nothing cleans up after SIGKILL"
        third, own = keeper("pass")
        third.wait()
        assert not left.exists() and not own.exists()
        assert (used / "shuffle").exists(), "a living process keeps its folder"
    finally:
        living.terminate()
        living.wait()
    sweep()
    assert list(tmp_path.iterdir()) == []


def test_fault_35_a_folder_with_removed_files(lake, spark):
    lake.overwrite(sequences(spark, 40, 500), Tables.SEQUENCES)
    lake.overwrite(sequences(spark, 30, 0), Tables.SEQUENCES)
    folder = Path(lake.name(Tables.SEQUENCES))
    assert spark.read.parquet(str(folder)).count() > lake.read(Tables.SEQUENCES).count() == 30
    assert windows(live_files(lake, Tables.SEQUENCES)) == list(range(30))


def test_fault_35_a_folder_with_deletion_vectors(lake, spark):
    """Files that hold rows which are gone are not read as they lie; a copy of the snapshot is, until they are purged."""
    pinned = lake.overwrite(sequences(spark, 40, 0).coalesce(1), Tables.SEQUENCES)
    lake.delete(Tables.SEQUENCES, F.col("user") >= 30)
    version, copy = lake.version(Tables.SEQUENCES), Path(lake.root) / "copy"
    assert list(Path(lake.name(Tables.SEQUENCES)).rglob("deletion_vector_*")), "the deletion rewrote the file instead"
    assert windows(live_files(lake, Tables.SEQUENCES)) == list(range(40))
    copied = plain_files(lake, Tables.SEQUENCES, version, copy)
    assert windows(copied) == list(range(30)) and all("/copy/" in file for file in copied)
    assert plain_files(lake, Tables.SEQUENCES, pinned, copy) == live_files(lake, Tables.SEQUENCES, pinned)
    spark.sql(f"REORG TABLE {lake.sql_name(Tables.SEQUENCES)} APPLY (PURGE)")
    purged = plain_files(lake, Tables.SEQUENCES, version, copy)
    assert windows(purged) == list(range(30)) and not any("/copy/" in file for file in purged)
