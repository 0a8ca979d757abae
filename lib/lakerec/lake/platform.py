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


def slots(session: SparkSession, gpus_per_task: float = 0) -> int:
    """Tasks that run at a time; where each needs a GPU, or a share of one, no more than executors were given GPUs for."""
    context = session.sparkContext
    setting = context.getConf().get
    if is_local(session):
        return int(context.defaultParallelism)
    executors = len(context._jsc.sc().statusTracker().getExecutorInfos()) - 1  # type: ignore[union-attr]  # the driver is one
    cores, gpus = setting("spark.executor.cores"), setting("spark.executor.resource.gpu.amount")
    tasks = executors * int(cores) // int(setting("spark.task.cpus") or 1) if cores else int(context.defaultParallelism)
    return min(tasks, int(executors * int(gpus) / gpus_per_task)) if gpus_per_task and gpus else tasks
