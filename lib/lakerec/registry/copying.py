"""A promoted version into another registry, by copying its files: what was judged is what serves there.

    the same store       MLflow's own copy: another name for the same files
    another store        files, checked ─► logged there ─► version with the same tags and digest
                                                           └─► checked again ─► alias champion

A copy carries where it is from, so that doing it again finds it.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from lakerec.config import TrackingConfig
from lakerec.judging_config import CopyConfig
from lakerec.registry.gate import CHAMPION, set_alias, version_with
from lakerec.registry.integrity import DIGEST, checked
from lakerec.registry.tracking import Tracker

COPIED_FROM = "copied_from"
"""Tag of a copy: name/version of what it is of."""


def follow(tracker: Tracker, name: str, version: str, target: CopyConfig) -> str:
    """Have the target serve a copy of this version, made unless it is there; gives the copy's version.

    Raises:
        IntegrityError: the files here, or those that came there, are not those that were registered.
    """
    tags = dict(tracker.client.get_model_version(name, version).tags)
    copied = {COPIED_FROM: f"{name}/{version}", DIGEST: tags.get(DIGEST, "")}
    with _elsewhere(tracker, target) as there:
        found = version_with(there, target.name, copied)
    made = found or copy_version(tracker, name, version, target)
    with _elsewhere(tracker, target) as there:
        set_alias(there, target.name, CHAMPION, made)
    return made


def copy_version(tracker: Tracker, name: str, version: str, target: CopyConfig) -> str:
    """Copy a version into the target's registry with its tags and description; gives the new version.

    Raises:
        IntegrityError: see `follow`.
    """
    source = tracker.client.get_model_version(name, version)
    tags, description = {**source.tags, COPIED_FROM: f"{name}/{version}"}, source.description or ""
    with tempfile.TemporaryDirectory() as temporary:
        folder = checked(tracker, name, version, Path(temporary))
        with _elsewhere(tracker, target) as there:
            if target.uri is None:
                made = _within(there, name, version, target.name)
            else:
                made = _carried(there, folder, target.name, tags)
            there.client.update_model_version(target.name, made, description=description)
            there.client.set_model_version_tag(target.name, made, COPIED_FROM, tags[COPIED_FROM])
            with tempfile.TemporaryDirectory() as again:
                checked(there, target.name, made, Path(again))
    return made


@contextmanager
def _elsewhere(tracker: Tracker, target: CopyConfig) -> Iterator[Tracker]:
    """The target's store, which MLflow works on meanwhile: parts of it know of one store at a time only."""
    if target.uri is None:
        yield tracker
        return
    try:
        yield Tracker(TrackingConfig(uri=target.uri, experiment=target.experiment), target.name)
    finally:
        tracker.use()


def _within(tracker: Tracker, name: str, version: str, to_name: str) -> str:
    with redirect_stderr(io.StringIO()):  # MLflow announces it there
        return str(tracker.client.copy_model_version(f"models:/{name}/{version}", to_name).version)


def _carried(there: Tracker, folder: Path, name: str, tags: dict[str, str]) -> str:
    """Log a package's files in a store and register them."""
    logged = there.client.create_logged_model(there.experiment_id, name="model")
    there.client.log_model_artifacts(logged.model_id, str(folder))
    there.client.finalize_logged_model(logged.model_id, "READY")
    with redirect_stderr(io.StringIO()):
        made = there.mlflow.register_model(f"models:/{logged.model_id}", name, await_registration_for=60, tags=tags)
    return str(made.version)
