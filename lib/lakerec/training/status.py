"""What the ranks of a fit tell the process that launched them, by two small files in a folder that both see.

    rank 0   → status.json    how often they were started, newest checkpoint, curve, notes; replaced as a whole
    any rank → failure.json   an error that starting again would not mend

Files, because ranks may be processes on other machines; replaced, because file systems such as Databricks volumes take no
appended lines.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lakerec import errors
from lakerec.training.state import EpochResult

STATUS, FAILURE = "status.json", "failure.json"
POLL_SECONDS = 0.5


@dataclass
class Status:
    """How far a fit is."""

    starts: int = 0
    """Times that the ranks were started since the launch."""
    step: int = 0
    """Of the newest checkpoint."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_status(folder: Path) -> Status:
    """What rank 0 told last; where it told nothing, the beginning."""
    try:
        return Status(**json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Status()


def write_status(folder: Path, status: Status) -> None:
    _replace(folder / STATUS, asdict(status))


def leave_failure(folder: Path, error: errors.LakerecError) -> None:
    """Leave an error for the process that launched the ranks."""
    _replace(folder / FAILURE, {"kind": type(error).__name__, "message": str(error)})


def failure(folder: Path) -> errors.LakerecError | None:
    """The error that a rank left."""
    try:
        left = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
    except OSError:
        return None
    kind = getattr(errors, left["kind"], errors.TrainingError)
    found: errors.LakerecError = kind(left["message"])
    return found


def clear(folder: Path) -> None:
    """Forget what the ranks of an earlier launch told."""
    for name in (STATUS, FAILURE):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def watched(
    folder: Path, on_epoch: Callable[[EpochResult], None], on_note: Callable[[str], None], seconds: float = POLL_SECONDS
) -> Iterator[None]:
    """Pass on each epoch and note once, while the block runs.

    The callbacks run in a thread of their own; what one raises is raised at the end of the block.
    """
    seen, stop, raised = Status(), threading.Event(), []

    def look() -> None:
        status = read_status(folder)
        for note in status.notes[len(seen.notes) :]:
            seen.notes.append(note)
            on_note(note)
        for point in status.curve[len(seen.curve) :]:
            seen.curve.append(point)
            on_epoch(EpochResult(**point))

    def watch() -> None:
        try:
            while not stop.wait(seconds):
                look()
            look()
        except Exception as error:
            raised.append(error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    if raised:
        raise raised[0]


def _replace(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}-{os.getpid()}")
    staged.write_text(json.dumps(value), encoding="utf-8")
    staged.replace(path)
