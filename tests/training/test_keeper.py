"""What the keeper tells and when it gives up; that fits go on to the bit is in test_loop.py, ranks in tests/faults."""

from types import SimpleNamespace

import pytest
from lakerec.errors import TrainingError
from lakerec.models.data import TrainingData
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.windows import windows
from lakerec.training import keeper as module
from lakerec.training.batches import WindowBatches
from lakerec.training.keeper import Keeper
from lakerec.training.loop import Recipe, Trainer, fit_sequence
from lakerec.training.status import read_status

from tests.training.test_loop import ITEMS, cyclic


def keeping(folder, minutes=0.0, starts=2):
    return Keeper(folder, "cpu", 1, 0, 1, minutes, starts)


def trainer(keeper):
    histories = cyclic()
    model = Sequence.fresh(Shape(dims=16, blocks=1, heads=2, max_length=8), TrainingData(histories, ITEMS), 1)
    batches = WindowBatches(windows(histories.offsets, histories.items, 9, ITEMS), ITEMS, 32, 1)
    return Trainer(model.network, batches, Recipe(epochs=2), None, keeper, 0)


def test_ranks_that_are_started_too_often_give_up_whoever_starts_them(tmp_path):
    for _ in range(2):
        keeping(tmp_path)
    with pytest.raises(TrainingError, match=r"died 2 times: .*train\.relaunches"):
        keeping(tmp_path)


def test_a_checkpoint_is_due_by_the_clock_at_steps_where_ranks_ask(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    own = trainer(keeping(tmp_path, minutes=2))
    due = []
    for step, seconds in ((16, 119), (17, 120), (32, 120)):
        own.state.step, now[0] = step, seconds
        due.append(own.keeper.due(own.state))
    assert due == [False, False, True]
    own.keeper.save(own.state)
    assert not own.keeper.due(own.state)
    own.keeper.seconds = 0
    now[0] = 1e6
    assert not own.keeper.due(own.state)


def test_where_no_checkpoint_can_be_written_training_goes_on_and_says_so(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    keeper = keeping(tmp_path)
    monkeypatch.setattr(keeper.checkpoints, "save", full)
    own = trainer(keeper)
    fit = fit_sequence(own.network, own.batches, own.recipe, keeper=keeper)
    assert len(fit.curve) == 2
    notes = read_status(tmp_path).notes
    assert [note.split(":")[0] for note in notes] == [f"the checkpoint of step {n} could not be written" for n in (4, 8)]
