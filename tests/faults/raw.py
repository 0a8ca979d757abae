"""A folder of raw events and the lake that they go to."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.lake.lake import Lake
from lakerec.stages import ingest, pipeline
from lakerec.stages.base import Context
from lakerec.stages.progress import Progress

HEADER = "user,item,at,stars\n"
COLUMNS = {"user_id": "user", "item_id": "item", "event_time": "at", "value": "stars"}
AT = "2024-01-01 10:00:00"
RAW_BOUND = 4000


class Untracked:
    """Stands for MLflow where nobody looks at it."""

    @contextmanager
    def stage(self, name):
        yield ""

    pipeline = stage

    def __getattr__(self, name):
        return lambda *_: None


class Shop:
    """Raw events, the lake, and whoever brings the one to the other.

    Args:
        named: of source.events.
    """

    def __init__(self, spark, folder, **named):
        self.spark, self.folder, self.raw, self.named = spark, folder, folder / "events", named
        self.raw.mkdir(parents=True, exist_ok=True)
        self.others = {}

    def write(self, name, text):
        self.raw.joinpath(name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def context(self, full=False, **named):
        events = {"path": str(self.raw), "columns": COLUMNS, **self.named, **named}
        values = {"name": "shop", "lake": {"root": str(self.folder / "lake")}, "source": {"events": events}}
        config = Config.model_validate({**values, **self.others})
        self.lake = Lake(self.spark, config.lake)
        return Context(config, self.spark, self.lake, Untracked(), Progress(False), full=full)

    def ingest(self, **named):
        """Ingest once, without a row in ops/runs; gives rows in, good, quarantined, repeated."""
        done = ingest.run(self.context(**named), {})
        return done.rows_in, done.rows_out, done.rows_quarantined, done.rows_duplicate

    def run(self, *names, full=False, **named):
        """Run stages as the command line does; gives their outcomes."""
        return pipeline.run(self.context(full, **named), names, force=full)

    def copy(self, folder):
        """The same shop with a lake of its own, at the same raw files."""
        shutil.copytree(self.folder / "lake", folder / "lake")
        other = Shop(self.spark, folder, **self.named)
        other.raw, other.others = self.raw, self.others
        other.context()
        return other

    def rows(self, table, *columns):
        found = [tuple(row) for row in self.lake.read(table).selectExpr(*columns).collect()]
        return sorted(found, key=lambda row: [(value is not None, value) for value in row])

    def good(self, *columns):
        return self.rows(Tables.BRONZE_EVENTS, *columns)

    def refused(self):
        """File, reasons and raw text of what is in the quarantine."""
        rows = self.lake.read(Tables.QUARANTINE).select("source_file", "reasons", "raw").collect()
        assert all(len(row.raw) <= RAW_BOUND for row in rows)
        return sorted((row.source_file.rpartition("/")[2], row.reasons, row.raw) for row in rows)

    def read(self):
        """Names of the files in the ledger."""
        return [Path(file).name for (file,) in self.rows(Tables.FILES, "source_file")]
