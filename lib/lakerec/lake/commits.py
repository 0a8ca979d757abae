"""What the commits of a table did, and which of its versions have the same content.

    v4 WRITE   v5 OPTIMIZE   v6 VACUUM   v7 SET TBLPROPERTIES      content version 4; 4 to 7 hold the same rows
    v8 MERGE                                                       content version 8

Whoever asks whether a table changed asks for its content version: upkeep makes new versions without new content.
Commits are read from the log's own files where these lie on this machine (the protocol is open, and Spark takes 0.1 s for
it), from DESCRIBE HISTORY elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakerec.lake.damage import damaged

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import SparkSession

UPKEEP = frozenset(
    {
        "OPTIMIZE", "VACUUM START", "VACUUM END", "REORG", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT",
        "DROP CONSTRAINT", "COMPUTE STATS", "CLUSTER BY", "UPGRADE PROTOCOL", "DROP FEATURE", "ROW TRACKING BACKFILL",
    }
)  # fmt: skip
"""Operations that leave rows and schema as they were."""
REWRITING = frozenset({"OPTIMIZE", "REORG", "MERGE", "UPDATE", "DELETE"})
"""Operations that take files of the table out of it, for VACUUM to remove, and yet leave a change feed to read."""
APPENDING = frozenset({"WRITE", "STREAMING UPDATE", "ADD COLUMNS"})
BEING_MADE = "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
CHANGE_FEED = "delta.enableChangeDataFeed"
WROTE_NOTHING = {
    "WRITE": ("numOutputRows",),
    "MERGE": ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted"),
}
"""Figures of an operation that are all 0 where it changed no row."""
AUTHOR, AUTHOR_SETTING = "userMetadata", "spark.databricks.delta.commitInfo.userMetadata"
RECENT = 8
"""Commits asked for at first, where Spark has to read them."""
LOG_FILE = re.compile(r"^\d{20}\.json$")


@dataclass(frozen=True)
class Commit:
    """One version of a table."""

    version: int
    operation: str
    milliseconds: int
    """When, since 1970."""
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    author: str | None = None
    """The stage run that wrote it; None for all else."""

    @property
    def changes(self) -> bool:
        """Whether rows or schema differ from the version before."""
        if self.operation in UPKEEP:
            return False
        figures = [self.metrics.get(name) for name in WROTE_NOTHING.get(self.operation, ())]
        return self.overwrites or not figures or any(figure != "0" for figure in figures)

    @property
    def overwrites(self) -> bool:
        mode = self.parameters.get("mode", self.parameters.get("outputMode", "Append"))
        return mode not in ("Append", "Update")

    @property
    def can_be_followed(self) -> bool:
        """Whether the change feed tells what the commit did; an overwrite replaces rows by rows that may be the same."""
        return not self.changes or (self.operation in REWRITING | APPENDING and not self.overwrites)

    @property
    def turns_feed(self) -> bool:
        """Whether it turned the table's change feed on or off."""
        return self.operation in ("SET TBLPROPERTIES", "UNSET TBLPROPERTIES") and CHANGE_FEED in str(self.parameters)

    @property
    def vacuumed_until(self) -> int:
        """Files that left the table before this time (milliseconds) may be gone; 0: the commit removed none."""
        if self.operation != "VACUUM START":
            return 0
        kept = self.parameters.get("specifiedRetentionMillis", self.parameters.get("defaultRetentionMillis", 0))
        return self.milliseconds - int(kept)


def from_files(log: Path) -> Iterator[Commit]:
    """Commits of a log on this machine, newest first."""
    for name in sorted(filter(LOG_FILE.match, (entry.name for entry in log.iterdir())), reverse=True):
        yield _parsed(log / name)


def _parsed(file: Path) -> Commit:
    with file.open(encoding="utf-8") as lines:
        said = (json.loads(line) for line in lines if '"commitInfo"' in line)  # its first line, by Delta's own writers
        info: dict[str, Any] = next((action["commitInfo"] for action in said if "commitInfo" in action), {})
    if not info and not file.stat().st_size:  # Delta takes it for a commit that did nothing
        raise damaged("/".join(file.parts[-4:-2]), f"commit {file.name} is empty")
    return Commit(
        int(file.stem), info.get("operation", "unknown"), info.get("timestamp", int(file.stat().st_mtime * 1000)),
        info.get("operationParameters", {}), info.get("operationMetrics", {}), info.get("userMetadata"),
    )  # fmt: skip


def from_history(table: DeltaTable) -> Iterator[Commit]:
    """Commits by DESCRIBE HISTORY, newest first: some, and only if these are not enough all of them."""
    seen = None
    for rows in (table.history(RECENT), table.history()):
        columns = ("version", "operation", "timestamp", "operationParameters", "operationMetrics", AUTHOR)
        for row in rows.select(*columns).collect():
            if seen is None or row.version < seen:
                seen = row.version
                milliseconds = int(row.timestamp.timestamp() * 1000)
                yield Commit(row.version, row.operation, milliseconds, row[3] or {}, row[4] or {}, row[5])


@contextmanager
def authored(spark: SparkSession, author: str | None) -> Iterator[None]:
    """Commits of the block say who wrote them; those of a DataFrame's writer need its option `AUTHOR` besides."""
    if author is None:
        yield
        return
    spark.conf.set(AUTHOR_SETTING, author)
    try:
        yield
    finally:
        spark.conf.unset(AUTHOR_SETTING)


def content_version(commits: Iterable[Commit]) -> int:
    """The newest version that changed something; the oldest that is known where none did."""
    for commit in commits:
        if commit.changes:
            break
    return commit.version


def newest_like(commits: Iterable[Commit], version: int) -> int:
    """The newest version with the content of `version`, whose own files may be gone after OPTIMIZE and VACUUM."""
    found = None
    for commit in commits:
        if commit.version <= version:
            return version if found is None else found
        if commit.changes:
            found = commit.version - 1
        elif found is None:
            found = commit.version
    return version


def following(commits: Iterable[Commit], version: int) -> list[Commit] | None:
    """Commits after a version, oldest first; None where the log no longer has them all, or never had the version."""
    after: list[Commit] = []
    for commit in commits:
        if commit.version <= version:
            return after[::-1] if commit.version == version else None
        after.append(commit)
    return after[::-1] if after and after[-1].version == version + 1 else None


def can_be_read(after: Iterable[Commit]) -> bool:
    """Whether the change feed of these commits (oldest first) is whole: on all the time, followed, not vacuumed."""
    left = None
    for commit in after:
        if not commit.can_be_followed or commit.turns_feed:
            return False
        if left is not None and left < commit.vacuumed_until:
            return False
        if left is None and commit.operation in REWRITING:
            left = commit.milliseconds
    return True


def conflicts() -> tuple[type[Exception], ...]:
    """What is raised where another writer was quicker; delta-spark gives these no common base."""
    import delta.exceptions.captured  # noqa: F401  only with it are they told from any other Java error
    from delta import exceptions

    return tuple(getattr(exceptions, name) for name in exceptions.__all__)


def was_made_meanwhile(error: Exception) -> bool:
    """Whether creating a table failed because another writer makes it at the same moment."""
    return isinstance(error, conflicts()) or getattr(error, "getCondition", str)() == BEING_MADE
