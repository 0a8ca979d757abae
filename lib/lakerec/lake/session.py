"""The Spark session, with Delta and UTC, on a laptop, under spark-submit and on Databricks.

laptop          jars that set-up resolved (`python -m lakerec.lake.jars`), else spark.jars.packages
spark-submit    jars come by --packages or --jars: the JVM already runs, nothing to add
Databricks      the platform brings Delta and the session
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lakerec.config import SparkConfig
from lakerec.lake.jars import jar_files
from lakerec.lake.java import require_java
from lakerec.origin import archive

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Without it Spark parses only the columns a query needs, and cannot tell that a CSV row is too short or too long.
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    # petastorm reads Parquet files as they are and knows no deletion vectors.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
}

LOCAL_SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.ui.showConsoleProgress": "false",
}


def on_databricks() -> bool:
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def spark_session(config: SparkConfig | None = None, name: str = "lakerec") -> SparkSession:
    """The running session, or a new one made from `config`.

    Raises:
        EnvironmentProblem: there is no Java 17 or newer to start Spark with.
    """
    from pyspark.sql import SparkSession

    if on_databricks():
        return SparkSession.builder.getOrCreate()
    settings = session_settings(config or SparkConfig())
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        require_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if not is_local(config or SparkConfig()):
        _ship_code(session)
    return session


def _ship_code(session: SparkSession) -> None:
    """Give Python workers lakerec where it came as a wheel by --py-files: Spark puts .zip on their path, not .whl."""
    packed = archive()
    if packed is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(packed, Path(folder) / "lakerec.zip")
        session.sparkContext.addPyFile(str(copy))


def session_settings(config: SparkConfig) -> dict[str, str]:
    """What the session is started with: ours, laid under the user's `spark.conf`."""
    settings = dict(SETTINGS)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if config.master and not submitted:
        settings["spark.master"] = config.master
    if is_local(config):
        settings.update(LOCAL_SETTINGS)
        quiet = f"-Dlog4j.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
        settings["spark.driver.extraJavaOptions"] = quiet
    if not submitted:
        jars = jar_files()
        if jars:
            settings["spark.jars"] = ",".join(str(jar) for jar in jars)
        else:
            settings["spark.jars.packages"] = delta_package()
    settings.update({key: _text(value) for key, value in config.conf.items()})
    return settings


def is_local(config: SparkConfig) -> bool:
    """Whether driver and executors are one process on this machine."""
    return (config.master or "").startswith("local")


def delta_package() -> str:
    """Maven coordinate of the Delta that fits the installed delta-spark."""
    return f"io.delta:delta-spark_2.13:{version('delta-spark')}"


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
