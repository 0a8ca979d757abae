"""Sees a fit to its end: passes on what its ranks tell, and starts all of them again where one died.

start() ─ died ─► a rank left an error? raised, nothing would be different
                  else all start again from the newest checkpoint, a few times, while there is progress
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakerec.errors import LakerecError, TrainingError
from lakerec.training.state import EpochResult
from lakerec.training.status import clear, failure, read_status, watched

TELLING = (
    re.compile(r"Signal \d+ \(\w+\) received by PID \d+"),
    re.compile(r"ExecutorLostFailure.*"),
    re.compile(r"\w+Error: .*"),
)
"""How torchrun, Spark and Python say what ended a process."""


def supervise(
    start: Callable[[bool], Any],
    folder: Path,
    relaunches: int | None,
    on_epoch: Callable[[EpochResult], None],
    on_note: Callable[[str], None],
) -> Any:
    """What `start` gives in the end.

    Args:
        start: launches all ranks and waits for them; told whether it did before.
        folder: of the task's checkpoints, by which ranks tell how far they are.
        relaunches: times that the ranks are started again, at most; a second death without a new checkpoint is the last.
            None: the only rank is this process, and nothing is started again.
        on_epoch, on_note: called in a thread of their own while the ranks are at work, each epoch and note once.

    Raises:
        TrainingError: ranks died too often; what they learned is kept, and the same task goes on from there.
        LakerecError: a rank, or the launch, said that something is wrong.
    """
    clear(folder)
    reached, deaths = -1, 0
    with watched(folder, on_epoch, on_note):
        while True:
            try:
                return _started(start, deaths > 0, folder)
            except Exception as error:
                if relaunches is None or isinstance(error, LakerecError):
                    raise
                step, deaths = read_status(folder).step, deaths + 1
                if deaths > relaunches or (deaths > 1 and step <= reached):
                    kept = f"what was learned up to step {step} is kept for the next run of train"
                    raise TrainingError(f"training processes died {deaths} times; {kept}. Last: {_cause(error)}") from error
                reached = step
                on_note(f"a training process died ({_cause(error)}): all start again from step {step}")


def _started(start: Callable[[bool], Any], again: bool, folder: Path) -> Any:
    """As `start`; an error that a rank left comes before what its death looks like from outside."""
    try:
        found = start(again)
    except Exception as error:
        raise failure(folder) or error from None
    if (left := failure(folder)) is not None:
        raise left
    return found


def _cause(error: Exception) -> str:
    """The line of a long log that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for telling in TELLING:
        for line in reversed(lines):
            if found := telling.search(line):
                return found.group()
    return lines[-1] if lines else type(error).__name__
