"""Faults 4, 12, 21, 22 and 24, on one small shop from raw files to gold."""

import shutil

import pytest
from lakerec.clean.items import add_titles, clean_items, titles_in
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError, LakeError

from tests.faults.raw import HEADER, Shop

pytestmark = pytest.mark.spark
USERS, EVENTS = ("ann", "bob", "cat"), 4
STAGES = ("ingest", "clean", "featurize")


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """Three users with four events each, and four events of nobody: a quarter of all rows."""
    shop = Shop(spark, tmp_path_factory.mktemp("whole"))
    shop.others = {"features": {"statistics": True}, "split": {"protocol": "leave_last_out"}}
    lines = [f"{user},i{day},2024-01-0{day + 1} 10:00:00,1" for user in (*USERS, "") for day in range(EVENTS)]
    shop.write("1.csv", HEADER + "\n".join(lines) + "\n")
    shop.run(*STAGES)
    return shop


def users_in(shop, table):
    return {user for (user,) in shop.rows(table, "user_id")}


def test_fault_21_events_of_nobody_are_not_one_person_and_count_for_their_items(whole):
    assert whole.rows(Tables.EVENTS, "user_id IS NULL", "session_id IS NULL").count((True, True)) == EVENTS
    for table in (Tables.USER_INDEX, Tables.INTERACTIONS, Tables.SEQUENCES, Tables.USER_STATS):
        assert users_in(whole, table) == set(USERS), table
    assert max(len(items) for (items,) in whole.rows(Tables.SEQUENCES, "concat(past, items)")) == EVENTS
    assert whole.rows(Tables.ITEM_STATS, "item_id", "events_all", "users") == [
        (f"i{day}", len(USERS) + 1, len(USERS)) for day in range(EVENTS)
    ]


def test_fault_22_whatever_the_order_of_arrival_an_item_has_one_description(spark):
    """Titles of events: the commonest, then the first by alphabet. Descriptions: the last of the newest delivery."""
    events = [("x", {"title": title}) for title in ("Tea", "Lamp", "Tea", " Tea", "Lamp", "Mug", "Lamp", "")]
    described = [
        ("y", title, None, None, None, file, row, "b", at, title)
        for title, file, row, at in [("Old", "a", 1, 1), ("First", "a", 1, 2), ("Last", "a", 9, 2), ("Before", "A", 99, 2)]
    ]
    schema = (
        "item_id string, title string, description string, categories array<string>, attributes map<string,string>, "
        "source_file string, source_row bigint, batch_id string, ingested_at int, digest string"
    )
    for parts in (1, 3):
        for some, others in ((events[:3], events[3:]), (events[5:], events[:5])):
            frames = [spark.createDataFrame(rows, "item_id string, context map<string,string>") for rows in (some, others)]
            first, more = [titles_in(frame.repartition(parts)) for frame in frames]
            grown = add_titles(first, more)
            titles = grown.unionByName(first.join(grown, on=["item_id", "title"], how="left_anti"))
            items = clean_items(spark.createDataFrame(described[::-1], schema).repartition(parts), titles)
            assert sorted((row.item_id, row.title) for row in items.collect()) == [("x", "Lamp"), ("y", "Last")]


@pytest.mark.slow
def test_fault_12_rows_deleted_in_bronze_go_from_what_is_made_of_it(whole, tmp_path):
    """As somebody does by hand who erases a person: no crash, and the files that are known do not bring them back."""
    shop = whole.copy(tmp_path)
    kept = {table: shop.rows(table, "to_json(struct(*))") for table in (Tables.EVENTS, Tables.SEQUENCES)}
    shop.spark.sql(f"DELETE FROM {shop.lake.sql_name(Tables.BRONZE_EVENTS)} WHERE user_id = 'ann'")
    shop.run(*STAGES)
    for table in (Tables.EVENTS, Tables.INTERACTIONS, Tables.SEQUENCES, Tables.USER_STATS):
        assert users_in(shop, table) - {None} == {"bob", "cat"}, table
    for table, rows in kept.items():
        assert shop.rows(table, "to_json(struct(*))") == [row for row in rows if '"user_id":"ann"' not in row[0]], table


def test_fault_04_a_table_that_lost_its_log_is_not_taken_for_an_empty_one(whole, tmp_path):
    shop = whole.copy(tmp_path)
    shutil.rmtree(tmp_path / "lake" / Tables.BRONZE_EVENTS / "_delta_log")
    for stages in (STAGES, STAGES[1:]):
        with pytest.raises(LakeError, match="^bronze/events: its Delta log is damaged: .* holds files of data, but no log"):
            shop.run(*stages)
    for table in (Tables.EVENTS, Tables.SEQUENCES, Tables.FILES):
        assert shop.lake.version(table) == whole.lake.version(table)


def test_fault_24_where_no_row_is_left_what_was_made_before_stays(whole, tmp_path):
    shop = whole.copy(tmp_path)
    tables = (Tables.BRONZE_EVENTS, Tables.QUARANTINE, Tables.EVENTS, Tables.SEQUENCES)
    before = [shop.lake.version(table) for table in tables]
    rule = {"code": "none_is_good_enough", "when": "true", "action": "quarantine"}
    with pytest.raises(EmptyDataError, match="not one of 16 rows is usable now, most were refused as none_is_good_enough"):
        shop.run(*STAGES, rules=[rule])
    assert [shop.lake.version(table) for table in tables] == before
    shop.spark.sql(f"DELETE FROM {shop.lake.sql_name(Tables.BRONZE_EVENTS)}")
    with pytest.raises(EmptyDataError, match="^bronze/events has no rows"):
        shop.run(*STAGES[1:])
    assert [shop.lake.version(table) for table in tables[1:]] == before[1:]
