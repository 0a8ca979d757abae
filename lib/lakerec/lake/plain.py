"""A snapshot as Parquet files that hold its very rows, for readers that know no Delta log.

A table's folder also holds files of other versions, and a file may hold rows that a deletion vector marks as gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyarrow import parquet

from lakerec.lake.platform import on_databricks

if TYPE_CHECKING:
    from lakerec.lake.lake import Lake


def plain_files(lake: Lake, table: str, version: int, folder: Path) -> list[str]:
    """URIs of files that any process here can open, sorted: the table's own where they will do, else a copy in `folder`."""
    files = live_files(lake, table, version)
    if all(file.startswith("file:") for file in files) and _are_whole(lake, table, version, files):
        return files
    return export(lake, table, version, folder)


def live_files(lake: Lake, table: str, version: int | None = None) -> list[str]:
    """Parquet files of one snapshot, sorted; they may hold rows that are marked as gone."""
    return sorted(lake.read(table, version).inputFiles())


def export(lake: Lake, table: str, version: int, folder: Path) -> list[str]:
    """Write one snapshot as plain Parquet into a folder that driver and workers share; gives the files, as URIs."""
    path = str(folder.resolve())
    place = path.replace("/dbfs/", "dbfs:/", 1) if path.startswith("/dbfs/") else path
    lake.read(table, version).write.mode("overwrite").parquet(place if on_databricks() else f"file://{path}")
    return sorted(file.as_uri() for file in folder.resolve().glob("*.parquet"))


def _are_whole(lake: Lake, table: str, version: int, files: list[str]) -> bool:
    """Whether the files' own counts of rows add up to the snapshot's."""
    rows = sum(parquet.read_metadata(unquote(file).removeprefix("file:")).num_rows for file in files)
    return rows == lake.read(table, version).count()
