"""What can go wrong that a user can put right.

Every message says what was found and what to do. The command line prints it as one line, without a stack trace,
and exits with `exit_code`: 2 where the user's input or config is wrong, 1 where a stage failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class LakerecError(Exception):
    """Base of every error lakerec raises on purpose; a stage failed."""

    exit_code = 1


class UserError(LakerecError):
    """The user's input or config is wrong."""

    exit_code = 2


class ConfigError(UserError):
    """A config key is unknown, missing, of the wrong type or out of range."""


class InputError(UserError):
    """A source file is missing, unreadable, or does not have the columns that the mapping names."""


class EnvironmentProblem(UserError):
    """The machine lacks something (Java, model files, GPU slots) that the chosen verb needs."""


class ContractError(LakerecError):
    """Rows about to be written do not fit their table's contract, or rows in and rows out do not add up."""


class LakeError(LakerecError):
    """A table could not be written, though the rows fit it."""


class EmptyDataError(UserError):
    """A stage was left with no rows to work on: every row was refused, or the input was empty."""


class TrainingError(LakerecError):
    """Training could not start or go on (too few slots, non-finite loss, unreadable checkpoint)."""


class LeakageError(LakerecError):
    """What is held out has reached what is judged by it: the figures would flatter the models."""


class PromotionError(LakerecError):
    """A model could not be packaged, registered or compared."""


class IntegrityError(PromotionError):
    """A registered model's files are not those that were registered."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name; empty where no known one is as like it as `cutoff` (1: the same).

    >>> nearest("epoch", ["epochs", "dims"])
    '; did you mean `epochs`?'
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean `{near[0]}`?" if near else ""


def root_cause(error: Exception) -> str:
    """What lies at the bottom of an error, in one line; of one that Java raised its class, where the message is no sentence.

    >>> root_cause(ValueError("no such file"))
    'no such file'
    """
    inner: Any = getattr(error, "java_exception", None)
    while inner is not None and inner.getCause() is not None:
        inner = inner.getCause()
    said = str(error) if inner is None else str(inner.getMessage() or "")
    if inner is not None and " " not in said.strip():
        said = str(inner.toString())
    return next(iter(said.strip().splitlines()), type(error).__name__)
