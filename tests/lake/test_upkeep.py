"""Small files become large ones, what nobody reads goes, what somebody pinned stays; a tidy table is left as it is."""

import pytest
from lakerec.columns import Tables
from lakerec.lake.commits import Commit
from lakerec.lake.upkeep import HOUR, MARGIN, keep_up, retention, unknown_tables

from tests.tables import age

INDEX = "item_id string, item int"
TABLE = Tables.ITEM_INDEX
NOW = 100 * 24 * HOUR
LOG = [
    Commit(4, "WRITE", NOW - 2 * 24 * HOUR),
    Commit(3, "OPTIMIZE", NOW - 10 * 24 * HOUR),
    Commit(2, "WRITE", NOW - 20 * 24 * HOUR),
    Commit(1, "WRITE", NOW - 30 * 24 * HOUR),
]


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ((), (7 * 24, None)),
        ((4,), (7 * 24, None)),  # the latest: VACUUM keeps its files anyway
        ((2,), (7 * 24, None)),  # read by version 3, which was the latest until two days ago
        ((1, 2), (20 * 24 + MARGIN, 1)),  # replaced by version 2
        ((0,), (30 * 24 + MARGIN, 0)),
        ((-1,), (7 * 24, None)),  # the log knows nothing of it any more
    ],
)
def test_the_retention_covers_the_time_since_a_pinned_version_was_the_latest(pins, expected):
    assert retention(LOG, 7, pins, NOW) == expected


@pytest.mark.spark
def test_small_files_become_one_and_a_tidy_table_gets_no_version(lake, spark):
    for number in range(3):
        lake.append(spark.createDataFrame([("a", number)], INDEX).coalesce(1), TABLE, f"batch-{number}", 1)
    dry = keep_up(lake, TABLE, 7, (), dry_run=True)
    assert (dry.files_before, dry.files_after) == (3, 3) and next(lake.commits(TABLE)).version == 3
    done = keep_up(lake, TABLE, 7, ())
    assert (done.files_before, done.files_after, done.removed_files, done.removed_bytes) == (3, 1, 0, 0)
    version = next(lake.commits(TABLE)).version
    assert keep_up(lake, TABLE, 7, ()).files_before == 1
    assert next(lake.commits(TABLE)).version == version


@pytest.mark.spark
def test_what_left_the_table_long_ago_goes_unless_a_version_that_holds_it_is_pinned(lake, spark, tmp_path):
    frames = [spark.createDataFrame([(name, 0)], INDEX).coalesce(1) for name in "abc"]
    pinned, second, _ = [lake.overwrite(frame, TABLE) for frame in frames]
    old = age(lake, TABLE, 30, tmp_path / "old")
    kept = keep_up(old, TABLE, 7, {pinned})
    assert (kept.removed_files, kept.pinned, kept.retention_hours // 24) == (0, pinned, 31)
    assert [row.item_id for row in old.read(TABLE, pinned).collect()] == ["a"]
    assert keep_up(old, TABLE, 7, (), dry_run=True).removed_files == 2
    gone = keep_up(old, TABLE, 7, ())
    assert gone.removed_files == 2 and gone.removed_bytes > 0
    assert [row.item_id for row in old.read(TABLE).collect()] == ["c"]
    with pytest.raises(Exception, match=r"FILE_NOT_EXIST|FileNotFound|does not exist"):
        old.read(TABLE, second).collect()


@pytest.mark.spark
def test_tables_without_a_contract_are_named(lake, spark):
    lake.ensure(TABLE)
    spark.sql(f"CREATE TABLE delta.`{lake.root}/gold/of_old` (a int) USING delta")
    assert unknown_tables(lake) == ["gold/of_old"]
