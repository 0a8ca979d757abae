"""Tables whose Delta log is damaged: told by name, before anything takes them for new or empty ones.

A table without its log looks like no table at all; read as one, all that is built on it would be emptied.
"""

from __future__ import annotations

import re
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from lakerec.errors import LakeError
from lakerec.lake.platform import on_databricks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG_ERRORS = re.compile(
    r"\[(DELTA_(TRUNCATED_TRANSACTION_LOG|VERSIONS_NOT_CONTIGUOUS|LOG_FILE_NOT_FOUND|STATE_RECOVER_ERROR)\b.*"
    r"|FAILED_READ_FILE.*/_delta_log/.*)"
)
FILE = re.compile(r"([^/\s]+/[^/\s]+)/_delta_log/(\w+\.\w+)?")
SHOWN = 160
"""Characters shown of what Delta says."""


def is_table(spark: SparkSession, place: str, table: str) -> bool:
    """Whether a Delta table lies at the place.

    Raises:
        LakeError: its log cannot be read, or only its data is left.
    """
    from delta.tables import DeltaTable

    try:
        found = bool(DeltaTable.isDeltaTable(spark, place))
    except Py4JJavaError as error:
        raise explained(error, table) or error from None
    if not found and _holds_data(spark, place):
        raise damaged(table, f"{place} holds files of data, but no log in _delta_log")
    return found


def explained(error: Exception, table: str | None = None) -> LakeError | None:
    """The error of a damaged log, by the table's name; None where it is something else."""
    said = LOG_ERRORS.search(str(error))
    if said is None:
        return None
    file = FILE.search(said[0])
    found = re.sub(r"^\S+/_delta_log/\S+: ", "", said[0].partition("] ")[2])
    return damaged(table or (file[1] if file else "a table"), shorten(found, SHOWN, placeholder=" …"))


def damaged(table: str, found: str) -> LakeError:
    return LakeError(
        f"{table}: its Delta log is damaged: {found}; bring it back from a backup, or move the table's folder away and run "
        "with --full"
    )


def _holds_data(spark: SparkSession, place: str) -> bool:
    """Whether files lie there besides a log; of a platform that hides its file systems, this is not known."""
    if on_databricks():
        return False
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(place)
    system = path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    return bool(system.exists(path)) and any(
        not entry.getPath().getName().startswith(("_", ".")) for entry in system.listStatus(path)
    )
