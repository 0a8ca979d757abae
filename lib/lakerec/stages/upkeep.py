"""`lakerec maintain`: every table compacted, clustered and freed of what nobody reads; what killed runs left, removed.

Pinned is every version that a stage's latest run names as its input: the stage reads on from there what changed since; and
the vectors that the model which serves, and the one before it, learned from: a rollback reads them. A training that is under
way needs no pin of its own. It reads the version that was the latest when it began, whose files
leave the table later than that, and stay for `lake.retention_days` from then on.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.errors import ConfigError, InputError
from lakerec.lake import scratch
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.lake.upkeep import keep_up, unknown_tables
from lakerec.stages import ledger, pipeline
from lakerec.stages.base import Context, last_runs
from lakerec.stages.train import SCRATCH, models_folder

DAY = 86_400
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def maintain(config: Config, dry_run: bool = False) -> dict[str, Any]:
    """One entry a table, the tables without a contract, and the folders that killed runs left.

    Raises:
        InputError: the lake has no table, and nothing was left behind.
    """
    with pipeline.opened(config) as context:
        pins = pinned(context.lake)
        tables = [
            asdict(keep_up(context.lake, table, config.lake.retention_days, pins.get(table, ()), dry_run))
            for table in CONTRACTS
            if context.lake.exists(table)
        ]
        left = [*scratch.abandoned(), *_unfinished_models(context)]
        if not tables and not left:
            raise InputError("the lake has no table yet: run `lakerec run` first, and see lake.root")
        for folder in left if not dry_run else []:
            shutil.rmtree(folder, ignore_errors=True)
        result = {"name": config.name, "dry_run": dry_run, "tables": tables, "unknown": unknown_tables(context.lake)}
        return {**result, "left_behind": [str(folder) for folder in left]}


def pinned(lake: Lake) -> dict[str, set[int]]:
    """Versions, by table, that the latest run of a stage read, or that a rollback needs."""
    found: dict[str, set[int]] = defaultdict(set)
    for row in last_runs(lake).values():
        for table, version in row.inputs.items():
            found[table].add(version)
    found[Tables.ITEM_VECTORS] |= ledger.read_by_served(lake)
    return found


def _unfinished_models(context: Context) -> list[Path]:
    """Folders of train runs that never finished, untouched for `lake.retention_days`: a running one writes every epoch."""
    try:
        folder = models_folder(context)
    except ConfigError:
        return []
    last = last_runs(context.lake).get("train")
    kept = None if last is None else Path(last.details["folder"])
    oldest = time.time() - context.config.lake.retention_days * DAY
    runs = (path for path in folder.glob("train-*") if path != kept and not scratch.held(path / SCRATCH))
    return sorted(path for path in runs if max(part.stat().st_mtime for part in (path, *path.rglob("*"))) < oldest)


def print_upkeep(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for name in ("table", "files", "after", "size", "after", "removed", "freed"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for row in result["tables"]:
        table.add_row(
            row["table"], f"{row['files_before']:,}", f"{row['files_after']:,}", size(row["bytes_before"]),
            size(row["bytes_after"]), f"{row['removed_files']:,}", size(row["removed_bytes"]),
        )  # fmt: skip
    console.print(table)
    for row in result["tables"]:
        if row["pinned"] is not None:
            days = row["retention_hours"] // 24
            console.print(Text(f"{row['table']}: files of {days} days are kept, a stage last read version {row['pinned']}"))
        if row["busy"]:
            console.print(Text(f"{row['table']}: another run was writing to it; its small files wait for the next time"))
    for name in result["unknown"]:
        console.print(Text(f"{name}: no table of this version of lakerec; left alone"))
    for folder in result["left_behind"]:
        console.print(Text(f"{'would remove' if result['dry_run'] else 'removed'} {folder}, left by a run that was killed"))
    if result["dry_run"]:
        console.print("Nothing was changed: a dry run. `removed` is what VACUUM would remove before compaction adds to it.")


def size(count: int | None) -> str:
    """Bytes for people; a dash where it is not known.

    >>> size(1536)
    '1.5 KiB'
    """
    if count is None:
        return "-"
    value, place = float(count), 0
    while value >= 1024 and place < len(UNITS) - 1:
        value, place = value / 1024, place + 1
    return f"{value:.0f} B" if place == 0 else f"{value:.1f} {UNITS[place]}"
