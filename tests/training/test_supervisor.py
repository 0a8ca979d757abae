"""Who is started again, how often, and what is said when it is enough."""

import pytest
from lakerec.errors import TrainingError
from lakerec.training.status import Status, leave_failure, write_status
from lakerec.training.supervisor import supervise

LOG = """Traceback (most recent call last):
RuntimeError: [gloo] Connection closed by peer
Root Cause (first observed failure):
  traceback : Signal 9 (SIGKILL) received by PID 71
=====
"""


class Ranks:
    """Die as often as there are steps to die after, then give a result."""

    def __init__(self, folder, dies_after, left=None):
        self.folder, self.steps, self.left, self.again = folder, list(dies_after), left, []

    def __call__(self, again):
        self.again.append(again)
        if self.left is not None:
            leave_failure(self.folder, self.left)
        if self.steps:
            write_status(self.folder, Status(step=self.steps.pop(0)))
            raise RuntimeError(LOG)
        return "done"


def supervised(ranks, relaunches=2):
    notes = []
    return supervise(ranks, ranks.folder, relaunches, print, notes.append), notes


def test_ranks_that_died_start_again_and_it_is_said_why_and_from_where(tmp_path):
    ranks = Ranks(tmp_path, [0, 40])
    found, notes = supervised(ranks)
    assert (found, ranks.again) == ("done", [False, True, True])
    why = "a training process died (Signal 9 (SIGKILL) received by PID 71): all start again from step"
    assert notes == [f"{why} 0", f"{why} 40"]


@pytest.mark.parametrize(
    ("dies_after", "starts"),
    [([10, 20, 30], 3), ([10, 10], 2), ([0, 0], 2)],
    ids=["enough", "no progress", "no step at all"],
)
def test_after_so_many_deaths_or_without_progress_it_is_enough(tmp_path, dies_after, starts):
    ranks = Ranks(tmp_path, dies_after)
    with pytest.raises(TrainingError, match=rf"died {starts} times; .* up to step {dies_after[-1]} is kept .*SIGKILL"):
        supervised(ranks)
    assert len(ranks.again) == starts


@pytest.mark.parametrize("dies_after", [[10], []], ids=["one rank dies of it", "all ranks leave"])
def test_an_error_that_a_rank_left_is_raised_and_nothing_starts_again(tmp_path, dies_after):
    ranks = Ranks(tmp_path, dies_after, TrainingError("loss is nan in epoch 1"))
    with pytest.raises(TrainingError, match="^loss is nan in epoch 1$"):
        supervised(ranks)
    assert ranks.again == [False]


def test_too_few_slots_are_not_tried_again(tmp_path):
    def start(again):
        raise TrainingError("train.ranks is 9 and the cluster runs 2 tasks at once")

    with pytest.raises(TrainingError, match="runs 2 tasks"):
        supervise(start, tmp_path, 2, print, print)


def test_a_mistake_in_this_process_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="Connection closed"):
        supervised(Ranks(tmp_path, [10]), relaunches=None)
