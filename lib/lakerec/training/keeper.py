"""Keeps the checkpoints of a fit and puts one back: the part that all ranks do together.

What is the same on all ranks is written by rank 0; the random state of each is gathered. With as many ranks as before, a fit
that goes on ends with the weights of one that was never cut short, to the bit on a CPU. With another number it goes on too,
over the same batches, but dropout draws anew.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from lakerec.errors import TrainingError
from lakerec.training.checkpoints import Checkpoint, Checkpoints
from lakerec.training.ranks import from_first, gathered
from lakerec.training.state import State
from lakerec.training.status import read_status, write_status

ASK_EVERY = 16
"""Steps between two looks at rank 0's clock: all ranks have to write at the same step."""


class Keeper:
    """A rank's hand on the fit's checkpoints.

    Args:
        folder: of this task; see `Checkpoints`.
        minutes: within an epoch, one is written so long after the last; 0: at the ends of epochs only.
        starts: times that the ranks may be started in one launch.

    Raises:
        TrainingError: they were started more often.
    """

    def __init__(self, folder: Path, device: str, seed: int, rank: int, ranks: int, minutes: float, starts: int) -> None:
        self.checkpoints, self.device, self.seed = Checkpoints(folder), device, seed
        self.rank, self.ranks, self.seconds = rank, ranks, 60 * minutes
        self.status = read_status(folder)
        self.saved_at = time.monotonic()
        if rank == 0:
            self.status.starts += 1
            self.checkpoints.sweep()
            self._tell()
        if from_first(self.status.starts, device) > starts:
            raise TrainingError(f"training processes died {starts} times: look at the cluster, or raise train.relaunches")

    def restore(self, state: State) -> None:
        """Bring the state to where the newest good checkpoint was; where there is none, leave it."""
        step = int(from_first(self.checkpoints.newest(self.note) if self.rank == 0 else 0, self.device))
        if not step:
            return
        found = self.checkpoints.load(step)
        state.restore(found.tensors, found.facts)
        if found.facts["ranks"] == self.ranks:
            _set_random_state(found.tensors[f"random/{self.rank}"], self.device)
        else:
            torch.manual_seed((self.seed * 1000 + self.rank) * 1_000_003 + step)
        self.status.step, self.status.curve = step, [asdict(point) for point in state.fit.curve]
        self.note(f"goes on from step {step}, in epoch {state.epoch}")

    def due(self, state: State) -> bool:
        """Whether a checkpoint is due within the epoch, by rank 0's clock; the same answer on all ranks."""
        if not self.seconds or state.step % ASK_EVERY:
            return False
        return bool(from_first(time.monotonic() - self.saved_at >= self.seconds, self.device))

    def save(self, state: State) -> None:
        """Write a checkpoint; where that is not possible, training goes on without."""
        random = gathered(_random_state(self.device), self.device)
        if self.rank == 0:
            tensors = {**state.tensors(), **{f"random/{rank}": own for rank, own in enumerate(random)}}
            try:
                self.checkpoints.save(state.step, Checkpoint(tensors, {**state.facts(), "ranks": self.ranks}))
                self.status.step = state.step
            except OSError as error:
                self.note(f"the checkpoint of step {state.step} could not be written: {error}")
            self.status.curve = [asdict(point) for point in state.fit.curve]
            self._tell()
        self.saved_at = time.monotonic()

    def note(self, what: str) -> None:
        """Tell the process that launched the ranks, once."""
        if self.rank == 0:
            self.status.notes.append(what)
            self._tell()

    def _tell(self) -> None:
        write_status(self.checkpoints.folder, self.status)


def _random_state(device: str) -> Tensor:
    """uint8, of the device's own generator: what dropout draws from."""
    return torch.get_rng_state() if device == "cpu" else torch.cuda.get_rng_state(device)


def _set_random_state(state: Tensor, device: str) -> None:
    if device == "cpu":
        torch.set_rng_state(state.clone())
    else:
        torch.cuda.set_rng_state(state.clone(), device)
