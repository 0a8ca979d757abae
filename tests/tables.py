"""What tests do to a table behind the lake's back."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from lakerec.config import LakeConfig
from lakerec.lake.lake import Lake

CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"


def vacuum_all(lake: Lake, table: str) -> None:
    """Remove every file that the latest snapshot does not name, as somebody in a hurry would."""
    lake.spark.conf.set(CHECK, False)
    try:
        lake.spark.sql(f"VACUUM {lake.sql_name(table)} RETAIN 0 HOURS").collect()
    finally:
        lake.spark.conf.unset(CHECK)


def optimize(lake: Lake, table: str) -> None:
    """Compact the table."""
    lake.spark.sql(f"OPTIMIZE {lake.sql_name(table)}").collect()


def age(lake: Lake, table: str, days: int, to: Path) -> Lake:
    """A copy of a table at another root, as if all that was done to it had been done so many days earlier."""
    shift = days * 86_400_000
    other = Lake(lake.spark, LakeConfig(root=str(to)))
    copy = Path(other.name(table))
    shutil.copytree(lake.name(table), copy)
    for file in copy.rglob("*"):
        if file.suffix == ".crc":
            file.unlink()
        elif file.suffix == ".json":
            lines = map(json.loads, file.read_text().splitlines())
            file.write_text("".join(json.dumps(_older(line, shift)) + "\n" for line in lines))
    for file in (file for file in copy.rglob("*") if file.is_file()):
        then = Path(lake.name(table), file.relative_to(copy)).stat().st_mtime - shift / 1000
        os.utime(file, (then, then))
    return other


def _older(action: dict[str, Any], shift: int) -> dict[str, Any]:
    times = ("timestamp", "deletionTimestamp", "modificationTime")
    return {
        kind: {key: value - shift if key in times else value for key, value in body.items()} for kind, body in action.items()
    }
