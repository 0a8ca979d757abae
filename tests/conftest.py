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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from lakerec.lake.session import spark_session

    warehouse = tmp_path_factory.mktemp("warehouse")
    settings = {"spark.sql.warehouse.dir": str(warehouse), "spark.sql.shuffle.partitions": 2}
    session = spark_session(SparkConfig(master="local[2]", conf=settings), "lakerec-tests")
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    from lakerec.lake.lake import Lake

    return Lake(spark, LakeConfig(root=str(tmp_path / "lake")))
