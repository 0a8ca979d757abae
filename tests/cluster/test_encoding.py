"""Faults 26 and 27 on a standalone cluster: an executor killed, and one that hangs with speculation on; every text once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyspark
import pytest
from lakerec.lake.jars import jar_files

from tests.cluster.standalone import cluster
from tests.cluster.test_standalone import node_python

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
TEXTS = 1_000
EXECUTOR = "CoarseGrainedExecutorBackend"
SCRIPT = f"""
import json, sys
from pathlib import Path
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.stages import pipeline
from pyspark.sql import SparkSession
folder, url, name = sys.argv[1:]
config = Config.model_validate({{
    "name": name, "lake": {{"root": f"{{folder}}/{{name}}"}}, "tracking": {{"uri": f"sqlite:///{{folder}}/{{name}}.db"}},
    "source": {{"events": {{"path": "none"}}}}, "spark": {{"master": url}},
    "encoder": {{"partitions": 8, "rows_per_slice": 100000}},
}})
SparkSession.builder.getOrCreate()
with pipeline.opened(config) as context:
    rows = [(str(n), f"{{n}} " + "a small red lamp " * 20) for n in range({TEXTS})]
    frame = context.spark.createDataFrame(rows, "item_id string, text string")
    context.lake.overwrite(frame.selectExpr("item_id", "text", "sha2(text, 256) AS text_hash"), Tables.ITEM_TEXT)
    Path(folder, name + ".ready").touch()
    pipeline.run(context, ["embed"])
    found = context.lake.read(Tables.TEXT_VECTORS)
    items = context.lake.read(Tables.ITEM_VECTORS)
    print(json.dumps([found.count(), found.select("text_hash").distinct().count(), items.count()]))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "job.py").write_text(SCRIPT)
    python = node_python(folder)
    with cluster(folder, python) as found:
        yield folder, found.url, python


def start(running, name, **settings):
    """The embed stage over TEXTS texts in eight tasks, as an application of its own."""
    folder, url, python = running
    settings |= {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension", "spark.driver.memory": "1g",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog", "spark.executor.memory": "1g",
        "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2",
        "spark.executor.cores": "1", "spark.databricks.delta.snapshotPartitions": "2",
        "spark.executorEnv.PYTHONPATH": str(ROOT / "lib"),
    }  # fmt: skip
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", url]
    command += ["--jars", ",".join(map(str, jar_files()))]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    environment = {**os.environ, "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "LAKEREC_NO_PROGRESS": "1"}
    process = subprocess.Popen(
        [*command, str(folder / "job.py"), str(folder), url, name], env=environment, stdout=subprocess.PIPE,
        stderr=(folder / f"{name}.log").open("w"), text=True,
    )  # fmt: skip
    return process, folder


def executor_at_work(process, folder, name):
    """The process of an executor whose task encodes: its Python worker has used some seconds of processor."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / f"{name}.ready").exists():
            for executor in children_of(EXECUTOR):
                if any(seconds > 3 for seconds in worker_seconds(executor)):
                    return executor
        time.sleep(0.2)
    raise AssertionError((folder / f"{name}.log").read_text()[-3000:])


def children_of(word):
    listed = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [int(line.split(None, 1)[0]) for line in listed if word in line and "--app-id" in line]


def worker_seconds(executor):
    """Processor seconds of the processes under an executor."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,cputimes"], capture_output=True, text=True).stdout.splitlines()[1:]
    rows = [tuple(map(int, line.split())) for line in listed]
    known = {executor}
    for _ in range(3):
        known |= {pid for pid, parent, _ in rows if parent in known}
    return [seconds for pid, _, seconds in rows if pid in known - {executor}]


def ended(process, folder, name):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, (folder / f"{name}.log").read_text()[-5000:]
    return json.loads(out.strip().splitlines()[-1])


def test_fault_26_an_executor_is_killed_in_the_midst_and_every_text_is_there_once(running):
    process, folder = start(running, "killed")
    os.kill(executor_at_work(process, folder, "killed"), signal.SIGKILL)
    assert ended(process, folder, "killed") == [TEXTS] * 3
    assert "Lost executor" in (folder / "killed.log").read_text()


@pytest.mark.long
def test_fault_27_a_task_that_hangs_is_run_elsewhere_too_and_every_text_is_there_once(running):
    settings = {"spark.speculation": "true", "spark.speculation.quantile": "0.2", "spark.speculation.multiplier": "1.1"}
    process, folder = start(running, "hung", **settings, **{"spark.speculation.minTaskRuntime": "1s"})
    hung = executor_at_work(process, folder, "hung")
    os.kill(hung, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 90
        while "speculat" not in (folder / "hung.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(2)
    finally:
        os.kill(hung, signal.SIGCONT)
    assert ended(process, folder, "hung") == [TEXTS] * 3
    assert "speculat" in (folder / "hung.log").read_text()
