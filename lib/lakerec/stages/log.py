"""One line an event, with stage and run id, to standard error where no person watches a terminal."""

from __future__ import annotations

import logging
import sys

LOGGER = logging.getLogger("lakerec")


def set_up(watched: bool) -> None:
    """Send events to standard error; where a person watches the progress display, warnings only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.WARNING if watched else logging.INFO)
    logging.getLogger().addFilter(_not_of_py4j)


def _not_of_py4j(record: logging.LogRecord) -> bool:
    """py4j writes a stack trace of every interrupted call, besides raising it."""
    return record.module not in ("java_gateway", "clientserver")


def event(stage: str, run_id: str, what: str, **figures: object) -> None:
    """Log `what` happened in a stage run, with figures as key=value."""
    LOGGER.info("stage=%s run=%s %s%s", stage, run_id, what, "".join(f" {k}={v}" for k, v in figures.items()))
