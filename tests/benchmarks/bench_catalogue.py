"""What the sequence model takes of memory and time where the catalogue is large: 1,000,000 items, 64 dims, on the CPU.

From files to files, as a rank of the train stage does it: text vectors of 384 numbers reduced, windows from Parquet, some
steps with the negatives that the config draws by itself, validation of 32 users on the whole catalogue, averaged and best
weights, checkpoint, saved model. Memory is the largest resident set of the process; seconds a step are those of the loop.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lakerec.models.data import Histories, Holdout
from lakerec.models.sequence import Shape
from lakerec.training.fit import Task, kept_under, save_inputs
from lakerec.training.loop import recipe_of
from lakerec.training_config import TrainConfig

from tests.benchmarks.common import write

ITEMS, LENGTH, WIDTH, VALIDATED = 1_000_000, 51, 384, 32
ALLOWED = 8.0
"""GiB."""
CHILD = """import json, resource, sys, time
from lakerec.training.fit import fit_rank
from lakerec.training.loop import Trainer

step, seconds = Trainer._step, []

def timed(trainer, batch):
    start = time.perf_counter()
    found = step(trainer, batch)
    seconds.append(time.perf_counter() - start)
    return found

Trainer._step = timed
start = time.perf_counter()
found = fit_rank(json.loads(open(sys.argv[1]).read()))
usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "gib": usage / 2**20, "seconds": time.perf_counter() - start,
    "step": sorted(seconds)[len(seconds) // 2], "steps": len(seconds),
    "loss": found["curve"][-1]["loss"], "value": found["best_value"],
}))
"""


def histories(users: int, items: int, seed: int = 1) -> np.ndarray:
    """Items of each user, popular ones more often, int32 [users, LENGTH]."""
    return np.minimum(items * np.random.default_rng(seed).random((users, LENGTH)) ** 3, items - 1).astype(np.int32)


def prepare(folder: Path, items: int, users: int) -> Task:
    """Write what a rank reads."""
    met = histories(users, items)
    rows = {"items": list(met), "past": [[]] * users, "split": ["train"] * users, "next_split": [None] * users}
    types = {"items": pa.list_(pa.int32()), "past": pa.list_(pa.int32()), "split": pa.string(), "next_split": pa.string()}
    path = folder / "sequences.parquet"
    pq.write_table(pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()}), path)
    known = [row[:-1].tolist() for row in met[:VALIDATED]]
    wanted = [[int(item)] for item in met[:VALIDATED, -1]]
    vectors = np.random.default_rng(2).random((items, WIDTH), dtype=np.float32)
    save_inputs(folder / "inputs.safetensors", vectors, Holdout(Histories.from_lists(known), Histories.from_lists(wanted)))
    config = TrainConfig(epochs=1)
    task = Task(
        files=[path.as_uri()], until="train", inputs=str(folder / "inputs.safetensors"), output=str(folder / "model"),
        num_items=items, rows=config.batch_size, seed=1, shape=asdict(Shape()), recipe=asdict(recipe_of(config, items)),
    )  # fmt: skip
    return kept_under(folder / "checkpoints", task, "data")


def measure(folder: Path, items: int, steps: int) -> dict[str, Any]:
    """Fit in a process of its own; its largest resident set in GiB, seconds, and what it learned."""
    task = prepare(folder, items, steps * TrainConfig().batch_size)
    Path(str(task.checkpoints)).mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(asdict(task)), encoding="utf-8")
    command = [sys.executable, "-c", CHILD, str(folder / "task.json")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.items, asked.steps)
    write("catalogue", found["gib"], None, "GiB", ["torch", "numpy"], items=asked.items, allowed=ALLOWED, **found)


if __name__ == "__main__":
    main()
