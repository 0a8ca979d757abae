"""`lakerec rollback`: what served before serves again, from the model to the lists.

    ledger → version that served before, or --to → its package is whole? → row in ops/promotions → alias champion
                                                                                                        │
                               serve/recommendations, made by it from today's histories ◄─ recommend ◄──┘

A version's package holds the model, its index of items and the vectors that it knows, and names its encoder, so all of them
go back together. `recommend` takes the vectors of items that came later from where they are of that encoder. A version that
was rolled back from is not promoted again by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.errors import InputError, PromotionError
from lakerec.registry import gate
from lakerec.registry.loading import registered
from lakerec.registry.tracking import Tracker
from lakerec.stages import ledger, pipeline, starting
from lakerec.stages.base import Context, Result, Stage, run_stage
from lakerec.stages.evaluate import TRAIN_RUN
from lakerec.stages.offering import model_name

if TYPE_CHECKING:
    from pyspark.sql import Row


def roll_back(config: Config, to: str | None = None, watched: bool = False) -> dict[str, Any]:
    """Go back, and make the lists anew.

    Args:
        to: the version that is to serve; None: the one that served before.

    Raises:
        InputError: nothing serves, nothing served before, or there is no such version.
    """
    _check_registry(config, to)
    with pipeline.opened(config, watched) as context:
        done = run_stage(context, _stage(to), force=True)
        lists = pipeline.run(context, ["recommend"])
        users = sum(outcome.row["rows_in"] for outcome in lists)
        return {"name": config.name, **done.row["details"], "users": users}


def _check_registry(config: Config, to: str | None) -> None:
    """Something serves, and what is to serve is registered: MLflow knows without Spark, whose start takes seconds."""
    name, tracker = model_name(config), Tracker(config.tracking, config.name)
    _serving(tracker, name)
    if to is not None:
        _check_version(tracker, name, to)


def _serving(tracker: Tracker, name: str) -> str:
    """The champion's version."""
    version = gate.alias_version(tracker, name, gate.CHAMPION)
    if version is None:
        raise InputError(f"no champion of {name} is registered: there is nothing to go back from")
    return version


def _check_version(tracker: Tracker, name: str, to: str) -> None:
    versions = gate.versions(tracker, name)
    if to not in versions:
        raise InputError(f"--to: {name} has no version {to}, but {', '.join(versions)}")


def _stage(to: str | None) -> Stage:
    return Stage(
        name="rollback",
        run=lambda context, _: _run(context, to),
        summary="what served before serves again",
        writes=(Tables.PROMOTIONS,),
        sections=("promote", "tracking"),
        settles_races=True,
    )


def _run(context: Context, to: str | None) -> Result:
    name = model_name(context.config)
    for _ in range(ledger.TRIES):
        known = ledger.entries(context, name)
        serving = _serving(context.tracker, name)
        killed = ledger.unfinished(context, known)
        if killed is not None and killed["action"] == ledger.ROLLBACK and to in (None, killed["challenger"]):
            return _ended(context, name, str(killed["champion"]))
        version = _before(context, name, known, serving) if to is None else _asked(context, name, to, serving)
        registered(context.tracker, name, version)  # a package that is gone or was altered is no way back
        tags = gate.tags_of(context.tracker, name, version)
        decision = gate.Decision(True, [f"rolled back from version {serving}"])
        entry = ledger.Entry(
            ledger.ROLLBACK, version, serving, decision, train_run=tags.get(TRAIN_RUN), encoder=tags.get(starting.ENCODER)
        )
        if ledger.record(context, name, entry, known):
            return _ended(context, name, serving)
    raise PromotionError(f"{name}: other runs decided first at each of {ledger.TRIES} tries: roll back again")


def _ended(context: Context, name: str, before: str) -> Result:
    """Carry out what the ledger says; a rollback that was killed ends so too, when it is asked for again."""
    now = ledger.follow(context, name)
    details = {"model_name": name, "champion": now, "before": before, **ledger.copied(context, name, now)}
    return Result(1, 1, details=details)


def _before(context: Context, name: str, known: list[Row], serving: str) -> str:
    """The version that served before this one, of those that are still there."""
    there = set(gate.versions(context.tracker, name)) - {serving}
    stack = [version for version in ledger.served_before(known) if version in there]
    if not stack:
        raise InputError(f"{name}: nothing served before version {serving}, by ops/promotions: --to names a version")
    return stack[-1]


def _asked(context: Context, name: str, to: str, serving: str) -> str:
    _check_version(context.tracker, name, to)
    if to == serving:
        raise InputError(f"--to: version {to} of {name} serves already")
    return to


def print_rollback(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns."""
    said = f"{result['model_name']}: version {result['champion']} serves again, in place of version {result['before']}"
    Console(highlight=False).print(Text(f"{said}; {result['users']:,} users have lists of it."))
