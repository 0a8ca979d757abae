"""A folder for what only this process needs on this machine, such as Spark's shuffle files.

It goes with the process. A process that was killed cannot clean up: what it left is swept when the next one starts. The
lock tells a dead owner from a living one, in another container too, where process ids would not.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

PREFIX = "lakerec-scratch-"
LOCK = "lock"


@cache
def scratch_folder() -> Path:
    """This process's folder, the same at every call; those of dead processes are removed first."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fcntl.flock(os.open(folder / LOCK, os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)  # open, and so held, until the process ends
    return folder


def sweep() -> None:
    """Remove the folders of this user whose processes are gone."""
    for folder in abandoned():
        shutil.rmtree(folder, ignore_errors=True)


def abandoned() -> list[Path]:
    """Folders that no living process holds."""
    return [folder for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) if not _held(folder)]


def _held(folder: Path) -> bool:
    """Whether a living process, or another user's, has the folder; one without lock is being made right now."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
