"""Users who walk round the items: a fit of seconds, from Parquet files to a saved model, that can be predicted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lakerec.models.catalog import load
from lakerec.models.data import Histories, Holdout
from lakerec.models.sequence import Shape
from lakerec.training.fit import Task, fit_rank, save_inputs
from lakerec.training.loop import Recipe
from lakerec.training.supervisor import supervise

ITEMS = 12
EPOCHS = 24
STEPS = 4
"""Of an epoch: a window each of 49 to 64 users, 16 at a time."""


def task(folder: Path, output: str, dropout: float = 0.0, users: int = 60, **changed: Any) -> Task:
    """Write the walks into the folder; their last step is valid."""
    walks = [[(start + step) % ITEMS for step in range(8)] for start in range(users)]
    rows: dict[str, list[Any]] = {"user": [], "items": [], "past": [], "split": [], "next_split": []}
    for user, walk in enumerate(walks):
        rows["user"] += [user, user]
        rows["items"] += [walk[:-1], walk[-1:]]
        rows["past"] += [[], walk[:-1]]
        rows["split"] += ["train", "valid"]
        rows["next_split"] += ["valid", None]
    types = {
        "user": pa.int32(),
        "items": pa.list_(pa.int32()),
        "past": pa.list_(pa.int32()),
        "split": pa.string(),
        "next_split": pa.string(),
    }
    path = folder / "sequences.parquet"
    pq.write_table(pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()}), path, row_group_size=50)
    holdout = Holdout(
        Histories.from_lists([walk[:-1] for walk in walks]), Histories.from_lists([walk[-1:] for walk in walks])
    )
    vectors = np.random.default_rng(1).normal(size=(ITEMS, 6)).astype(np.float32)
    save_inputs(folder / "inputs.safetensors", vectors, holdout)
    shape = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=dropout, text_dims=4)
    whole = {
        "files": [path.as_uri()], "until": "train", "inputs": str(folder / "inputs.safetensors"),
        "output": str(folder / output), "num_items": ITEMS, "rows": 16, "seed": 3, "shape": asdict(shape),
        "recipe": recipe(EPOCHS),
    }  # fmt: skip
    return Task(**{**whole, **changed})


def recipe(epochs: int, negatives: int = 0) -> dict[str, Any]:
    return asdict(Recipe(epochs=epochs, learning_rate=1e-2, averaging=0.9, negatives=negatives))


def supervised(spec: Task) -> Any:
    """Fit in this process, as the train stage does."""

    def ignore(_: Any) -> None:
        pass

    return supervise(lambda _: fit_rank(asdict(spec)), Path(str(spec.checkpoints)), None, ignore, ignore)


def scores(folder: Path) -> np.ndarray:
    """Of one-item histories, by the model that was saved there."""
    found: np.ndarray = load(folder).score(Histories.from_lists([[item] for item in range(ITEMS)]))
    return found
