"""Upkeep of one table: small files made large and clustered, files that no reader needs any more removed.

VACUUM knows nothing of pinned versions; it keeps the files of the latest snapshot and those that left the table within
its retention. So the retention is made long enough to cover the time since each pinned version was the latest one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lakerec.lake import commits
from lakerec.lake.commits import Commit
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake

HOUR = 3_600_000
"""Milliseconds."""
MARGIN = 24
"""Hours that a pinned version's files are kept beyond need: a commit writes its files before it has a time."""


@dataclass(frozen=True)
class Upkeep:
    """What was done to a table, or would be; bytes are of the latest snapshot, without older versions."""

    table: str
    files_before: int
    bytes_before: int
    files_after: int
    bytes_after: int
    removed_files: int
    removed_bytes: int | None
    """None where nothing was removed yet (a dry run), since only VACUUM itself adds it up."""
    retention_hours: int
    pinned: int | None
    """The oldest pinned version, where the retention is longer for its sake."""
    busy: bool = False
    """Whether another writer was quicker, and OPTIMIZE is left for the next time."""


def keep_up(lake: Lake, table: str, days: int, pins: Iterable[int], dry_run: bool = False) -> Upkeep:
    """OPTIMIZE and VACUUM a table; where there is nothing to do, no version is made.

    Args:
        days: how long removed files are kept at least.
        pins: content versions that somebody may still read, or follow changes from.
    """
    files, size = sizes = lake.size(table)
    busy = not dry_run and not _optimize(lake, table)
    hours, pinned = retention(list(lake.commits(table)), days, pins, int(time.time() * 1000))
    removed = _vacuum(lake, table, hours, dry_run)
    files_after, size_after = sizes if dry_run or busy else lake.size(table)
    return Upkeep(table, files, size, files_after, size_after, *removed, hours, pinned, busy)


def retention(log: list[Commit], days: int, pins: Iterable[int], now: int) -> tuple[int, int | None]:
    """Hours that VACUUM has to keep, and the pinned version that asks for more than `days`.

    Args:
        log: the table's commits, newest first.
        now: milliseconds.
    """
    hours, pinned = 24 * days, None
    times = {commit.version: commit.milliseconds for commit in log}
    for version in pins:
        left = times.get(commits.newest_like(log, version) + 1)
        if left is not None and (needed := -(-(now - left) // HOUR) + MARGIN) > hours:
            hours, pinned = needed, version
    return hours, pinned


def unknown_tables(lake: Lake) -> list[str]:
    """Tables of the lake that no contract describes; of a lake in object storage, none are found."""
    if lake.root is None:
        if not lake.spark.catalog.databaseExists(lake.schema):
            return []
        known = {table.replace("/", "_") for table in CONTRACTS}
        return sorted(found.name for found in lake.spark.catalog.listTables(lake.schema) if found.name not in known)
    logs = Path(lake.root).glob("*/*/_delta_log")
    return sorted(found for log in logs if (found := f"{log.parent.parent.name}/{log.parent.name}") not in CONTRACTS)


def _optimize(lake: Lake, table: str) -> bool:
    """Compact, and cluster what has clustering columns; gives False where another writer was quicker."""
    try:
        lake.spark.sql(f"OPTIMIZE {lake.sql_name(table)}").collect()
    except commits.conflicts():
        return False
    return True


def _vacuum(lake: Lake, table: str, hours: int, dry_run: bool) -> tuple[int, int | None]:
    """Files and bytes that were removed; a dry run counts at most 1,000 files."""
    statement = f"VACUUM {lake.sql_name(table)} RETAIN {hours} HOURS"
    waiting = len(lake.spark.sql(f"{statement} DRY RUN").collect())
    if dry_run or not waiting:
        return waiting, None if waiting else 0
    lake.spark.sql(statement).collect()
    figures = next((commit.metrics for commit in lake.commits(table) if commit.operation == "VACUUM START"), {})
    return int(figures.get("numFilesToDelete", waiting)), int(figures.get("sizeOfDataToDelete", 0))
