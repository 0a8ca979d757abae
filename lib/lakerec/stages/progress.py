"""Progress for people: a line a stage, a bar for Spark's tasks, epochs and slices; nothing where no terminal is."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_SECONDS = 0.5


def terminal() -> bool:
    """Whether a person watches: standard error is a terminal and nobody asked for quiet."""
    return sys.stderr.isatty() and "LAKEREC_NO_PROGRESS" not in os.environ


class Progress:
    """Bars for one pipeline run; every method is safe to call where nothing is shown."""

    def __init__(self, visible: bool, spark: SparkSession | None = None) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Bars(*columns, console=Console(stderr=True), transient=True, disable=not visible)
        self._visible = visible
        self._spark = spark
        self._task: TaskID | None = None
        self._name = ""
        self._named = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the stage's bar while its work runs; Spark's tasks move it until the stage itself reports."""
        self._name, self._named = name, False
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        with self._bars:
            self._task = self._bars.add_task(name, total=None)
            if self._visible and self._spark is not None:
                watcher.start()
            began = time.monotonic()
            try:
                yield
                self._bars.console.print(f"{name:<10} done in {time.monotonic() - began:.0f} s", highlight=False)
            finally:
                stop.set()
                self._bars.remove_task(self._task)
                self._task = None

    def update(self, what: str, done: float, total: float | None) -> None:
        """Say how far the stage's own work is, such as `epoch`, 3, 60."""
        self._named = True
        self._show(what, done, total)

    def spark_again(self) -> None:
        """Let Spark's tasks move the bar again."""
        self._named = False

    def _show(self, what: str, done: float, total: float | None) -> None:
        if self._task is not None:
            self._bars.update(self._task, description=f"{self._name}: {what}", completed=done, total=total)
            for task in self._bars.tasks:
                task.finished_time = None  # a full bar is not the stage's end: its clock goes on

    def _watch(self, stop: threading.Event) -> None:
        """Poll Spark's active jobs; its status tracker is made for exactly this."""
        assert self._spark is not None
        tracker = self._spark.sparkContext.statusTracker()
        while not stop.wait(POLL_SECONDS):
            stages = [info for s in tracker.getActiveStageIds() if (info := tracker.getStageInfo(s)) is not None]
            if stages and not self._named:
                done, total = sum(s.numCompletedTasks for s in stages), sum(s.numTasks for s in stages)
                self._show("Spark tasks", done, total)
