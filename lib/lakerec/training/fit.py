"""One fit of the sequence model, from files to files: what every rank runs.

Task (plain values) → feed over pinned files → loop → rank 0 saves model.json + weights.safetensors → curve
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.network import SequenceNetwork
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.models.sequence import Sequence, Shape
from lakerec.training.batches import WindowBatches, items_in
from lakerec.training.feed import read_windows
from lakerec.training.loop import EpochResult, Fit, Recipe, fit_sequence
from lakerec.training.ranks import appearing, joined, own_device

VALIDATION_K = 10
PARTS = ("offsets", "items", "times")


@dataclass(frozen=True)
class Task:
    """All that a rank needs to know; travels as a dict of plain values."""

    files: list[str]
    """Parquet files of one version of gold/sequences."""
    until: str
    """The last split that may be learned from."""
    inputs: str
    """File with item vectors and, for early stop, the validation holdout (see `save_inputs`)."""
    output: str
    """Folder for the fitted model."""
    num_items: int
    rows: int
    seed: int
    shape: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    validate: bool = True
    stop_after: int | None = None
    gpu: bool = False
    """Whether a rank trains on the GPU that it was given; where it was given none, on the CPU."""


def save_inputs(path: Path, vectors: np.ndarray | None, holdout: Holdout, train: Histories | None = None) -> None:
    """Write what all ranks share beside the sequences.

    Args:
        train: histories, where models are to be fitted that take them whole.
    """
    arrays = {"vectors": np.zeros((0, 0), np.float32) if vectors is None else vectors.astype(np.float32)}
    parts = {"known": holdout.histories, "target": holdout.targets} | ({} if train is None else {"train": train})
    for name, histories in parts.items():
        arrays |= {f"{name}.{part}": getattr(histories, part) for part in PARTS}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)


def histories_in(arrays: dict[str, np.ndarray], name: str) -> Histories:
    """One of the histories that `save_inputs` wrote: known, target, train."""
    return Histories(*(arrays[f"{name}.{part}"] for part in PARTS))


def holdout_in(arrays: dict[str, np.ndarray]) -> Holdout:
    """The holdout that `save_inputs` wrote."""
    return Holdout(histories_in(arrays, "known"), histories_in(arrays, "target"))


def fit(task: dict[str, Any], on_epoch: Callable[[EpochResult], None] | None = None) -> dict[str, Any]:
    """Fit as the task says; every rank calls it with the same task.

    Returns:
        curve (one dict an epoch), best_epoch, best_value, ranks, steps an epoch.
    """
    spec = Task(**task)
    gpu = spec.gpu and torch.cuda.is_available()
    with joined(gpu) as (rank, ranks):
        arrays = load_file(spec.inputs)
        vectors = arrays["vectors"] if arrays["vectors"].size else None
        nothing = Histories.from_lists([])
        shape = Shape(**spec.shape)
        model = Sequence.fresh(shape, TrainingData(nothing, spec.num_items, vectors), spec.seed)
        model.network.to(own_device(gpu))
        blocks = read_windows(spec.files, spec.until, shape.max_length + 1, spec.num_items)
        model.network.mark_met(items_in(blocks, spec.num_items))
        batches = WindowBatches(blocks, spec.num_items, spec.rows, spec.seed, rank, ranks)
        validate = _validator(model, holdout_in(arrays)) if spec.validate else None
        torch.manual_seed(spec.seed * 1000 + rank)
        done = fit_sequence(model.network, batches, Recipe(**spec.recipe), validate, spec.stop_after, on_epoch)
        if rank == 0:
            with appearing(Path(spec.output)) as folder:
                model.save(folder)
        return _summary(done, ranks, batches.steps_per_epoch)


def _validator(model: Sequence, holdout: Holdout) -> Callable[[SequenceNetwork], float]:
    """Gives NDCG@10 of a network on the holdout."""

    def value(network: SequenceNetwork) -> float:
        trial = Sequence.of(model.shape, network)
        return mean_ndcg(mask_seen(trial.score(holdout.histories), holdout.histories), holdout.targets, VALIDATION_K)

    return value


def _summary(done: Fit, ranks: int, steps: int) -> dict[str, Any]:
    return {
        "curve": [asdict(point) for point in done.curve],
        "best_epoch": done.best_epoch,
        "best_value": done.best_value,
        "ranks": ranks,
        "steps": steps,
    }
