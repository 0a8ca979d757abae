"""One fit from Parquet files to a saved model: to the bit the same again, and two ranks end where one does."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from lakerec.models import storage
from lakerec.models.catalog import load
from lakerec.models.data import Histories
from lakerec.training.fit import fit, kept_under
from lakerec.training.loop import Trainer
from safetensors.numpy import load_file, save_file

from tests.ranks import on_two_ranks
from tests.walks import ITEMS, recipe, scores, supervised, task

RANK = """import json, os, pathlib, sys
from lakerec.training.fit import fit

folder = pathlib.Path(sys.argv[1])
found = fit(json.loads((folder / "task.json").read_text()))
(folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(found))
"""


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


def test_a_task_finds_its_checkpoints_by_what_it_learns_from_and_how(tmp_path):
    spec = task(tmp_path, "model")
    place = kept_under(tmp_path, spec, "data").checkpoints
    (tmp_path / "copied.parquet").write_bytes((tmp_path / "sequences.parquet").read_bytes())
    elsewhere = replace(spec, files=[(tmp_path / "copied.parquet").as_uri()], output="other", micro_batch=4, relaunches=9)
    assert kept_under(tmp_path, elsewhere, "data").checkpoints == place
    others = [kept_under(tmp_path, spec, "other data")]
    others += [kept_under(tmp_path, replace(spec, **{name: value}), "data") for name, value in
               (("seed", 4), ("until", "valid"), ("stop_after", 2), ("recipe", recipe(3)), ("rows", 8))]  # fmt: skip
    arrays = load_file(spec.inputs)
    save_file({**arrays, "vectors": arrays["vectors"] + 1}, spec.inputs)
    others.append(kept_under(tmp_path, spec, "data"))
    assert len({place, *(each.checkpoints for each in others)}) == 8


@pytest.mark.parametrize(("adversarial", "places"), [(0.0, 1), (0.02, 2)])
def test_parts_of_a_step_tell_a_task_from_others_where_each_takes_a_worst_step_of_its_own(tmp_path, adversarial, places):
    spec = task(tmp_path, "model", recipe=recipe(2) | {"adversarial": adversarial})
    found = {kept_under(tmp_path, replace(spec, micro_batch=parts), "data").checkpoints for parts in (0, 4)}
    assert len(found) == places


def test_a_fit_that_was_cut_short_ends_as_the_unbroken_one_and_one_that_was_over_is_not_done_again(tmp_path, monkeypatch):
    whole = fit(asdict(task(tmp_path, "whole", dropout=0.2, recipe=recipe(4))))
    spec = kept_under(tmp_path / "checkpoints", task(tmp_path, "cut", dropout=0.2, recipe=recipe(4)), "data")
    step, steps = Trainer._step, []

    def cut(trainer, batch):
        steps.append(trainer.state.step)
        if len(steps) == 11:
            raise KeyboardInterrupt
        return step(trainer, batch)

    monkeypatch.setattr(Trainer, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        supervised(spec)
    assert supervised(spec) == whole
    assert steps == [*range(11), *range(8, 16)], "from the end of its second epoch on"
    np.testing.assert_array_equal(scores(tmp_path / "cut"), scores(tmp_path / "whole"))
    assert supervised(replace(spec, output=str(tmp_path / "again"))) == whole and len(steps) == 19
    np.testing.assert_array_equal(scores(tmp_path / "again"), scores(tmp_path / "whole"))


def test_a_smaller_network_learns_from_a_fitted_one_and_its_checkpoints_are_told_by_what_that_knows(tmp_path):
    fit(asdict(task(tmp_path, "teacher")))
    shape = {**task(tmp_path, "small").shape, "dims": 8}
    taught = replace(
        task(tmp_path, "small", recipe=recipe(8) | {"teaching": 1.0}), shape=shape, teacher=str(tmp_path / "teacher")
    )
    assert fit(asdict(taught))["best_value"] > 0.9
    assert storage.settings(tmp_path / "small")["shape"]["dims"] == 8
    (tmp_path / "teacher").rename(tmp_path / "moved")
    places = [kept_under(tmp_path, replace(taught, teacher=str(tmp_path / "moved")), "data").checkpoints]
    fit(asdict(task(tmp_path, "other", seed=9)))
    places += [
        kept_under(tmp_path, replace(taught, teacher=name), "data").checkpoints for name in (str(tmp_path / "other"), None)
    ]
    (tmp_path / "moved").rename(tmp_path / "teacher")
    assert len(set(places)) == 3 and kept_under(tmp_path, taught, "data").checkpoints == places[0]


def test_varied_windows_reach_the_loop(tmp_path):
    plain = fit(asdict(task(tmp_path, "plain", recipe=recipe(2))))
    varied = fit(asdict(task(tmp_path, "varied", recipe=recipe(2) | {"augment": ["swap", "crop"]})))
    assert plain["curve"] != varied["curve"] and plain["steps"] == varied["steps"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("negatives", [0, 4], ids=["all items", "four drawn"])
def test_two_ranks_end_where_one_does(tmp_path, negatives):
    alone = fit(asdict(task(tmp_path, "alone", recipe=recipe(3, negatives))))
    together = task(tmp_path, "together", recipe=recipe(3, negatives))
    (tmp_path / "task.json").write_text(json.dumps(asdict(together)))
    on_two_ranks(RANK, tmp_path)
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert [result["ranks"] for result in found] == [2, 2]
    assert found[0]["curve"] == found[1]["curve"]
    losses = [[point["loss"] for point in result["curve"]] for result in (alone, found[0])]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    np.testing.assert_allclose(scores(tmp_path / "together"), scores(tmp_path / "alone"), atol=0.05)
