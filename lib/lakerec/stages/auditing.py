"""Before anything is judged: has what is held out reached the models? Eight checks, and an evaluation that fails by any.

    events ─ features ─ popularity ─ vocabulary ─ negatives ─ adaptation_text ─ descriptions ─ models
      → eval/leakage, one row each → something found? LeakageError: nothing is scored, and nothing can be promoted

A failed evaluation leaves no row in ops/runs, so the gate has nothing to judge by; its rows in eval/leakage stay. What each
check looks at is said by `audited_data`, `audited_models` and `audited_text`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import LeakageError
from lakerec.evaluation.leakage import Finding, leaks
from lakerec.stages import audited_data, audited_models, audited_text
from lakerec.stages.base import Context, Inputs, write_own
from lakerec.stages.evidence import Evidence
from lakerec.stages.log import event

if TYPE_CHECKING:
    from pyspark.sql import Row

LEAKAGE = "leakage"
"""Detail of an evaluate run: its findings, as of `lakerec.evaluation.leakage.summary`."""
CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    audited_data.events, audited_data.features, audited_models.popularity, audited_models.vocabulary,
    audited_models.negatives, audited_text.adaptation_text, audited_text.descriptions, audited_data.models,
)  # fmt: skip


def audit(context: Context, inputs: Inputs, trained: Row, folder: Path) -> list[Finding]:
    """All findings, which are written to eval/leakage first.

    Args:
        inputs: versions of the tables that are judged on; trained: the train run in ops/runs; folder: its models.

    Raises:
        LeakageError: one of them is a leak.
    """
    evidence, clock = Evidence(context, inputs, trained, folder), time.monotonic()
    findings = []
    for number, check in enumerate(CHECKS):
        context.progress.update(f"leakage: {check.__name__}", number, len(CHECKS))
        findings.append(check(evidence))
    now = datetime.now(UTC)
    rows = [
        (context.run_id, each.check, each.ok, each.checked, each.found, each.detail, trained.run_id, now)
        for each in findings
    ]
    write_own(context, rows, Tables.LEAKAGE)
    if found := leaks(findings):
        raise LeakageError(
            f"what is held out has leaked: {found}: nothing was judged; {Tables.LEAKAGE} has all checks of run "
            f"{context.run_id}; mend what made it, and fit the models anew by `lakerec train --force`"
        )
    event("evaluate", context.run_id, "nothing leaked", checks=len(findings), seconds=f"{time.monotonic() - clock:.1f}")
    return findings


def refusals(context: Context, evaluated: str, trained: str) -> list[str]:
    """Why nothing may be promoted by an evaluation: each leak that the newest audit found, or that there was none.

    An evaluation that failed since, by a leak, left its findings, and no run to judge by.

    Args:
        evaluated, trained: run_id of an evaluate run, and of the train run whose models it judged.
    """
    rows = context.lake.read(Tables.LEAKAGE).where(F.col(C.TRAIN_RUN) == trained).orderBy(C.AUDITED_AT, C.CHECK).collect()
    if evaluated not in {row[C.RUN_ID] for row in rows}:
        return [f"no leakage audit of {evaluated}: run `lakerec evaluate --force` first"]
    return [
        f"leak in {row[C.CHECK]}: {row[C.DETAIL]}" for row in rows if not row[C.OK] and row[C.RUN_ID] == rows[-1][C.RUN_ID]
    ]
