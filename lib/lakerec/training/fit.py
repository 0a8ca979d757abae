"""One fit of the sequence model, from files to files: what every rank runs.

Task (plain values) → feed over pinned files → loop, from the newest checkpoint on
    → rank 0 saves model.json + weights.safetensors → curve
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from lakerec import __version__
from lakerec.errors import LakerecError
from lakerec.models import storage
from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.network import SequenceNetwork
from lakerec.models.protocol import Recommender
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.models.sequence import Sequence, Shape
from lakerec.training.augment import Augmented, nearest_by_text
from lakerec.training.batches import Batches, WindowBatches, items_in
from lakerec.training.feed import read_windows
from lakerec.training.keeper import Keeper
from lakerec.training.loop import Recipe, fit_sequence
from lakerec.training.ranks import appearing, joined, own_device
from lakerec.training.seen import Seen
from lakerec.training.state import Watcher
from lakerec.training.status import failure, leave_failure
from lakerec.training_config import Augmentation

VALIDATION_K = 10
CELLS_AT_ONCE = 32_000_000
"""Users × items that validation holds at a time: 128 MB."""
PARTS = ("offsets", "items", "times")
HOW = ("files", "inputs", "output", "teacher", "gpu", "checkpoints", "checkpoint_minutes", "relaunches", "micro_batch")
"""Fields of a task that say where and how, and not what comes out; of `micro_batch` see `kept_under`."""


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
    start: str | None = None
    """Folder of a model to go on from, of fewer items and users; `inputs` says what it saw (see `save_inputs`).
    None: it begins from scratch."""
    teacher: str | None = None
    """Folder of a fitted model to learn from besides; None: there is none."""
    replay: float = 1.0
    """Old windows of an epoch for each new one, where it goes on from a model."""
    gpu: bool = False
    """Whether a rank trains on the GPU that it was given; where it was given none, on the CPU."""
    micro_batch: int = 0
    """Windows that go through a rank's network at a time; 0: all of its part of a step."""
    checkpoints: str | None = None
    """Folder that driver and ranks share, of this task alone (see `kept_under`); None: there are no checkpoints."""
    checkpoint_minutes: float = 10.0
    """Within an epoch; 0: at the ends of epochs only."""
    relaunches: int = 0


def save_inputs(
    path: Path,
    vectors: np.ndarray | None,
    holdout: Holdout,
    train: Histories | None = None,
    seen: Mapping[str, Seen] | None = None,
    values: np.ndarray | None = None,
) -> None:
    """Write what all ranks share beside the sequences.

    Args:
        train: histories, where models are to be fitted that take them whole.
        seen: what the models learned from that fits go on from, by `Task.until`.
        values: of the events of `train`, for a model that learns from them.
    """
    arrays = {"vectors": np.zeros((0, 0), np.float32) if vectors is None else vectors.astype(np.float32)}
    parts = {"known": holdout.histories, "target": holdout.targets} | ({} if train is None else {"train": train})
    for name, histories in parts.items():
        arrays |= {f"{name}.{part}": getattr(histories, part) for part in PARTS}
    arrays |= {} if values is None else {"values": values}
    for until, each in (seen or {}).items():
        arrays |= each.arrays(f"seen.{until}")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)


def histories_in(arrays: dict[str, np.ndarray], name: str) -> Histories:
    """One of the histories that `save_inputs` wrote: known, target, train."""
    return Histories(*(arrays[f"{name}.{part}"] for part in PARTS))


def holdout_in(arrays: dict[str, np.ndarray]) -> Holdout:
    """The holdout that `save_inputs` wrote."""
    return Holdout(histories_in(arrays, "known"), histories_in(arrays, "target"))


def kept_under(folder: Path, task: Task, data: str) -> Task:
    """The task, with checkpoints in a folder that it finds again: named by a digest of all that its result depends on.

    The number of ranks is no part of it, nor are the files' names, which change where they are copies. `micro_batch` is
    one where the recipe is adversarial: a step in parts is another step then.

    Args:
        data: what tells the rows of the files from others, such as a digest of them.
    """
    what = {"data": data} | {name: value for name, value in asdict(task).items() if name not in HOW}
    what |= {"inputs": _digest(Path(task.inputs)), "code": __version__}
    what |= {"micro_batch": task.micro_batch} if task.recipe.get("adversarial") else {}
    what |= {} if task.teacher is None else {"teacher": _digest(Path(task.teacher) / storage.WEIGHTS)}
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return replace(task, checkpoints=str(folder / digest))


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def fit_rank(task: dict[str, Any]) -> dict[str, Any] | None:
    """`fit` under a supervisor: an error that starting again would not mend is left for it in the checkpoints' folder.

    Where one was left already, there is nothing to do, whoever started the ranks again.
    """
    folder = Path(task["checkpoints"])
    if failure(folder) is not None:
        return None
    try:
        return fit(task)
    except LakerecError as error:
        leave_failure(folder, error)
        raise


