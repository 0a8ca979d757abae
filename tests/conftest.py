"""One Spark session with Delta for the whole run: UTC, few shuffle partitions, a temporary warehouse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lakerec.config import LakeConfig, SparkConfig

if TYPE_CHECKING:
    from lakerec.lake.lake import Lake
    from pyspark.sql import SparkSession

os.environ["LAKEREC_NO_PROGRESS"] = "1"
# Queries over a few rows run once or twice each: Java's optimizing compiler takes more of a core than it gives back.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m")


def share_cores() -> None:
    """Give each of pytest-xdist's processes, and all that it starts, cores of its own, as far as there are so many."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) :: workers] or cores)


share_cores()


INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""Queries of tests run once, over a few rows: Java that is generated and compiled takes a fifth of their time. Tests that
start a process (the command line, kills, the notebook, a cluster) have it, as users do."""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from lakerec.lake.session import spark_session

    warehouse = tmp_path_factory.mktemp("warehouse")
    settings = {"spark.sql.warehouse.dir": str(warehouse), "spark.sql.shuffle.partitions": 2, **INTERPRETED}
    session = spark_session(SparkConfig(master="local[2]", conf=settings), "lakerec-tests")
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    from lakerec.lake.lake import Lake

    return Lake(spark, LakeConfig(root=str(tmp_path / "lake")))
