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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    _lock(folder)  # open, and so held, until the process ends
    return folder


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Meanwhile `held` says of the folder, which is made, that it is; where its file system knows no locks, it does not."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = None
    with suppress(OSError):
        lock = _lock(folder)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def held(folder: Path) -> bool:
    """Whether a living process, of any machine that shares the folder, has its lock."""
    return (folder / LOCK).exists() and _held(folder)


def sweep() -> None:
    """Remove the folders of this user whose processes are gone."""
    for folder in abandoned():
        shutil.rmtree(folder, ignore_errors=True)


def abandoned() -> list[Path]:
    """Folders that no living process holds."""
    return [folder for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) if not _held(folder)]


def _lock(folder: Path) -> int:
    """Take the folder's lock; the number of the open file, which holds it."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


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
