"""jobs/ through spark-submit with the built wheel: embed under a GPU profile on both workers, train with two ranks."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pyspark
import pytest
from lakerec.columns import Tables
from lakerec.lake.jars import jar_files
from lakerec.stages.pipeline import ORDER

from tests import shop
from tests.cluster.standalone import cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
OVERRIDES = ("spark.master=null", "encoder.gpus_per_task=1", "encoder.partitions=2", "train.ranks=2")
GPU_ADDRESS = "gpu"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The shop's folder after the pipeline was submitted to a cluster, and one verb after it."""
    folder = tmp_path_factory.mktemp("cluster")
    conf = shop.write(folder)
    (folder / "log").mkdir()
    wheel, python = build_wheel(folder), node_python(folder)
    with cluster(folder, python) as running:
        submit(running.url, wheel, python, "run", conf, folder)
        submit(running.url, wheel, python, "report", conf, folder)
    return folder


def build_wheel(folder):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("lakerec-*.whl"))


def node_python(folder):
    """A Python that has what the lock file names and no lakerec: on a node, that comes with the wheel alone."""
    venv.create(folder / "node", symlinks=True)
    packages = next(Path(path) for path in sys.path if (Path(path) / "pyspark").is_dir())
    site = next((folder / "node" / "lib").glob("python*")) / "site-packages"
    (site / "packages.pth").write_text(f"{packages}\n")  # its own .pth files, the editable install's too, are not followed
    python = folder / "node" / "bin" / "python"
    assert subprocess.run([python, "-c", "import torch, lakerec"], capture_output=True, cwd=folder).returncode == 1
    assert subprocess.run([python, "-c", "import torch, pyspark"], capture_output=True, cwd=folder).returncode == 0
    return python


def submit(url, wheel, python, job, conf, folder):
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.executor.resource.gpu.amount": "1", "spark.databricks.delta.snapshotPartitions": "2",
        "spark.executor.memory": "1g", "spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false", "spark.eventLog.dir": (folder / "log").as_uri(),
        "spark.eventLog.rolling.enabled": "false",
    }  # fmt: skip
    command = [str(SUBMIT), "--master", url, "--jars", ",".join(map(str, jar_files())), "--py-files", str(wheel)]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    command += [str(ROOT / "jobs" / f"{job}.py"), "--conf", str(conf)]
    command += [word for override in OVERRIDES for word in ("--set", override)]
    environment = {**os.environ, "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python)}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(Path(pyspark.__file__).parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, f"{job}: {done.stdout[-2000:]}\n{done.stderr[-6000:]}"


def events(folder):
    """Events of the application that ran the pipeline, the first one."""
    return [json.loads(line) for line in min((folder / "log").iterdir()).read_text().splitlines()]


def test_embed_ran_under_the_gpu_profile_on_both_workers(folder):
    log = events(folder)
    profiles = {
        event["Resource Profile Id"]
        for event in log
        if event["Event"] == "SparkListenerResourceProfileAdded" and GPU_ADDRESS in event["Task Resource Requests"]
    }
    assert profiles, "no resource profile with a GPU was made"
    stages = {
        event["Stage Info"]["Stage ID"]
        for event in log
        if event["Event"] == "SparkListenerStageCompleted" and event["Stage Info"]["Resource Profile Id"] in profiles
    }
    executors = {
        event["Task Info"]["Executor ID"]
        for event in log
        if event["Event"] == "SparkListenerTaskEnd" and event["Stage ID"] in stages
    }
    assert len(executors) == 2


def test_train_ran_with_two_ranks_and_the_pipeline_went_to_its_end(folder, spark):
    from lakerec.config import LakeConfig
    from lakerec.lake.lake import Lake

    lake = Lake(spark, LakeConfig(root=str(folder / "lake")))
    runs = {row.stage: row for row in lake.read(Tables.RUNS).collect()}
    assert set(runs) == set(ORDER) - {"adapt", "profile"}
    assert runs["train"].details["ranks"] == "2"
    assert lake.read(Tables.TEXT_VECTORS).where("vector is not null").count() == 32
    assert lake.read(Tables.RECOMMENDATIONS).count() == 400
    assert (folder / "report.html").is_file()
