"""Fault 31 on a standalone cluster: an executor is killed under a rank, and training goes on to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyspark
import pytest
from lakerec.training.status import read_status

from tests.cluster.standalone import cluster
from tests.cluster.test_encoding import children_of
from tests.cluster.test_standalone import node_python

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from dataclasses import asdict, replace
from pathlib import Path
from lakerec.training.fit import kept_under
from lakerec.training.launcher import launch
from lakerec.training.supervisor import supervise
from pyspark.sql import SparkSession
from tests.walks import recipe, scores, task

def slowly(argument):
    import time
    from lakerec.training.fit import fit_rank
    from lakerec.training.loop import Trainer
    whole = Trainer._step
    def step(trainer, batch):
        time.sleep(argument["seed"] / 10)
        return whole(trainer, batch)
    Trainer._step = step
    return fit_rank(argument)

def ignore(_):
    pass

folder = Path(sys.argv[1])
spark = SparkSession.builder.getOrCreate()
(folder / "app").write_text(spark.sparkContext.applicationId)
found = {}
for name in ("broken", "whole"):
    spec = kept_under(folder / name, task(folder, f"{name}-model", dropout=0.2, recipe=recipe(12), relaunches=2), name)
    notes = []
    done = supervise(lambda again: launch(slowly, asdict(spec), 2, 0, spark, again=again),
                     Path(spec.checkpoints), spec.relaunches, ignore, notes.append)
    found[name] = {**done, "scores": scores(Path(spec.output)).tolist(), "notes": notes}
print(json.dumps(found))
"""


def test_fault_31_an_executor_is_killed_under_a_rank_and_training_goes_on(tmp_path):
    (tmp_path / "job.py").write_text(SCRIPT)
    python = node_python(tmp_path)
    with cluster(tmp_path, python) as running:
        process = submit(running.url, tmp_path, python)
        os.kill(executor_at_work(process, tmp_path), signal.SIGKILL)
        out, _ = process.communicate(timeout=600)
    log = (tmp_path / "log").read_text()
    assert process.returncode == 0, f"{out[-3000:]}\n{log[-3000:]}"
    found = json.loads(out.strip().splitlines()[-1])
    assert "Lost executor" in log
    assert any(note.startswith("goes on from step") for note in found["broken"]["notes"]) and not found["whole"]["notes"]
    for what in ("curve", "ranks", "scores"):
        assert found["broken"][what] == found["whole"][what]


def submit(url, folder, python):
    settings = {
        "spark.driver.memory": "1g", "spark.executor.memory": "1g", "spark.executor.cores": "1", "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.executorEnv.PYTHONPATH": str(ROOT / "lib"),
    }  # fmt: skip
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", url]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    environment = {**os.environ, "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"}
    with (folder / "log").open("w") as log:
        command += [str(folder / "job.py"), str(folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)


def executor_at_work(process, folder):
    """The process of one of this application's executors, once two epochs are in a checkpoint."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if any(read_status(status.parent).step >= 8 for status in folder.glob("broken/*/status.json")):
            return children_of((folder / "app").read_text())[-1]
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0][-3000:])  # spark-submit writes the driver's errors there
