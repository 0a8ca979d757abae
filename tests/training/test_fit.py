"""One fit from Parquet files to a saved model: to the bit the same again, and two ranks end where one does."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lakerec.models.catalog import load
from lakerec.models.data import Histories, Holdout
from lakerec.models.sequence import Shape
from lakerec.training.fit import Task, fit, save_inputs
from lakerec.training.loop import Recipe
from safetensors.numpy import load_file, save_file

ITEMS = 12
EPOCHS = 24
RANK = """import json, os, pathlib, sys
from lakerec.training.fit import fit

folder = pathlib.Path(sys.argv[1])
found = fit(json.loads((folder / "task.json").read_text()))
(folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(found))
"""


def task(folder: Path, output: str, **changed: object) -> Task:
    """Users walk round the items; their last step is valid."""
    walks = [[(start + step) % ITEMS for step in range(8)] for start in range(ITEMS)] * 5
    rows = {"items": [], "past": [], "split": [], "next_split": []}
    for walk in walks:
        rows["items"] += [walk[:-1], walk[-1:]]
        rows["past"] += [[], walk[:-1]]
        rows["split"] += ["train", "valid"]
        rows["next_split"] += ["valid", None]
    types = {"items": pa.list_(pa.int32()), "past": pa.list_(pa.int32()), "split": pa.string(), "next_split": pa.string()}
    path = folder / "sequences.parquet"
    pq.write_table(pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()}), path, row_group_size=50)
    holdout = Holdout(
        Histories.from_lists([walk[:-1] for walk in walks]), Histories.from_lists([walk[-1:] for walk in walks])
    )
    vectors = np.random.default_rng(1).normal(size=(ITEMS, 6)).astype(np.float32)
    save_inputs(folder / "inputs.safetensors", vectors, holdout)
    shape = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=0.0, text_dims=4)
    whole = {
        "files": [path.as_uri()], "until": "train", "inputs": str(folder / "inputs.safetensors"),
        "output": str(folder / output), "num_items": ITEMS, "rows": 16, "seed": 3, "shape": asdict(shape),
        "recipe": asdict(Recipe(epochs=EPOCHS, learning_rate=1e-2, averaging=0.9)),
    }  # fmt: skip
    return Task(**{**whole, **changed})


def scores(folder: Path) -> np.ndarray:
    """Of one-item histories, by the model that was saved there."""
    return load(folder).score(Histories.from_lists([[item] for item in range(ITEMS)]))


def test_a_fit_learns_the_walk_and_saves_what_it_kept(tmp_path):
    found = fit(asdict(task(tmp_path, "model")))
    assert found["best_value"] > 0.9
    assert found["curve"][-1]["loss"] < found["curve"][0]["loss"] / 2
    assert found["ranks"] == 1 and found["steps"] == 4
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]
    assert (scores(tmp_path / "model").argmax(axis=1) == (np.arange(ITEMS) + 1) % ITEMS).all()


def test_the_same_task_gives_the_same_weights_and_another_seed_others(tmp_path):
    curves = [fit(asdict(task(tmp_path, name)))["curve"] for name in ("one", "two")]
    assert curves[0] == curves[1]
    np.testing.assert_array_equal(scores(tmp_path / "one"), scores(tmp_path / "two"))
    assert fit(asdict(task(tmp_path, "three", seed=4)))["curve"] != curves[0]


def test_after_a_number_of_epochs_it_stops_and_does_not_validate(tmp_path):
    found = fit(asdict(task(tmp_path, "model", validate=False, stop_after=2)))
    assert [point["value"] for point in found["curve"]] == [None, None]
    assert found["best_epoch"] == 2


def test_an_item_that_training_never_met_is_scored_from_its_text_alone(tmp_path):
    """Two new items: one with the text of an item that users walk to, one with a text of its own."""
    spec = task(tmp_path, "model", num_items=ITEMS + 2)
    arrays = load_file(spec.inputs)
    stranger = np.random.default_rng(9).normal(size=(1, 6)).astype(np.float32)
    arrays["vectors"] = np.concatenate([arrays["vectors"], arrays["vectors"][3:4], stranger])
    save_file(arrays, spec.inputs)
    fit(asdict(spec))
    model = load(tmp_path / "model")
    table, from_text = model.network.table(), model.network.project(model.network.text)
    assert torch.equal(table[ITEMS:], from_text[ITEMS:])
    assert (table[:ITEMS] - from_text[:ITEMS]).norm(dim=1).min() > 0.1
    after_two = model.score(Histories.from_lists([[1, 2]]))[0]
    assert after_two.argmax() == 3 and after_two[ITEMS] > after_two[ITEMS + 1]


@pytest.mark.timeout(300)
def test_two_ranks_end_where_one_does(tmp_path):
    recipe = asdict(Recipe(epochs=3, learning_rate=1e-2, averaging=0.9))
    alone = fit(asdict(task(tmp_path, "alone", recipe=recipe)))
    together = task(tmp_path, "together", recipe=recipe)
    (tmp_path / "task.json").write_text(json.dumps(asdict(together)))
    (tmp_path / "rank.py").write_text(RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "rank.py"), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert [result["ranks"] for result in found] == [2, 2]
    assert found[0]["curve"] == found[1]["curve"]
    losses = [[point["loss"] for point in result["curve"]] for result in (alone, found[0])]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    np.testing.assert_allclose(scores(tmp_path / "together"), scores(tmp_path / "alone"), atol=0.05)
