"""A checkpoint is there whole or passed over; a damaged or foreign one never stops a fit."""

import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.training.checkpoints import FACTS, KEPT, TENSORS, Checkpoint, Checkpoints


@pytest.fixture
def three(tmp_path):
    """Three were written, of which two are kept."""
    checkpoints = Checkpoints(tmp_path / "task")
    for step in (4, 8, 12):
        checkpoints.save(step, Checkpoint({"weights": torch.full((3,), float(step))}, {"epoch": step // 4}))
    return checkpoints


def newest(checkpoints):
    """Step of the newest good one, and what was said of those before it."""
    told = []
    return checkpoints.newest(told.append), told


def test_what_was_written_comes_back_and_the_one_before_is_kept_too(three):
    assert three.steps() == [12, 8] and KEPT == 2
    assert newest(three) == (12, [])
    found = three.load(12)
    assert found.facts["epoch"] == 3 and found.tensors["weights"].tolist() == [12.0] * 3
    assert not list(three.folder.glob(".step-*"))


def test_where_there_is_none_there_is_nothing_to_go_on_from(tmp_path):
    assert newest(Checkpoints(tmp_path / "nothing")) == (0, [])


@pytest.mark.parametrize("name", [TENSORS, FACTS])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "changed"])
def test_a_damaged_one_is_passed_over_with_a_word(three, name, damage):
    path = three.folder / "step-000000012" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        flipped = content[:-2] + bytes([content[-2] ^ 255]) + content[-1:]
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "changed": flipped}[damage])
    step, told = newest(three)
    assert step == 8 and len(told) == 1
    assert told[0].startswith("checkpoint step-000000012 is passed over: ")


def test_one_of_another_task_is_passed_over(three, tmp_path):
    three.folder.rename(tmp_path / "other")
    step, told = newest(Checkpoints(tmp_path / "other"))
    assert step == 0 and all("belongs to another task" in line for line in told)


def test_nothing_that_could_run_code_is_read(three):
    """A pickle in the place of the tensors is not what was written."""
    torch.save({"weights": torch.zeros(3)}, three.folder / "step-000000012" / TENSORS)
    with pytest.raises(TrainingError, match="passed over"):
        three.load(12)


def test_what_a_kill_left_half_written_is_swept(three):
    half = three.folder / ".step-000000016-abc"
    half.mkdir()
    (half / TENSORS).write_bytes(b"half")
    assert newest(three)[0] == 12
    three.sweep()
    assert not half.exists() and three.steps() == [12, 8]
