"""kill -9 in the middle of each stage, run again: the tables of an unbroken run, nothing lost, nothing twice."""

import os
import signal
import subprocess
import sys
import time

import pytest
from lakerec.columns import Tables
from lakerec.config import LakeConfig
from lakerec.lake.lake import Lake

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]
COMPARED = {
    Tables.BRONZE_EVENTS: ("event_id", "user_id", "item_id", "source_row", "batch_id"),
    Tables.QUARANTINE: ("source", "raw", "reasons"),
    Tables.EVENTS: ("event_id", "session_id"),
    Tables.INTERACTIONS: ("user", "item", "position", "split"),
    Tables.SEQUENCES: ("user", "items", "past", "split", "next_split"),
    Tables.TEXT_VECTORS: ("text_hash", "encoder", "tokens"),
    Tables.ITEM_INDEX: ("item_id", "item"),
}
KILLED = (
    ("ingest", 3.0),
    ("ingest", 6.0),
    ("clean", 2.0),
    ("featurize", 2.0),
    ("featurize", 4.0),
    ("embed", 3.0),
    ("train", 2.0),
    ("evaluate", 2.0),
    ("promote", 1.0),
    ("recommend", 1.0),
    ("report", 1.0),
)
"""Stage, and seconds into it; a stage that is quicker is killed with the next one under way."""
FEW = (("embed", 3.0),)
TO_EMBED = """
import sys
from lakerec.loading import load_config
from lakerec.stages import log, pipeline
log.set_up(watched=False)
with pipeline.opened(load_config(sys.argv[1], (), {})) as context:
    pipeline.run(context, ("ingest", "clean", "featurize", "embed"))
"""


def command(conf, whole):
    """Every stage as a user starts them, or those up to the last that `FEW` kills, in a process of their own."""
    return [sys.executable, *(("-m", "lakerec.cli", "run", "--conf") if whole else ("-c", TO_EMBED)), str(conf)]


def kill_in(command, stage, seconds):
    """Run until `stage` has been under way for so long, then kill the process and all it started.

    Gives whether the stage ran: on a quick machine the kill before may have come after its end.
    """
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        line = next((line for line in process.stderr if f"stage={stage} " in line), "nothing")
        started = " start" in line
        time.sleep(seconds if started else 0)
        assert process.poll() is None, f"the run was over before {stage} could be killed; of it, the log had: {line}"
        return started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def contents(spark, folder):
    """Sorted rows of the compared tables, and the lists without their run."""
    lake = Lake(spark, LakeConfig(root=str(folder / "lake")))
    found = {table: sorted(map(repr, lake.read(table).select(*columns).collect())) for table, columns in COMPARED.items()}
    metrics = lake.read(Tables.METRICS).collect()
    assert len({row.run_id for row in metrics}) <= 1, "evaluate left rows of a run that was cut short"
    found["metrics"] = sorted(repr((row.model, row.slice, row.metric, round(row.value, 4))) for row in metrics)
    return found


@pytest.mark.parametrize(
    ("killed", "every"), [(FEW, False), pytest.param(KILLED, True, marks=pytest.mark.long)], ids=["few", "every stage"]
)
def test_killed_at_any_stage_the_next_run_ends_with_the_same_tables(spark, tmp_path, killed, every):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    conf = shop.write(whole)
    subprocess.run(command(conf, every), check=True, capture_output=True)
    again = command(shop.write(broken), every)
    hits = [stage for stage, seconds in killed if kill_in(again, stage, seconds)]
    assert len(hits) >= len(killed) - len(killed) // 5, f"killed in {hits} only"
    subprocess.run(again, check=True, capture_output=True)
    expected, found = contents(spark, whole), contents(spark, broken)
    assert bool(expected["metrics"]) == every
    for table in expected:
        if table not in (Tables.BRONZE_EVENTS, Tables.TEXT_VECTORS):
            assert found[table] == expected[table], table
    # Batch ids and file order depend on where the raw files lie, so bronze is compared by key.
    assert len(found[Tables.BRONZE_EVENTS]) == len(expected[Tables.BRONZE_EVENTS]) == 320
    assert found[Tables.TEXT_VECTORS] == expected[Tables.TEXT_VECTORS]
