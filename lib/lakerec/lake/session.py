"""The Spark session, with Delta and UTC, on a laptop, under spark-submit and on Databricks.

laptop          jars that set-up resolved (`python -m lakerec.lake.jars`), else spark.jars.packages
spark-submit    jars come by --packages or --jars: the JVM already runs, nothing to add
Databricks      the platform brings Delta and the session
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lakerec.config import SparkConfig
from lakerec.lake.jars import jar_files
from lakerec.lake.java import require_java
from lakerec.lake.platform import is_local, on_databricks, submitted
from lakerec.lake.scratch import scratch_folder
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
    # Text is read in any encoding that Java knows, not in seven; what is no text in it becomes U+FFFD, as it does in UTF-8.
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.legacy.codingErrorAction": "true",
    # `month=01` in a folder's name is text, as every other raw value is.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Java compiles no method of more bytes: one that Spark generates for wide rows would be interpreted, 3 times slower.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # Ids of events are all different: a dictionary of them is built only to be thrown away.
    "spark.hadoop.parquet.enable.dictionary#event_id": "false",
    # Whoever follows a table's changes has to know which of its files were removed.
    "spark.databricks.delta.vacuum.logging.enabled": "true",
}

SET_WHILE_RUNNING = (
    "spark.sql.session.timeZone",
    "spark.sql.csv.parser.columnPruning.enabled",
    "spark.sql.legacy.javaCharsets",
    "spark.sql.legacy.codingErrorAction",
    "spark.sql.sources.partitionColumnTypeInference.enabled",
    "spark.sql.codegen.hugeMethodLimit",
)
"""Of these, what a session that the platform began has to be told."""

LOCAL_SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    # Rows of one task are counted by their ids before they are shuffled. Those of 128 MB, as it is unless told, do not fit
    # in memory and spill: ingest of 20 M rows of Parquet took 157 s, so 135.
    "spark.sql.files.maxPartitionBytes": "16m",
    # Queries of one arrival are those of the next one; a stage makes more than the 100 classes that are kept unless told.
    "spark.sql.codegen.cache.maxEntries": "1000",
    "spark.databricks.delta.snapshotPartitions": "1",
    # VACUUM lists a folder with so many tasks, 10,000 unless told: 40 s for a table of two files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.ui.showConsoleProgress": "false",
}


def spark_session(config: SparkConfig | None = None, name: str = "lakerec") -> SparkSession:
    """The running session, or a new one made from `config`.

    Raises:
        EnvironmentProblem: there is no Java 17 or newer to start Spark with.
    """
    from pyspark.sql import SparkSession

    if on_databricks():
        session = SparkSession.builder.getOrCreate()
        for key in SET_WHILE_RUNNING:
            session.conf.set(key, SETTINGS[key])
        return session
    settings = session_settings(config or SparkConfig())
    if not submitted():
        require_java()
    if runs_here(config or SparkConfig()):
        settings.setdefault("spark.local.dir", str(scratch_folder()))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if not is_local(session):
        _ship_code(session)
    return session


def _ship_code(session: SparkSession) -> None:
    """Give Python workers lakerec where it came as a wheel by --py-files: Spark puts .zip on their path, not .whl."""
    packed = archive()
    if packed is None:
        return
    # Executors fetch the very file from the driver when their first task begins, so it stays as long as the driver does.
    folder = scratch_folder()
    session.sparkContext.addPyFile(str(shutil.copy(packed, folder / "lakerec.zip")))


def session_settings(config: SparkConfig) -> dict[str, str]:
    """What the session is started with: ours, laid under the user's `spark.conf`."""
    settings = dict(SETTINGS)
    if config.master and not submitted():
        settings["spark.master"] = config.master
    if runs_here(config):
        settings.update(LOCAL_SETTINGS)
        quiet = f"-Dlog4j.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
        settings["spark.driver.extraJavaOptions"] = f"{quiet} -XX:+UseParallelGC"
    if not submitted():
        jars = jar_files()
        if jars:
            settings["spark.jars"] = ",".join(str(jar) for jar in jars)
        else:
            settings["spark.jars.packages"] = delta_package()
    settings.update({key: _text(value) for key, value in config.conf.items()})
    return settings


def runs_here(config: SparkConfig) -> bool:
    """Whether driver and executors will be one process here; under spark-submit its own word counts, not the config's."""
    return not submitted() and (config.master or "").startswith("local")


def delta_package() -> str:
    """Maven coordinate of the Delta that fits the installed delta-spark."""
    return f"io.delta:delta-spark_2.13:{version('delta-spark')}"


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
