"""The gate: a challenger becomes champion only when it is better, and says why either way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lakerec.registry.loading import registered as registered
from lakerec.registry.tracking import Tracker

CHAMPION, CHALLENGER = "champion", "challenger"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What a store answers where the model or the alias does not exist; anything else is a store that cannot be asked."""


@dataclass(frozen=True)
class Decision:
    """What the gate decided."""

    promoted: bool
    reasons: list[str]


def decide(challenger: float, champion: float | None, baseline: float | None, minimum_gain: float) -> Decision:
    """Compare one metric, higher is better, of lists on the same test users.

    Args:
        champion: value of the model that serves; None: nothing serves yet.
        baseline: value of plain popularity; a challenger must beat it.
        minimum_gain: how much better than the champion, as a share of its value; below 0: how much worse it may be.
    """
    if not math.isfinite(challenger):
        return Decision(False, [f"the challenger's metric is {challenger}"])
    if baseline is not None and challenger <= baseline:
        return Decision(False, [f"{challenger:.4f} does not beat plain popularity's {baseline:.4f}"])
    if champion is None:
        return Decision(True, [f"{challenger:.4f}; no champion to compare with"])
    needed = champion * (1 + minimum_gain)
    if challenger <= needed:
        return Decision(
            False, [f"{challenger:.4f} is not above {needed:.4f} (champion {champion:.4f}, gain {minimum_gain:.1%})"]
        )
    if challenger <= champion:
        return Decision(True, [f"{challenger:.4f} is no more below the champion's {champion:.4f} than {-minimum_gain:.1%}"])
    return Decision(True, [f"{challenger:.4f} beats the champion's {champion:.4f}"])


def alias_version(tracker: Tracker, name: str, alias: str) -> str | None:
    """The version an alias points to; None where there is none."""
    from mlflow.exceptions import MlflowException

    if tracker.empty:
        return None
    try:
        return str(tracker.client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def version_with(tracker: Tracker, name: str, tags: Mapping[str, str]) -> str | None:
    """The registered version that carries these tags; None where there is none.

    Unity Catalog searches by name alone and leaves the tags out of what it finds.
    """
    for found in tracker.client.search_model_versions(f"name = '{name}'"):
        its = found.tags or tracker.client.get_model_version(name, found.version).tags
        if all(its.get(key) == value for key, value in tags.items()):
            return str(found.version)
    return None


def set_alias(tracker: Tracker, name: str, alias: str, version: str) -> None:
    """Point an alias at a version; one call, so that it never points nowhere."""
    tracker.client.set_registered_model_alias(name, alias, version)


def tags_of(tracker: Tracker, name: str, version: str) -> dict[str, str]:
    """What a registered version was tagged with."""
    return dict(tracker.client.get_model_version(name, version).tags)
