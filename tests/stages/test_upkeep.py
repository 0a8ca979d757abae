"""`lakerec maintain` on a lake as runs left it."""

import os
import time
from datetime import UTC, datetime

import pytest
from lakerec.columns import Tables
from lakerec.errors import InputError
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages import pipeline
from lakerec.stages.base import last_runs
from lakerec.stages.upkeep import maintain, pinned, print_upkeep, size

from tests import shop

pytestmark = pytest.mark.spark
INDEX = "item_id string, item int"


@pytest.fixture(scope="module")
def shopped(spark, tmp_path_factory):
    """A lake of a few tables; two train runs were killed, one of them long ago."""
    folder = tmp_path_factory.mktemp("shop")
    config = shop.config(folder)
    with pipeline.opened(config) as context:
        for number in range(3):
            frame = spark.createDataFrame([(f"i{number}", number)], INDEX).coalesce(1)
            context.lake.append(frame, Tables.ITEM_INDEX, f"batch-{number}", 1)
        for number, stage, version in ((1, "train", 1), (2, "train", 2), (3, "evaluate", 3)):
            context.lake.append(run_row(context, number, stage, {Tables.ITEM_INDEX: version}), Tables.RUNS, f"r{number}", 1)
        for name, days in (("train-done", 30), ("train-killed", 30), ("train-running", 0)):
            path = folder / "lake-models" / name / ".scratch" / "inputs.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"x")
            then = time.time() - days * 86_400
            for part in (path, path.parent, path.parent.parent):
                os.utime(part, (then, then))
        yield config, context, folder


def run_row(context, number, stage, inputs):
    """A row of ops/runs."""
    folder = context.lake.root + "-models/train-done"
    known = {
        "run_id": f"{stage}-{number}", "stage": stage, "key": "k", "config_digest": "d", "inputs": inputs, "outputs": {},
        "details": {"folder": folder}, "started_at": datetime(2024, 1, number, tzinfo=UTC),
    }  # fmt: skip
    contract = CONTRACTS[Tables.RUNS]
    return context.spark.createDataFrame([tuple(known.get(name) for name in contract.names)], contract.schema)


def test_the_latest_run_of_a_stage_pins_what_it_read(shopped):
    _, context, _ = shopped
    assert {stage: row.run_id for stage, row in last_runs(context.lake).items()} == {
        "train": "train-2", "evaluate": "evaluate-3",
    }  # fmt: skip
    assert pinned(context.lake) == {Tables.ITEM_INDEX: {2, 3}, Tables.ITEM_VECTORS: set()}


def test_a_dry_run_changes_nothing_and_then_it_is_done(shopped, capsys, monkeypatch):
    config, context, folder = shopped
    monkeypatch.setenv("COLUMNS", "80")
    would = maintain(config, dry_run=True)
    models = folder / "lake-models"
    assert str(models / "train-killed") in would["left_behind"] and (models / "train-killed").exists()
    assert next(context.lake.commits(Tables.ITEM_INDEX)).version == 3
    done = maintain(config)
    rows = {row["table"]: row for row in done["tables"]}
    assert set(rows) == {Tables.ITEM_INDEX, Tables.RUNS}
    assert (rows[Tables.ITEM_INDEX]["files_before"], rows[Tables.ITEM_INDEX]["files_after"]) == (3, 1)
    assert sorted(path.name for path in models.iterdir()) == ["train-done", "train-running"]
    assert context.lake.version(Tables.ITEM_INDEX) == 3, "no stage is due because of upkeep"
    capsys.readouterr()
    print_upkeep(done)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80 and "gold/item_index" in printed


def test_a_lake_without_tables_is_the_users_mistake(spark, tmp_path):
    with pytest.raises(InputError, match="the lake has no table yet: run `lakerec run` first, and see lake.root"):
        maintain(shop.config(tmp_path))


def test_bytes_for_people():
    assert [size(count) for count in (None, 0, 1023, 1536, 5 * 1024**3)] == ["-", "0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
