"""Faults 30 to 34 of training: ranks that are too many, die or have nothing to do, bad losses, killed drivers.

35, and what a killed driver leaves in Spark's folders, are in test_lake.py; 30 on a cluster is in training/test_launcher.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.errors import TrainingError
from lakerec.lake.scratch import holding
from lakerec.stages import pipeline, train
from lakerec.stages.base import last_run
from lakerec.training.checkpoints import TENSORS, Checkpoints
from lakerec.training.fit import fit, kept_under
from lakerec.training.launcher import launch
from lakerec.training.loop import Trainer
from lakerec.training.status import read_status
from lakerec.training.supervisor import supervise

from tests import shop
from tests.walks import STEPS, recipe, scores, supervised, task

DRIVER = """import json, sys, time
from lakerec.training.fit import fit_rank
from lakerec.training.loop import Trainer
from lakerec.training.supervisor import supervise

def step(trainer, batch, whole=Trainer._step):
    time.sleep(0.05)
    return whole(trainer, batch)

Trainer._step = step
task = json.loads(open(sys.argv[1]).read())
supervise(lambda again: fit_rank(task), __import__("pathlib").Path(task["checkpoints"]), None, print, print)
"""


def numbers(folder):
    """Steps of the checkpoints there, oldest first."""
    return sorted(Checkpoints(folder).steps())


@pytest.mark.slow
@pytest.mark.spark
def test_fault_31_and_32_a_rank_is_killed_and_all_go_on_from_the_last_checkpoint(spark, tmp_path):
    """kill -9 in the middle of the third epoch, by the rank itself. Dropout is on, and one rank has nothing in the last
    step of an epoch: 49 windows, 16 at a time. What the dead ranks left is also gone on from by a single rank.
    """
    marker, copy = tmp_path / "killed", tmp_path / "copy"

    def dying(argument):
        import os
        import signal

        from lakerec.training.fit import fit_rank
        from lakerec.training.loop import Trainer

        whole = Trainer._step

        def step(trainer, batch):
            if trainer.state.step == 10 and os.environ["RANK"] == "1" and argument["relaunches"] and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(trainer, batch)

        Trainer._step = step
        return fit_rank(argument)

    def run(spec, copied=None):
        epochs, notes = [], []

        def start(again):
            if again and copied is not None:
                shutil.copytree(spec.checkpoints, copied / Path(spec.checkpoints).name)
            return launch(dying, asdict(spec), 2, 0, spark, again=again)

        folder = Path(spec.checkpoints)
        return (
            supervise(start, folder, spec.relaunches, lambda point: epochs.append(asdict(point)), notes.append),
            epochs,
            notes,
        )

    spec = task(tmp_path, "whole", dropout=0.2, recipe=recipe(4), users=49)
    whole, *_ = run(kept_under(tmp_path / "one", spec, "data"))
    assert whole["ranks"] == 2 and whole["steps"] == STEPS
    other = kept_under(tmp_path / "two", replace(spec, output=str(tmp_path / "broken"), relaunches=1), "data")
    broken, epochs, notes = run(other, copy)
    assert marker.exists() and notes[0].startswith("a training process died (")  # TorchDistributor says the signal on stdout
    assert notes[0].endswith(": all start again from step 8") and notes[1:] == ["goes on from step 8, in epoch 3"]
    assert broken == whole and epochs == whole["curve"], "each epoch is told once, from processes that are not this one"
    np.testing.assert_array_equal(scores(tmp_path / "broken"), scores(tmp_path / "whole"))
    assert list(tmp_path.glob("two/*/.step-*")) == []

    alone = supervised(kept_under(copy, replace(spec, output=str(tmp_path / "alone")), "data"))
    assert alone["ranks"] == 1 and alone["curve"][:2] == whole["curve"][:2], "two epochs were done by two ranks"
    losses = [[point["loss"] for point in found["curve"]] for found in (alone, whole)]
    np.testing.assert_allclose(*losses, rtol=0.1)  # the same batches; dropout draws anew


def test_fault_33_a_truncated_checkpoint_is_passed_over_and_the_one_before_it_gone_on_from(tmp_path):
    spec = kept_under(tmp_path / "checkpoints", task(tmp_path, "model", dropout=0.2, recipe=recipe(3)), "data")
    whole = supervised(spec)
    weights = scores(tmp_path / "model")
    folder = Path(spec.checkpoints)
    assert numbers(folder) == [8, 12]
    path = folder / "step-000000012" / TENSORS
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    assert supervised(replace(spec, output=str(tmp_path / "again"))) == whole
    notes = read_status(folder).notes
    assert notes[0].startswith("checkpoint step-000000012 is passed over") and notes[1] == "goes on from step 8, in epoch 3"
    np.testing.assert_array_equal(scores(tmp_path / "again"), weights)


@pytest.mark.slow
@pytest.mark.spark
def test_fault_33_a_loss_that_is_no_number_keeps_the_last_good_weights_and_ends_the_run(spark, tmp_path, monkeypatch):
    """The second epoch goes wrong: checkpoints hold the first, no run of train counts, nothing is promoted. The next run
    does not do the first again.
    """
    config = shop.config(tmp_path, "train.models=[sequence]", "train.epochs=3")
    backward, epochs, broken = Trainer._backward, [], [True]

    def bad(trainer, batch):
        epochs.append((trainer.validate is not None, trainer.state.epoch))
        return backward(trainer, batch) * (float("nan") if epochs[-1] == (True, 2) and broken[0] else 1)

    monkeypatch.setattr(Trainer, "_backward", bad)
    with pipeline.opened(config) as context:
        pipeline.run(context, ("ingest", "clean", "featurize"))
        with pytest.raises(TrainingError, match=r"loss is nan in epoch 2: lower train\.learning_rate"):
            pipeline.run(context, ("train", "evaluate", "promote"))
        assert last_run(context.lake, "train") is None and not context.lake.exists(Tables.PROMOTIONS)
        (left,) = train.models_folder(context).glob("train-*")
        assert not (left / "sequence").exists()
        for folder in (left / train.CHECKPOINTS).iterdir():
            for step in numbers(folder):
                assert all(tensor.isfinite().all() for tensor in Checkpoints(folder).load(step).tensors.values())
        broken[0] = False
        epochs.clear()
        pipeline.run(context, ("train",))
        done = last_run(context.lake, "train")
        assert epochs[0] == (True, 2) and len(json.loads(done.details["curves"])["sequence"]) == 3
        assert [path.name for path in train.models_folder(context).glob("train-*")] == [done.run_id]
        assert not (Path(done.details["folder"]) / train.SCRATCH).exists()
        run = context.tracker.client.get_run(done.tracking_run)
        assert {"loss", "valid_ndcg", "refit_loss_seed_1"} <= set(run.data.metrics)
        losses = context.tracker.client.get_metric_history(done.tracking_run, "loss")
        assert [point.step for point in losses] == [1, 2, 3], "of epochs that the run before had done, too"


@pytest.mark.spark
def test_fault_34_what_a_killed_driver_learned_is_gone_on_from_and_the_rest_of_it_swept(lake, tmp_path):
    """SIGKILL in the middle of a fit. The next start moves the checkpoints to its own folder and removes the old one."""
    models = tmp_path / "models"
    old, new = models / "train-old", models / "train-new"
    spec = kept_under(old / train.CHECKPOINTS, task(tmp_path, "model", dropout=0.2, recipe=recipe(6)), "data")
    (tmp_path / "task.json").write_text(json.dumps(asdict(spec)))
    (tmp_path / "driver.py").write_text(DRIVER)
    folder = Path(spec.checkpoints)
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen([sys.executable, tmp_path / "driver.py", tmp_path / "task.json"], stdout=log, stderr=log)
        while read_status(folder).step < 2 * STEPS and driver.poll() is None:
            time.sleep(0.01)
        os.kill(driver.pid, signal.SIGKILL)
        assert driver.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    (folder / ".step-000000099-half").mkdir()
    (old / "popular").mkdir()
    with holding(models / "train-beside" / train.SCRATCH):
        train._tidy(SimpleNamespace(lake=lake), new)
    assert not old.exists() and (models / "train-beside").is_dir(), "what another run is at stays"
    train._tidy(SimpleNamespace(lake=lake), new)
    assert not (models / "train-beside").exists()
    moved = kept_under(new / train.CHECKPOINTS, replace(spec, output=str(tmp_path / "again")), "data")
    assert numbers(Path(moved.checkpoints))[-1] >= 2 * STEPS
    found = supervised(moved)
    whole = fit(asdict(task(tmp_path, "whole", dropout=0.2, recipe=recipe(6))))
    assert found == whole
    np.testing.assert_array_equal(scores(tmp_path / "again"), scores(tmp_path / "whole"))
    assert any(note.startswith("goes on from step") for note in read_status(Path(moved.checkpoints)).notes)
    assert not list(new.rglob(".step-*"))