def fit(task: dict[str, Any], watcher: Watcher | None = None) -> dict[str, Any]:
    """Fit as the task says; every rank calls it with the same task.

    Args:
        watcher: in place of the keeper of the task's checkpoints.

    Returns:
        curve (one dict an epoch), best_epoch, best_value, start_value, ranks, steps an epoch, windows, how many of these are
        new.

    Raises:
        TrainingError: see `fit_sequence`, `read_windows` and `Keeper`.
    """
    spec = Task(**task)
    gpu = spec.gpu and torch.cuda.is_available()
    with joined(gpu) as (rank, ranks):
        device = own_device(gpu)
        keeper = watcher or (None if spec.checkpoints is None else _keeper(spec, device, rank, ranks))
        arrays = load_file(spec.inputs)
        shape = Shape(**spec.shape)
        width = shape.max_length + 1
        model = _begun(spec, shape, arrays)
        seen = None if spec.start is None else Seen.from_arrays(arrays, f"seen.{spec.until}")
        blocks, new = read_windows(spec.files, spec.until, width, spec.num_items, seen, shape.times)
        met = items_in(blocks[:, :width], spec.num_items)
        model.network.mark_met(met if spec.start is None else met | model.network.met.numpy()[:, 0].astype(bool))
        model.network.to(device)
        recipe, batches = Recipe(**spec.recipe), _batches(spec, model, blocks, new, rank, ranks)
        validate = _validator(model, holdout_in(arrays)) if spec.validate else None
        teacher = None if spec.teacher is None else Sequence.load(Path(spec.teacher)).network.to(device).eval()
        torch.manual_seed(spec.seed * 1000 + rank)  # behind all that draws
        done = fit_sequence(
            model.network, batches, recipe, validate, spec.stop_after, keeper, spec.micro_batch, spec.seed,
            fitted=spec.start is not None, teacher=teacher,
        )  # fmt: skip
        if rank == 0:
            with appearing(Path(spec.output)) as folder:
                model.save(folder)
        sizes = {"steps": batches.steps_per_epoch, "windows": len(new), "new": int(new.sum())}
        return {**asdict(done), "ranks": ranks, **sizes}


def _begun(spec: Task, shape: Shape, arrays: dict[str, np.ndarray]) -> Sequence:
    """The model that the fit begins with; the vectors, of which it keeps a sixth, are taken out of the arrays."""
    vectors = arrays.pop("vectors")
    catalogue = TrainingData(Histories.from_lists([]), spec.num_items, vectors if vectors.size else None)
    if spec.start is None:
        return Sequence.fresh(shape, catalogue, spec.seed)
    return Sequence.grown(Sequence.load(Path(spec.start)), shape, catalogue, spec.seed)


def _batches(spec: Task, model: Sequence, blocks: np.ndarray, new: np.ndarray, rank: int, ranks: int) -> Batches:
    """The windows, of which a fit that goes on takes the new ones and some others, varied if the recipe says so."""
    fresh = None if spec.start is None else new
    batches = WindowBatches(blocks, spec.num_items, spec.rows, spec.seed, rank, ranks, fresh, spec.replay)
    return varied(batches, model, spec.recipe.get("augment", ()), spec.rows, spec.seed, rank, ranks)


def varied(
    batches: Batches, model: Sequence, kinds: Collection[Augmentation], rows: int, seed: int, rank: int = 0, ranks: int = 1
) -> Batches:
    """The batches with their windows varied in these ways (`lakerec.training.augment`); the same where there is none.

    Args:
        rows: windows a step, over all ranks together.
    """
    if not kinds:
        return batches
    network = model.network
    text = network.text.cpu().numpy()
    nearest = nearest_by_text(text if "swap" in kinds else text[:, :0])
    return Augmented(batches, list(kinds), network.max_length + 1, network.num_items, rows, seed, nearest, rank, ranks)


def _keeper(spec: Task, device: str, rank: int, ranks: int) -> Keeper:
    folder = Path(spec.checkpoints or "")
    return Keeper(folder, device, spec.seed, rank, ranks, spec.checkpoint_minutes, 1 + spec.relaunches)


def validation_value(model: Recommender, holdout: Holdout, num_items: int) -> float:
    """NDCG@10 of a model on the holdout."""
    total, users = 0.0, len(holdout.histories)
    at_once = max(1, CELLS_AT_ONCE // num_items)
    for start in range(0, users, at_once):
        part = holdout.take(np.arange(start, min(start + at_once, users)))
        scores = mask_seen(model.score(part.histories), part.histories)
        total += mean_ndcg(scores, part.targets, VALIDATION_K) * len(part.histories)
    return total / max(1, users)


def _validator(model: Sequence, holdout: Holdout) -> Callable[[SequenceNetwork], float]:
    """Gives NDCG@10 of a network on the holdout."""

    def value(network: SequenceNetwork) -> float:
        return validation_value(Sequence.of(model.shape, network), holdout, network.num_items)

    return value
