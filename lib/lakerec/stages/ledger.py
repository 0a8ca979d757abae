"""ops/promotions: the decisions about what serves, in order, and the alias that follows them.

    decide ─► record(number = decisions so far + 1) ─► move the alias to what the ledger says last
                  │ another run recorded that number
                  ▼ decide again, against what serves now

A decision is written under its number, so that of two runs that decide at once one is recorded and the other sees it. The
alias moves after that; a run that is killed in between leaves the old champion serving, and the next one carries the
decision out before it decides anything. An alias that somebody moved by hand is left where it is until the next decision.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import PromotionError
from lakerec.lake.contracts import CONTRACTS
from lakerec.lake.lake import Lake
from lakerec.registry import copying, gate
from lakerec.stages.base import Context
from lakerec.stages.log import event

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

PROMOTE, ROLLBACK = "promote", "rollback"
TRIES = 10


@dataclass(frozen=True)
class Entry:
    """One decision."""

    action: str
    version: str
    champion: str | None
    decision: gate.Decision
    evaluated: str | None = None
    train_run: str | None = None
    encoder: str | None = None
    value: float | None = None
    champion_value: float | None = None


def entries(context: Context, name: str) -> list[Row]:
    """The decisions about a registered name, oldest first."""
    return _in_order(_rows(context.lake).where(F.col("model_name") == name).collect())


def _rows(lake: Lake) -> DataFrame:
    """The ledger, with the columns that it has gained since it was made."""
    rows = lake.read(Tables.PROMOTIONS)
    gained = [column for column in CONTRACTS[Tables.PROMOTIONS].columns if column.name not in rows.columns]
    return rows.withColumns({column.name: F.lit(None).cast(column.type) for column in gained})


def _in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["number"] or 0, row["decided_at"]))


def unfinished(context: Context, known: list[Row]) -> Row | None:
    """The newest decision, where the run that took it has not ended: it was killed, or is about to move the alias."""
    last = known[-1] if known else None
    if last is None or last[C.RUN_ID] == context.run_id:
        return None
    ended = context.lake.read(Tables.RUNS).where(F.col(C.RUN_ID) == last[C.RUN_ID])
    return last if ended.isEmpty() else None


def record(context: Context, name: str, entry: Entry, known: list[Row]) -> bool:
    """Write a decision that was taken knowing those; False where another one was recorded meanwhile, and nothing written."""
    config, number = context.config.promote, len(known) + 1
    decided = (entry.version, entry.champion, entry.decision.promoted)
    measured = (config.metric, config.k, entry.value, entry.champion_value, entry.decision.reasons)
    more = (number, entry.action, entry.evaluated, entry.train_run, entry.encoder)
    row = (datetime.now(UTC), name, *decided, *measured, context.run_id, *more)
    frame = context.spark.createDataFrame([row], CONTRACTS[Tables.PROMOTIONS].schema)
    context.lake.append(frame, Tables.PROMOTIONS, f"decide {name}", number)
    return bool(entries(context, name)[number - 1][C.RUN_ID] == context.run_id)


def follow(context: Context, name: str) -> str:
    """Point the champion's alias at what the ledger chose last, whoever recorded it; gives that version.

    There is one: a decision that chose a version was recorded before.

    Raises:
        PromotionError: other runs moved it at every try.
    """
    for _ in range(TRIES):
        chosen = next(str(row["challenger"]) for row in reversed(entries(context, name)) if row["promoted"])
        if gate.alias_version(context.tracker, name, gate.CHAMPION) == chosen:
            return chosen
        gate.set_alias(context.tracker, name, gate.CHAMPION, chosen)
        event("promote", context.run_id, f"{name}: alias {gate.CHAMPION} moved", version=chosen)
    raise PromotionError(f"{name}: the alias {gate.CHAMPION} was moved by others at each of {TRIES} tries: promote again")


def copied(context: Context, name: str, version: str) -> dict[str, str]:
    """For a run's details: the copy that serves elsewhere, where promote.copy_to asks for one; made unless it is there."""
    target = context.config.promote.copy_to
    if target is None:
        return {}
    return {"copied_to": f"{target.name}/{copying.follow(context.tracker, name, version, target)}"}


def served_before(known: list[Row]) -> list[str]:
    """Versions that served, oldest first, as one would go back through them: a rollback takes off what came after.

    The last one serves, where nobody moved the alias by hand.
    """
    stack: list[str] = []
    for row in (row for row in known if row["promoted"]):
        version = str(row["challenger"])
        if row["action"] == ROLLBACK and version in stack:
            del stack[len(stack) - stack[::-1].index(version) :]
        else:
            stack += [version]
    return stack


def withdrawn(known: list[Row], version: str) -> datetime | None:
    """When a rollback took a version back, unless it was chosen again since."""
    about = [row for row in known if row["promoted"] and version in (row["challenger"], row["champion"])]
    last = about[-1] if about else None
    taken_back = last is not None and last["action"] == ROLLBACK and last["champion"] == version
    return last["decided_at"] if last is not None and taken_back else None


def read_by_served(lake: Lake) -> set[int]:
    """Versions of gold/item_vectors that the model that serves and the one before it learned from: a rollback reads them."""
    about: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(lake).collect():
        about[row["model_name"]].append(row)
    runs = set()
    for rows in about.values():
        trained = {row["challenger"]: row["train_run"] for row in rows}
        runs |= {trained[version] for version in served_before(_in_order(rows))[-2:]}
    found = lake.read(Tables.RUNS).where(F.col(C.RUN_ID).isin([run for run in runs if run])).collect() if runs else []
    return {row.inputs[Tables.ITEM_VECTORS] for row in found if Tables.ITEM_VECTORS in row.inputs}
