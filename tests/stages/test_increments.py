"""Ingest, clean and featurize over random orders of arrival: the tables are those of one batch, and of `--full`."""

import random
import shutil
from dataclasses import replace

import pytest
from lakerec.columns import Tables
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.loading import load_config
from lakerec.registry.tracking import Tracker
from lakerec.stages.base import Context, run_stage
from lakerec.stages.pipeline import stage
from lakerec.stages.progress import Progress

pytestmark = [pytest.mark.spark, pytest.mark.slow]
CONFIG = """
name: shop
lake: {{root: {folder}/lake}}
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
source:
  events:
    path: {folder}/raw
    columns: {{user_id: user, item_id: item, event_time: at, value: stars, title: name, event_type: kind, price: price}}
{items}clean: {{cancels: {{back: buy}}, bots: {{events_per_minute: 3}}}}
split: {{protocol: {protocol}}}
"""
HEADER = "user,item,at,stars,name,kind,price\n"
COLUMNS = {
    Tables.BRONZE_EVENTS: ("event_id", "user_id", "item_id", "event_type", "event_time", "value", "context"),
    Tables.QUARANTINE: ("source", "raw", "reasons"),
    Tables.EVENTS: (
        "event_id", "user_id", "item_id", "event_time", "session_id", "is_bot", "bot_reasons", "net_value", "price",
    ),
    Tables.ITEMS: ("item_id", "title"),
    Tables.INTERACTIONS: ("user_id", "item_id", "event_time", "weight", "split", "position"),
    Tables.ITEM_TEXT: ("item_id", "text"),
}  # fmt: skip


def files(seed: int) -> dict[str, str]:
    """Eight files of rows that overlap in time; a file may be bad in places."""
    rng = random.Random(seed)
    parts = {}
    for number in range(8):
        lines = []
        for _ in range(30):
            user = rng.choice(["ann", "bob", "cat", "dan", "eve", ""])
            minute = number * 60 + rng.randrange(0, 600, rng.choice([1, 10]))
            at = f"2024-01-{1 + minute // 1440:02d} {minute // 60 % 24:02d}:{minute % 60:02d}:{rng.randrange(60):02d}"
            item = rng.choice("uvwxyz")
            row = [
                user,
                item,
                at,
                str(rng.randrange(1, 4)),
                f"{item} {rng.randrange(2)}",
                rng.choice(["buy", "buy", "back"]),
                rng.choice(["", "1.5", "4"]),
            ]
            if rng.random() < 0.1:
                row[rng.choice([1, 2])] = ""
            lines.append(",".join(row))
        lines.append(rng.choice(lines))  # an exact repeat
        parts[f"{number}.csv"] = HEADER + "\n".join(lines) + "\n"
    return parts


def contents(context: Context) -> dict[str, list[str]]:
    """The tables, without where and when rows came from, and with sequences by external ids."""
    lake = context.lake
    found = {table: sorted(map(str, lake.read(table).select(*names).collect())) for table, names in COLUMNS.items()}
    index = {row.item: row.item_id for row in lake.read(Tables.ITEM_INDEX).collect()}
    rows = lake.read(Tables.SEQUENCES).collect()
    found[Tables.SEQUENCES] = sorted(
        str(
            (
                r.user_id,
                r.split,
                [index[i] for i in r["items"]],
                r.times,
                [index[i] for i in r.past],
                r.past_times,
                r.next_split,
            )
        )
        for r in rows
    )
    return found


def run(spark, folder, protocol, full=False, items="") -> Context:
    """
    Args:
        items: folder of descriptions; none: there are no such files.
    """
    conf = folder / "shop.yaml"
    columns = "{item_id: item, title: name, description: text, categories: kinds}"
    described = f"  items: {{path: {folder}/{items}, columns: {columns}}}\n"
    conf.write_text(CONFIG.format(folder=folder, protocol=protocol, items=described if items else ""))
    config = load_config(conf, (), {})
    context = Context(
        config, spark, Lake(spark, config.lake), Tracker(config.tracking, "test"), Progress(False, spark), full=full
    )
    for name in ("ingest", "clean", "featurize"):
        run_stage(context, stage(name), force=full)
    return context


@pytest.mark.long
@pytest.mark.parametrize(("seed", "protocol"), [(1, "leave_last_out"), (2, "temporal")])
def test_fault_13_whatever_the_order_of_arrival_the_tables_are_those_of_one_batch(spark, tmp_path, seed, protocol):
    parts = files(seed)
    for name in ("whole", "grown"):
        (tmp_path / name / "raw").mkdir(parents=True)
    for name, text in parts.items():
        (tmp_path / "whole" / "raw" / name).write_text(text)
    expected = contents(run(spark, tmp_path / "whole", protocol))
    order = list(parts)
    random.Random(seed).shuffle(order)
    for number, arriving in enumerate((order[:4], order[4:7], order[7:])):
        for name in arriving:
            (tmp_path / "grown" / "raw" / name).write_text(parts[name])
        if number == 1:  # delivered twice, under another name
            shutil.copy(tmp_path / "grown" / "raw" / order[0], tmp_path / "grown" / "raw" / f"{order[0]}-again.csv")
        context = run(spark, tmp_path / "grown", protocol)
    assert contents(context) == expected
    assert contents(run(spark, tmp_path / "grown", protocol, full=True)) == expected


