"""What a stage is, and how one is run: once for each combination of config, inputs and code.

    key = digest(stage, config sections, input versions, runs of the stages before it, code version)
      │ same key as the last run, outputs untouched → skipped
      ▼
    run(context, inputs) → Result → one row in ops/runs, one MLflow child run

A stage writes its tables so that running it again with the same inputs gives the same tables: by overwrite, by merge on
the key, or by an idempotent append. A kill at any point therefore costs time, never rows: the row in ops/runs is written
last, and without it the next run does the stage again.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakerec import __version__
from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.lake.commits import Commit
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.registry.tracking import Tracker
from lakerec.stages.log import event
from lakerec.stages.progress import Progress

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


@dataclass
class Context:
    """What every stage works with."""

    config: Config
    spark: SparkSession
    lake: Lake
    tracker: Tracker
    progress: Progress
    run_id: str = ""
    """Id of the stage run under way."""
    again: bool = False
    """Whether it is done once more, since another run wrote to its tables too."""
    full: bool = False
    """Build everything anew, out of all raw files."""
    base: Row | None = None
    """The stage's last run, where its tables may be built upon: same config and code, tables as it left them."""
    at_rest: frozenset[tuple[Any, ...]] | None = None
    """Raw files (source, then as listed) that nobody writes any more, where somebody watches; None: all count."""

    @property
    def application(self) -> str:
        """Of `Lake.append`: what is tried again is written once, and anew where the run is done once more."""
        return f"{self.run_id}-again" if self.again else self.run_id


@dataclass
class Result:
    """What a stage did."""

    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    details: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


Inputs = dict[str, int]
"""Table name → version to read."""


@dataclass(frozen=True)
class Stage:
    """One verb: what it reads and writes, which config it obeys, and its work."""

    name: str
    run: Callable[[Context, Inputs], Result]
    summary: str
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Those of them without which it has nothing to do."""
    asks_for: Callable[[Config], tuple[str, ...]] | None = None
    """Tables that it reads as well where the config wants what is made of them."""
    writes: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    fingerprint: Callable[[Context], str] | None = None
    """State outside the lake that the result depends on (raw files, encoder weights), as a digest."""
    wanted: Callable[[Config], bool] | None = None
    """Whether the config turns it on; None: it is always on."""
    settles_races: bool = False
    """Whether it puts runs of it that go on at once in order itself."""
    makes: str | None = None
    """Detail of its run that names a file or folder it left outside the lake; where that is gone, the stage is due."""


@dataclass(frozen=True)
class Outcome:
    """How one stage of a pipeline ended."""

    stage: str
    skipped: bool
    run_id: str
    seconds: float
    row: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """Whether a stage has to run, and why."""

    due: bool
    why: str
    key: str
    digest: str
    """Of the config sections that the stage obeys."""
    inputs: Inputs
    last: Row | None
    outputs: Inputs = field(default_factory=dict)
    """Versions of the tables that the stage writes, where they exist."""
    base: Row | None = None
    """The last run, where its tables may be built upon."""


def last_run(lake: Lake, stage: str) -> Row | None:
    """The newest row of a stage in ops/runs."""
    from pyspark.sql import functions as F

    runs = lake.read(Tables.RUNS).where(F.col("stage") == stage)
    return runs.orderBy(F.col("started_at").desc()).first()


def last_runs(lake: Lake) -> dict[str, Row]:
    """The newest row of each stage in ops/runs, by its name."""
    from pyspark.sql import functions as F

    newest = F.max_by(F.struct("*"), "started_at").alias("row")
    return {row.stage: row["row"] for row in lake.read(Tables.RUNS).groupBy("stage").agg(newest).collect()}


def standing(context: Context, stage: Stage) -> Standing:
    """Compare what the stage would run on with what it last ran on."""
    lake = context.lake
    reads = (*stage.reads, *(stage.asks_for(context.config) if stage.asks_for else ()))
    versions = {table: lake.version(table) for table in (*reads, *stage.writes)}
    inputs = {table: version for table in reads if (version := versions[table]) is not None}
    runs = last_runs(lake)
    before = {name: runs[name].run_id if name in runs else None for name in stage.after}
    outside = stage.fingerprint(context) if stage.fingerprint else ""
    outputs = {table: version for table in stage.writes if (version := versions[table]) is not None}
    digest = context.config.digest("name", "seed", *stage.sections)
    parts = {"stage": stage.name, "config": digest, "inputs": inputs, "before": before, "outside": outside}
    key = hashlib.sha256(json.dumps({**parts, "code": __version__}, sort_keys=True).encode()).hexdigest()[:16]
    last = runs.get(stage.name)
    if last is None:
        return Standing(True, "never ran here", key, digest, inputs, last, outputs)
    if stage.makes and not Path(last.details[stage.makes]).exists():
        return Standing(True, f"{last.details[stage.makes]} is gone", key, digest, inputs, last, outputs)
    if last.key == key and last.outputs == outputs:
        return Standing(False, "up to date", key, digest, inputs, last, outputs)
    same = last.code == __version__ and last.config_digest == digest and last.outputs == outputs
    why = _why(stage, last, inputs, outputs, digest)
    return Standing(True, why, key, digest, inputs, last, outputs, last if same else None)


def _why(stage: Stage, last: Row, inputs: Inputs, outputs: Inputs, digest: str) -> str:
    if last.code != __version__:
        return f"lakerec {__version__} (was {last.code})"
    if last.config_digest != digest:
        return "its config changed"
    changed = [table for table, version in inputs.items() if last.inputs.get(table) != version]
    if changed:
        return f"new version of {', '.join(changed)}"
    if gone := sorted(last.inputs.keys() - inputs.keys()):
        return f"{', '.join(gone)} is gone"
    if last.outputs != outputs:
        return "its tables were changed by something else, or its last run was cut short"
    files = ["its files changed"] if stage.fingerprint else []
    return " or ".join([*(f"{name} ran again" for name in stage.after), *files])


def run_stage(context: Context, stage: Stage, force: bool = False) -> Outcome:
    """Run the stage unless it is up to date, and record it.

    Where another run of it wrote to the same tables meanwhile, both have added what is new, and it is done once more, on all
    rows: whoever comes last leaves each row once.
    """
    now = standing(context, stage)
    if not (now.due or force):
        assert now.last is not None
        event(stage.name, now.last.run_id, "up to date")
        return Outcome(stage.name, True, now.last.run_id, 0.0, now.last.asDict())
    context.run_id = context.lake.author = f"{stage.name}-{uuid.uuid4().hex[:12]}"
    context.base, context.again = None if force else now.base, False
    started, clock = datetime.now(UTC), time.monotonic()
    event(stage.name, context.run_id, "start", why=now.why)
    try:
        with context.tracker.stage(stage.name) as tracked, context.progress.stage(stage.name):
            context.tracker.log_params({**_params(context.config, stage), "config_digest": now.digest})
            result = stage.run(context, now.inputs)
            if not stage.settles_races and (others := _written_by_others(context, stage, now)):
                event(stage.name, context.run_id, "once more, on all rows: another run wrote too", tables=",".join(others))
                now, context.base, context.again = standing(context, stage), None, True
                result = stage.run(context, now.inputs)
            seconds = time.monotonic() - clock
            row = _record(context, stage, now, result, seconds, started, tracked)
            context.tracker.log_metrics({**_figures(row), **result.metrics})
            context.tracker.log_datasets(now.inputs, row["outputs"])
    finally:
        context.lake.author = None
    event(stage.name, context.run_id, "done", **{**_figures(row), "seconds": round(seconds, 1)})
    return Outcome(stage.name, False, context.run_id, seconds, row)


def write_own(context: Context, rows: list[tuple[Any, ...]], table: str) -> None:
    """Write the run's rows to a table that keeps those of every run, in place of what the run wrote there before."""
    frame = context.spark.createDataFrame(rows, CONTRACTS[table].schema)
    context.lake.overwrite(frame, table, f"{C.RUN_ID} = '{context.run_id}'")


