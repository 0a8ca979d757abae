"""Before anything is judged: has what is held out reached the models? Eight checks, and an evaluation that fails by any.

    events ─ features ─ popularity ─ vocabulary ─ negatives ─ adaptation_text ─ descriptions ─ models
      → eval/leakage, one row each → something found? LeakageError: nothing is scored, and nothing can be promoted

A failed evaluation leaves no row in ops/runs, so the gate has nothing to judge by; its rows in eval/leakage stay. What each
check looks at is said by `audited_data`, `audited_models` and `audited_text`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lakerec.columns import Tables
from lakerec.errors import LeakageError
from lakerec.evaluation.leakage import Finding, leaks
from lakerec.stages import audited_data, audited_models, audited_text
from lakerec.stages.base import Context, Inputs, write_own
from lakerec.stages.evidence import Evidence

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
    evidence = Evidence(context, inputs, trained, folder)
    findings = [check(evidence) for check in CHECKS]
    rows = [
        (context.run_id, each.check, each.ok, each.checked, each.found, each.detail, trained.run_id) for each in findings
    ]
    write_own(context, rows, Tables.LEAKAGE)
    if found := leaks(findings):
        raise LeakageError(
            f"what is held out has leaked: {found}: nothing was judged; {Tables.LEAKAGE} has all checks of run "
            f"{context.run_id}; mend what made it, and fit the models anew by `lakerec train --force`"
        )
    return findings
