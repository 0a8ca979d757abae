"""MLflow tracking: one parent run a pipeline, a child run a stage. The only importers of mlflow live in this room.

    pipeline("pipeline")           parent run
      └─ stage("train")            child run: params, metrics by step, dataset versions, artifacts

A store kept in a sqlite file gets its artifacts beside that file, never in the working directory. Params are
the config's, metrics are figures, datasets are table names with versions. The report calls a few users by their number;
people's histories and ids are in a model's package alone, where `promote.known_users` asks for that.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakerec.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
FORBIDDEN = re.compile(r"[^\w./ :-]")
"""What MLflow takes in no param's name."""
MOST_PARAMS = 100
"""In one call, by MLflow's own limit."""
LONGEST_PARAM = 500
"""Characters; MLflow refuses longer values than 6,000, and nobody reads them."""


def quiet_mlflow() -> Any:
    """The mlflow module, imported without telemetry, progress bars, run links or migration chatter."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


class Tracker:
    """Records runs in one experiment.

    Args:
        config: tracking URI, experiment and artifact root.
        name: experiment name where the config gives none.
    """

    def __init__(self, config: TrackingConfig, name: str) -> None:
        self.mlflow = quiet_mlflow()
        self._file = Path(config.uri.removeprefix(SQLITE)) if config.uri.startswith(SQLITE) else None
        self._uri = config.uri
        self.use()
        self._name, self._artifacts = config.experiment or name, config.artifacts or artifacts_beside(config.uri)
        self._parent: str | None = None
        self._run: str | None = None

    def use(self) -> None:
        """Have MLflow work on this store: of those that a process has, the one that was made last is used."""
        self.mlflow.set_tracking_uri(self._uri)
        self.mlflow.set_registry_uri(self._uri if "databricks" not in self._uri else None)

    @property
    def client(self) -> MlflowClient:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        client: MlflowClient = self.mlflow.MlflowClient()
        return client

    @property
    def empty(self) -> bool:
        """Whether the store is a file that is not there yet; asking it anything would make it."""
        return self._file is not None and not self._file.is_file()

    @cached_property
    def experiment_id(self) -> str:
        """The experiment, made when the first run needs it."""
        found = self.client.get_experiment_by_name(self._name)
        return found.experiment_id if found else self.client.create_experiment(self._name, artifact_location=self._artifacts)

    @contextmanager
    def pipeline(self, name: str) -> Iterator[str]:
        """A parent run for the stages inside; gives its id."""
        run = self.client.create_run(self.experiment_id, run_name=name)
        self._parent = run.info.run_id
        with self._ended(run.info.run_id):
            yield run.info.run_id
        self._parent = None

    @contextmanager
    def stage(self, name: str) -> Iterator[str]:
        """A child run of the pipeline under way; gives its id."""
        tags = {"mlflow.parentRunId": self._parent} if self._parent else {}
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        self._run = run.info.run_id
        with self._ended(run.info.run_id):
            yield run.info.run_id
        self._run = None

    @contextmanager
    def _ended(self, run_id: str) -> Iterator[None]:
        """Mark the run finished, or failed when the block raises."""
        try:
            yield
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id)

    @property
    def run_id(self) -> str:
        """The stage run under way."""
        assert self._run is not None, "log inside a stage"
        return self._run

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log nested params as dotted names."""
        flat = [(FORBIDDEN.sub("_", key), str(value)[:LONGEST_PARAM]) for key, value in _flatten("", params)]
        entities = [self.mlflow.entities.Param(key, value) for key, value in flat]
        for start in range(0, len(entities), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=entities[start : start + MOST_PARAMS])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures at a step (an epoch, where there are any)."""
        now = int(time.time() * 1000)
        entities = [self.mlflow.entities.Metric(key, float(value), now, step) for key, value in metrics.items()]
        self.client.log_batch(self.run_id, metrics=entities)

    def log_datasets(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Tag the run with the table versions it read and wrote."""
        tags = {f"input.{table}": str(version) for table, version in inputs.items()}
        tags |= {f"output.{table}": str(version) for table, version in outputs.items()}
        self.client.log_batch(self.run_id, tags=[self.mlflow.entities.RunTag(k, v) for k, v in tags.items()])

    def log_artifact(self, path: str | Path) -> None:
        """Keep a file with the run."""
        self.client.log_artifact(self.run_id, str(path))

    def log_dict(self, values: Mapping[str, Any], name: str) -> None:
        """Keep plain values with the run, as a JSON file of that name."""
        self.client.log_dict(self.run_id, dict(values), name)


def artifacts_beside(uri: str) -> str | None:
    """Artifact root for a sqlite store: the folder mlartifacts next to the file."""
    if not uri.startswith(SQLITE):
        return None
    return (Path(uri.removeprefix(SQLITE)).resolve().parent / "mlartifacts").as_uri()


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), inner)
    elif value is not None:
        yield prefix, value
