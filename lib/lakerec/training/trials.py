"""One trial of a search for better settings: a model with these settings, fitted on train and judged on validation.

    settings → model → fit(train) → NDCG@10 on validation
               each epoch: a line in <number>.jsonl; a file <number>.stop asks it to end

It runs in this process or on any worker that sees the folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from lakerec.columns import Models
from lakerec.models.catalog import build, shape_of
from lakerec.models.data import TrainingData
from lakerec.training.fit import Task, fit, histories_in, holdout_in, validation_value
from lakerec.training.loop import recipe_of
from lakerec.training.state import EpochResult, State
from lakerec.training_config import TrainConfig


@dataclass(frozen=True)
class Trial:
    """All that a worker needs to know; travels as a dict of plain values."""

    number: int
    model: str
    settings: dict[str, Any]
    """Of `train`, the trial's own among them."""
    inputs: str
    """Vectors, holdout, train histories and their values (see `lakerec.training.fit.save_inputs`)."""
    files: list[str]
    """Parquet files of one version of gold/sequences."""
    until: str
    """The last split that may be learned from."""
    folder: str
    """Where its lines and its model go, a folder that the driver sees too."""
    num_items: int


class _Stopped(Exception):
    pass


class _Reporter:
    """Says each epoch's end to whoever reads the trial's lines, and ends the trial where they asked for that."""

    def __init__(self, trial: Trial) -> None:
        self.file, self.stop = (Path(trial.folder) / f"{trial.number}.{end}" for end in ("jsonl", "stop"))

    def restore(self, state: State) -> None:
        """A trial begins anew."""

    def due(self, state: State) -> bool:
        return False

    def save(self, state: State) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(state.fit.curve[-1])) + "\n")
        if self.stop.exists():
            raise _Stopped

    def note(self, what: str) -> None:
        """Nobody asks for more than the value."""


def run_trial(argument: dict[str, Any]) -> float | None:
    """The validation value, or None where the trial was stopped before its end."""
    trial = Trial(**argument)
    config = TrainConfig.model_validate(trial.settings)
    if trial.model == Models.SEQUENCE:
        return _sequence(trial, config)
    arrays = load_file(trial.inputs)
    vectors = arrays["vectors"] if arrays["vectors"].size else None
    model = build(trial.model, config)
    model.fit(TrainingData(histories_in(arrays, "train"), trial.num_items, vectors, arrays.get("values")))
    return validation_value(model, holdout_in(arrays), trial.num_items)


def lines(folder: Path, number: int) -> list[EpochResult]:
    """What a trial has said so far; a line that is not whole yet is left for the next look."""
    file = folder / f"{number}.jsonl"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return [EpochResult(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def stop(folder: Path, number: int) -> None:
    """Ask a trial to end after its epoch."""
    (folder / f"{number}.stop").touch()


def _sequence(trial: Trial, config: TrainConfig) -> float | None:
    folder = Path(trial.folder)
    task = Task(
        files=trial.files, until=trial.until, inputs=trial.inputs, output=str(folder / f"model-{trial.number}"),
        num_items=trial.num_items, rows=config.batch_size, seed=config.seeds[0], shape=asdict(shape_of(config)),
        recipe=asdict(recipe_of(config, trial.num_items)), gpu=config.gpus_per_rank > 0, micro_batch=config.micro_batch,
    )  # fmt: skip

    try:
        return float(fit(asdict(task), _Reporter(trial))["best_value"])
    except _Stopped:
        return None
    finally:
        shutil.rmtree(task.output, ignore_errors=True)