@pytest.mark.long
def test_events_that_were_cleaned_before_there_were_prices_are_cleaned_anew(spark, tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "1.csv").write_text(HEADER + "ann,u,2024-01-01 10:00:00,1,u,buy,1.5\n")
    now = CONTRACTS[Tables.EVENTS]
    older = replace(now, columns=tuple(column for column in now.columns if column.name != "price"))
    monkeypatch.setitem(CONTRACTS, Tables.EVENTS, older)
    assert "price" not in run(spark, tmp_path, "leave_last_out").lake.read(Tables.EVENTS).columns
    monkeypatch.undo()
    (tmp_path / "raw" / "2.csv").write_text(HEADER + "ben,u,2024-01-02 10:00:00,1,u,buy,4\n")
    found = run(spark, tmp_path, "leave_last_out").lake.read(Tables.EVENTS).collect()
    assert {(row.user_id, row.price) for row in found} == {("ann", 1.5), ("ben", 4.0)}


DESCRIBED = (
    "item,name,text,kinds,color\na,Apple,,fruit,red\nb,Bread,Of rye,food,brown\n",
    "item,name,text,kinds,color\na,Apple,Sweet,fruit|food,green\nz,Zest,Of lemons,,\n",  # z: nobody met it
    "item,name,text,kinds,color\nb,,,food|bakery,\nc,Cup,,,blue\n",
)
BOUGHT = (
    "ann,a,2024-01-01 10:00:00,1,,buy,\n",
    "ann,b,2024-01-01 11:00:00,1,,buy,\n",
    "ben,c,2024-01-03 10:00:00,1,,buy,\n",
)


@pytest.mark.long
def test_items_described_anew_are_those_that_a_full_run_describes(spark, tmp_path):
    for name in ("raw", "items"):
        (tmp_path / name).mkdir()
    wanted = {Tables.ITEMS: ("item_id", "title", "description", "categories", "attributes"),
              Tables.ITEM_TEXT: ("item_id", "text", "text_hash")}  # fmt: skip
    for number, (described, bought) in enumerate(zip(DESCRIBED, BOUGHT, strict=True)):
        (tmp_path / "items" / f"{number}.csv").write_text(described)
        if number != 1:  # the second time, only descriptions are new
            (tmp_path / "raw" / f"{number}.csv").write_text(HEADER + bought)
        lake = run(spark, tmp_path, "leave_last_out", items="items").lake
    operations = [commit.operation for commit in lake.commits(Tables.ITEMS)]
    assert operations.count("CREATE TABLE") == 1 and "MERGE" in operations, "items were not updated but written anew"
    grown = {table: sorted(map(str, lake.read(table).select(*names).collect())) for table, names in wanted.items()}
    lake = run(spark, tmp_path, "leave_last_out", full=True, items="items").lake
    assert grown == {table: sorted(map(str, lake.read(table).select(*names).collect())) for table, names in wanted.items()}
    assert len(grown[Tables.ITEMS]) == 4 and "Of rye" in str(grown) and "Sweet" in str(grown)


LIKE = [pytest.param(table, marks=pytest.mark.long) for table in (Tables.INTERACTIONS, Tables.SEQUENCES)]
"""They differ from the first by the table alone."""


@pytest.mark.parametrize("table", [Tables.EVENTS, *LIKE])
def test_a_run_cut_short_between_changed_and_new_rows_is_made_good_by_the_next(spark, tmp_path, monkeypatch, table):
    rows = [
        "ann,u,2024-01-01 10:00:00,2,u,buy,\n",
        "ann,v,2024-01-01 10:05:00,1,v,buy,\n",
        "ann,w,2024-01-02 10:00:00,1,w,buy,\n",
    ]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "1.csv").write_text(HEADER + "".join(rows))
    run(spark, tmp_path, "leave_last_out")
    (tmp_path / "raw" / "2.csv").write_text(
        HEADER
        + "ann,u,2024-01-01 10:01:00,-1,u,back,\nann,x,2024-01-03 09:00:00,1,x,buy,\nben,x,2024-01-03 09:00:00,1,x,buy,\n"
    )
    append, changed = Lake.append, []

    def cut(lake, frame, name, *once):
        if name == table and lake.version(table) > before:
            changed.append(name)
            raise KeyboardInterrupt
        return append(lake, frame, name, *once)

    before = Lake(spark, load_config(tmp_path / "shop.yaml", (), {}).lake).version(table)
    monkeypatch.setattr(Lake, "append", cut)
    with pytest.raises(KeyboardInterrupt):
        run(spark, tmp_path, "leave_last_out")
    monkeypatch.undo()
    assert changed == [table], "no row was changed before the new ones were to be added"
    grown = contents(run(spark, tmp_path, "leave_last_out"))
    assert grown == contents(run(spark, tmp_path, "leave_last_out", full=True))
