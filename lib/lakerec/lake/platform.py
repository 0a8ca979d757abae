"""Where this runs: on Databricks, under spark-submit, on one machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def on_databricks() -> bool:
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def submitted() -> bool:
    """Whether spark-submit started this process: the JVM runs already, and its master is not the config's."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def is_local(session: SparkSession) -> bool:
    """Whether driver and executors are one process on this machine."""
    return str(session.sparkContext.master).startswith("local")
