"""Which versions of a table have the same content, and what changed between two that have not."""

from dataclasses import replace

import pytest
from lakerec.columns import Tables
from lakerec.lake import commits
from lakerec.lake.commits import Commit
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake

from tests.tables import optimize, vacuum_all

pytestmark = pytest.mark.spark
INDEX = "item_id string, item int"
TABLE = Tables.ITEM_INDEX


@pytest.fixture
def fed(lake, monkeypatch):
    """A lake whose item index has a change feed."""
    monkeypatch.setitem(CONTRACTS, TABLE, replace(CONTRACTS[TABLE], change_feed=True))
    return lake


def frame(lake, *rows):
    return lake.spark.createDataFrame(list(rows), INDEX)


def sql(lake, statement):
    lake.spark.sql(statement.replace("TABLE_", f"delta.`{lake.name(TABLE)}`"))


def changed(lake, since):
    found = lake.changes(TABLE, since)
    return None if found is None else sorted(tuple(row) for row in found.collect())


def test_upkeep_leaves_the_content_version_and_a_pinned_read_outlives_it(lake):
    for number in range(3):
        pinned = lake.append(frame(lake, (f"a{number}", number)), TABLE, f"batch-{number}", 1)
    before = sorted(lake.read(TABLE).collect())
    optimize(lake, TABLE)
    sql(lake, "ALTER TABLE TABLE_ SET TBLPROPERTIES ('delta.logRetentionDuration' = 'interval 60 days')")
    vacuum_all(lake, TABLE)
    assert lake.version(TABLE) == pinned == 3
    assert sorted(lake.read(TABLE, pinned).collect()) == before
    assert next(lake.commits(TABLE)).version > pinned + 2


def test_a_write_without_rows_is_no_new_content(lake):
    first = lake.append(frame(lake, ("a", 0)), TABLE, "one", 1)
    assert lake.append(frame(lake), TABLE, "two", 1) == first
    assert lake.merge(frame(lake), TABLE) == first
    assert lake.overwrite(frame(lake), TABLE) > first


def test_history_says_what_the_log_files_say(lake):
    lake.append(frame(lake, ("a", 0)), TABLE, "one", 1)
    lake.merge(frame(lake, ("a", 1)), TABLE)
    sql(lake, "ALTER TABLE TABLE_ SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    lake.overwrite(frame(lake, ("b", 0)), TABLE)
    for number in range(commits.RECENT):
        lake.append(frame(lake, (f"c{number}", number)), TABLE, f"c{number}", 1)
    vacuum_all(lake, TABLE)
    by_history = list(commits.from_history(lake._table(TABLE)))
    by_files = list(lake.commits(TABLE))
    assert [commit.version for commit in by_history] == [commit.version for commit in by_files] == list(range(14, -1, -1))
    facts = [(c.operation, c.changes, c.can_be_followed, c.turns_feed, c.vacuumed_until > 0) for c in by_files]
    assert facts == [(c.operation, c.changes, c.can_be_followed, c.turns_feed, c.vacuumed_until > 0) for c in by_history]


def test_changes_are_the_rows_since_a_content_version(fed):
    first = fed.append(frame(fed, ("a", 0), ("b", 1)), TABLE, "one", 1)
    second = fed.append(frame(fed, ("c", 2)), TABLE, "two", 1)
    optimize(fed, TABLE)
    fed.merge(frame(fed, ("b", 7), ("d", 3)), TABLE)
    assert fed.changes(TABLE, first).columns == ["item_id", "item", "_change_type"]
    later = [("b", 1, "update_preimage"), ("b", 7, "update_postimage"), ("d", 3, "insert")]
    assert changed(fed, second) == later
    assert changed(fed, first) == sorted([*later, ("c", 2, "insert")])
    assert changed(fed, fed.version(TABLE)) == []


def test_changes_are_not_told_over_an_overwrite(fed):
    first = fed.append(frame(fed, ("a", 0)), TABLE, "one", 1)
    second = fed.overwrite(frame(fed, ("a", 0), ("b", 1)), TABLE)
    fed.append(frame(fed, ("c", 2)), TABLE, "two", 1)
    assert changed(fed, first) is None
    assert changed(fed, second) == [("c", 2, "insert")]


def test_changes_are_not_told_once_their_files_were_vacuumed(fed):
    first = fed.append(frame(fed, ("a", 0)), TABLE, "one", 1)
    fed.append(frame(fed, ("b", 1)), TABLE, "two", 1)
    vacuum_all(fed, TABLE)
    assert changed(fed, first) == [("b", 1, "insert")], "nothing had left the table"
    optimize(fed, TABLE)
    third = fed.append(frame(fed, ("c", 2)), TABLE, "three", 1)
    vacuum_all(fed, TABLE)
    assert changed(fed, first) is None
    fed.append(frame(fed, ("d", 3)), TABLE, "four", 1)
    assert changed(fed, third) == [("d", 3, "insert")]


def test_a_table_of_an_older_lakerec_gets_its_feed_and_tells_what_came_after(lake, monkeypatch):
    first = lake.append(frame(lake, ("a", 0)), TABLE, "one", 1)
    monkeypatch.setitem(CONTRACTS, TABLE, replace(CONTRACTS[TABLE], change_feed=True))
    again = Lake(lake.spark, lake.config)
    second = again.append(frame(lake, ("b", 1)), TABLE, "two", 1)
    again.append(frame(lake, ("c", 2)), TABLE, "three", 1)
    assert changed(again, first) is None, "the feed was off for a while"
    assert changed(again, second) == [("c", 2, "insert")]


def test_changes_are_not_told_of_a_table_without_feed_or_without_files(lake):
    assert lake.changes(TABLE, 0) is None
    first = lake.append(frame(lake, ("a", 0)), TABLE, "one", 1)
    lake.append(frame(lake, ("b", 1)), TABLE, "two", 1)
    assert lake.changes(TABLE, first) is None
    assert lake.changes(TABLE, 99) is None, "made anew, it has fewer versions than someone remembers"


def test_versions_that_a_cleaned_log_no_longer_names():
    left = [Commit(9, "OPTIMIZE", 0), Commit(8, "VACUUM END", 0)]
    assert commits.content_version(left) == 8
    assert commits.newest_like(left, 3) == 3
    assert commits.following(left, 3) is None
    assert commits.following(left, 7) == left[::-1]