def _written_by_others(context: Context, stage: Stage, now: Standing) -> list[str]:
    """Tables of the stage that another stage run has written to since `now`."""
    return [
        table
        for table in stage.writes
        if any(each.changes and each.author not in (None, context.run_id) for each in _since(context, table, now))
    ]


def _since(context: Context, table: str, now: Standing) -> Iterator[Commit]:
    """Commits of a table since `now`, newest first."""
    before = now.outputs.get(table, -1)
    found = context.lake.commits(table) if context.lake.exists(table) else iter(())
    return takewhile(lambda commit: commit.version > before, found)


def _left(context: Context, stage: Stage, now: Standing) -> Inputs:
    """Versions of the stage's tables as this run left them: what another one wrote later makes the stage due again."""
    found = dict(now.outputs)
    for table in stage.writes:
        own = (each for each in _since(context, table, now) if each.changes and each.author in (None, context.run_id))
        version = next((each.version for each in own), None)
        found |= {} if version is None else {table: version}
    return found


def _record(
    context: Context, stage: Stage, now: Standing, result: Result, seconds: float, started: datetime, tracked: str
) -> dict[str, Any]:
    """Write the row in ops/runs that makes the stage count as done."""
    lake = context.lake
    row = {
        "run_id": context.run_id,
        "stage": stage.name,
        "key": now.key,
        "config_digest": now.digest,
        "inputs": now.inputs,
        "outputs": _left(context, stage, now),
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "rows_quarantined": result.rows_quarantined,
        "rows_duplicate": result.rows_duplicate,
        "seconds": seconds,
        "details": result.details,
        "tracking_run": tracked,
        "started_at": started,
        "code": __version__,
    }
    schema = CONTRACTS[Tables.RUNS].schema
    values = [tuple(row[name] for name in CONTRACTS[Tables.RUNS].names)]
    lake.append(context.spark.createDataFrame(values, schema), Tables.RUNS, context.run_id, 1)
    return row


def _figures(row: dict[str, Any]) -> dict[str, float]:
    return {name: row[name] for name in ("rows_in", "rows_out", "rows_quarantined", "rows_duplicate", "seconds")}


def _params(config: Config, stage: Stage) -> dict[str, Any]:
    """The config that the stage obeys, without `tracking`, whose address may hold a password."""
    whole = config.model_dump(mode="json", by_alias=True)
    sections = [section for section in ("name", "seed", *stage.sections) if section != "tracking"]
    return {section: whole[section] for section in sections}
