"""Arrival without an end: what `lakerec ingest` does, each time that new files have come to rest.

    look ─► a file that is as it was at the look before, and was not read yet? ─► pipeline.run ─► one line
      ▲                                                                              │
      └───────────── every so many seconds, until SIGINT or SIGTERM ◄────────────────┘

A follower decides when to read, and nothing else: the reading is that of a single run, and what was read stands in the
ledger of the lake alone. So whoever comes after it, killed or stopped, goes on where it was.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from lakerec.columns import Sources, Tables
from lakerec.stages import ingest, pipeline
from lakerec.stages.base import Context, Outcome
from lakerec.stages.log import LOGGER

STOPS = (signal.SIGINT, signal.SIGTERM)
Files = frozenset[tuple[Any, ...]]
"""Raw files: source, name, length, time of the last change."""


def follow(context: Context, names: Sequence[str], every: float, say: Callable[[list[Outcome]], None]) -> None:
    """Run the stages at each arrival until the process is told to stop; the arrival at hand is finished first.

    Args:
        names: stages, ingest among them.
        every: seconds between two looks.
        say: is given the outcomes of each arrival.
    """
    before, done = ingest.lying(context), Files()
    _say_what_is_missing(context, before)
    with _stops() as stop:
        while not _told(stop, every):
            now = ingest.lying(context)
            context.at_rest = Files(file for file in now if file in before or _is_whole(context, file[0]))
            if context.at_rest - done and _has_events(context) and ingest.has_new(context) and stop.empty():
                say(pipeline.run(context, names))
            before, done = now, context.at_rest


def _told(stop: SimpleQueue[int], seconds: float) -> bool:
    """Wait so long, or until told to stop; gives whether that was so."""
    try:
        stop.get(timeout=seconds)
    except Empty:
        return False
    return True


def _is_whole(context: Context, source: str) -> bool:
    """Whether what arrives is never half of something: a commit of a Delta table is not."""
    return bool(getattr(context.config.source, source).format == "delta")


def _has_events(context: Context) -> bool:
    """Whether there is a first event; what else may have come waits for it."""
    assert context.at_rest is not None
    return any(file[0] == Sources.EVENTS for file in context.at_rest) or context.lake.exists(Tables.BRONZE_EVENTS)


def _say_what_is_missing(context: Context, now: Files) -> None:
    for source, config in ingest.configured(context).items():
        if all(file[0] != source for file in now):
            LOGGER.warning("source.%s.path: no file at %s yet; waiting for the first one", source, config.path)


@contextmanager
def _stops() -> Iterator[SimpleQueue[int]]:
    """Takes what the process is told to stop by, once; the second time it is interrupted as ever."""
    told: SimpleQueue[int] = SimpleQueue()  # made for this: a signal's put() may come in the midst of a get()
    handlers = {number: signal.getsignal(number) for number in STOPS}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def stop(number: int, _: object) -> None:
        restore()
        told.put(number)

    for number in STOPS:
        signal.signal(number, stop)
    try:
        yield told
    finally:
        restore()
