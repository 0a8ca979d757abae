"""A fit that goes on from a fitted model: only new windows and a share of old ones, from that model's weights on."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from lakerec.models.catalog import load
from lakerec.models.data import Histories
from lakerec.models.windows import hold_new, windows
from lakerec.training.batches import WindowBatches
from lakerec.training.feed import read_windows
from lakerec.training.fit import fit
from lakerec.training.seen import Seen
from safetensors.numpy import load_file, save_file

from tests.walks import ITEMS, recipe, scores, task

PAD = 99


def test_windows_are_new_where_a_target_is():
    """A history of 7 in windows of 4: [0 1 2 3] [3 4 5 6]; event 3 is a target of the first only."""
    histories = Histories.from_lists([list(range(7))] * 5 + [[7], [8, 9]])
    seen = np.array([0, 3, 4, 6, 7, 0, 2])
    found = hold_new(histories.offsets, 4, seen).reshape(-1)
    assert len(found) == len(windows(histories.offsets, histories.items, 4, PAD))
    assert found.tolist() == [True, True, True, True, False, True, False, True, False, False, False]


def epoch_of(batches, number):
    rows = torch.cat(list(batches.epoch(number)))
    return sorted(int(row[0]) for row in rows if row[0] != PAD)


@pytest.mark.parametrize(("replay", "old"), [(0.0, 0), (0.5, 5), (1.0, 10), (1000.0, 90)])
def test_an_epoch_has_all_new_windows_and_some_old_ones_that_differ_from_epoch_to_epoch(replay, old):
    blocks = np.repeat(np.arange(100, dtype=np.int32)[:, None], 3, axis=1) + 100
    new = np.arange(100) % 10 == 3
    batches = WindowBatches(blocks, PAD, 8, 1, new=new, replay=replay)
    assert batches.steps_per_epoch == -(-(10 + old) // 8)
    first, second = epoch_of(batches, 1), epoch_of(batches, 2)
    assert first == epoch_of(WindowBatches(blocks, PAD, 8, 1, new=new, replay=replay), 1), "of seed and epoch alone"
    for seen in (first, second):
        assert len(set(seen)) == 10 + old and set(100 + np.flatnonzero(new)) <= set(seen)
    assert (first == second) == (old in (0, 90))
    ranks = [WindowBatches(blocks, PAD, 8, 1, rank, 3, new=new, replay=replay) for rank in range(3)]
    assert {len(list(each.epoch(1))) for each in ranks} == {batches.steps_per_epoch}
    assert sorted(row for each in ranks for row in epoch_of(each, 1)) == first


def test_events_seen_of_users_who_are_not_listed_are_none():
    seen = Seen(np.array([2, 5]), np.array([7, 9]))
    assert seen.of(np.array([5, 0, 2, 6])).tolist() == [9, 0, 7, 0]
    assert Seen(np.zeros(0, np.int64), np.zeros(0, np.int64)).of(np.array([1])).tolist() == [0]
    again = Seen.from_arrays(seen.arrays("train"), "train")
    assert again.of(np.array([5])).tolist() == [9]


def went_on(tmp_path, seen, **changed):
    """A fit of 60 users from the model of a fit of the first 40, of whom `seen` events are known."""
    first = task(tmp_path, "first", users=40, recipe=recipe(12))
    before = fit(asdict(first))
    spec = task(tmp_path, "second", start=str(tmp_path / "first"), **{"recipe": recipe(6), **changed})
    arrays = load_file(spec.inputs) | Seen(np.arange(40), np.full(40, seen)).arrays("seen.train")
    save_file(arrays, spec.inputs)
    return before, spec


def test_only_windows_of_new_users_and_as_many_others_are_trained(tmp_path):
    before, spec = went_on(tmp_path, 7, replay=0.5)
    found = fit(asdict(spec))
    assert (found["windows"], found["new"]) == (60, 20) and found["steps"] == 2
    assert found["start_value"] == pytest.approx(before["best_value"], abs=0.15)
    assert found["best_value"] >= found["start_value"]
    blocks, new = read_windows(spec.files, "train", 9, ITEMS, Seen(np.arange(40), np.full(40, 7)))
    assert new.sum() == 20 and len(blocks) == 60


def test_where_no_epoch_is_better_the_start_is_kept(tmp_path, monkeypatch):
    _, spec = went_on(tmp_path, 7)
    values = iter([0.5, 0.4, 0.3, 0.5, 0.2])
    monkeypatch.setattr("lakerec.training.fit.validation_value", lambda *_: next(values))
    found = fit(asdict(spec))
    assert (found["start_value"], found["best_value"], found["best_epoch"], len(found["curve"])) == (0.5, 0.5, 0, 4)
    np.testing.assert_allclose(scores(tmp_path / "second"), scores(tmp_path / "first"), rtol=1e-5, atol=1e-6)


def test_where_nothing_is_new_nothing_is_trained(tmp_path):
    _, spec = went_on(tmp_path, 7)
    arrays = load_file(spec.inputs) | Seen(np.arange(60), np.full(60, 7)).arrays("seen.train")
    save_file(arrays, spec.inputs)
    found = fit(asdict(spec))
    assert (found["new"], found["steps"], found["curve"]) == (0, 0, [])
    found = fit(asdict(replace(spec, validate=False, stop_after=0)))
    assert found["best_epoch"] == 0
    np.testing.assert_allclose(scores(tmp_path / "second"), scores(tmp_path / "first"), rtol=1e-5, atol=1e-6)


def test_an_item_that_came_since_is_learned_and_one_that_nobody_met_keeps_its_text(tmp_path):
    """Two more items in the catalogue: the first is met by users who came since."""
    _, spec = went_on(tmp_path, 7, num_items=ITEMS + 2)
    arrays = load_file(spec.inputs)
    arrays["vectors"] = np.concatenate([arrays["vectors"], np.random.default_rng(5).normal(size=(2, 6))]).astype(np.float32)
    save_file(arrays, spec.inputs)
    import pyarrow.parquet as pq

    path = tmp_path / "sequences.parquet"
    rows = pq.read_table(path).to_pandas()
    rows["items"] = [[ITEMS if item == 0 and user >= 40 else item for item in own] for user, own in
                     zip(rows["user"], rows["items"], strict=True)]  # fmt: skip
    import pyarrow as pa

    pq.write_table(pa.Table.from_pandas(rows, pq.read_schema(path), preserve_index=False), path)
    fit(asdict(replace(spec, validate=False, stop_after=6)))
    network = load(tmp_path / "second").network
    delta = (network.table() - network.project(network.text)).norm(dim=1)
    assert delta[ITEMS] > 0.01 and delta[ITEMS + 1] == 0 and network.met[:, 0].tolist() == [1.0] * (ITEMS + 1) + [0.0]
