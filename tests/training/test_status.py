"""What ranks tell by files reaches the process that launched them, each thing once."""

import time

import pytest
from lakerec.errors import ConfigError, TrainingError
from lakerec.training.state import EpochResult
from lakerec.training.status import Status, clear, failure, leave_failure, read_status, watched, write_status

POINTS = [{"epoch": 1, "loss": 2.5, "value": None}, {"epoch": 2, "loss": 1.25, "value": 0.125}]


def test_each_epoch_and_note_is_passed_on_once_while_it_runs_and_at_the_end(tmp_path):
    epochs, notes = [], []
    with watched(tmp_path, epochs.append, notes.append, seconds=0.01):
        write_status(tmp_path, Status(curve=POINTS[:1], notes=["one"]))
        while not epochs:
            time.sleep(0.01)
        assert (epochs, notes) == ([EpochResult(1, 2.5, None)], ["one"])
        write_status(tmp_path, Status(curve=POINTS, notes=["one", "two"]))
    assert (epochs, notes) == ([EpochResult(**point) for point in POINTS], ["one", "two"])


def test_what_a_callback_raises_is_raised_at_the_end_of_the_block(tmp_path):
    def full(_):
        raise OSError("the tracking store is full")

    done = []
    with pytest.raises(OSError, match="store is full"), watched(tmp_path, full, print, seconds=0.01):
        write_status(tmp_path, Status(curve=POINTS))
        time.sleep(0.1)
        done.append("training went on")
    assert done


def test_an_error_that_is_left_comes_back_as_what_it_was(tmp_path):
    assert failure(tmp_path) is None
    for error in (TrainingError("loss is nan"), ConfigError("no such key")):
        leave_failure(tmp_path, error)
        found = failure(tmp_path)
        assert (type(found), str(found)) == (type(error), str(error))
    write_status(tmp_path, Status(starts=3))
    clear(tmp_path)
    assert failure(tmp_path) is None and read_status(tmp_path) == Status()
