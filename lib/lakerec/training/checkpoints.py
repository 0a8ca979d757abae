"""What a fit goes on from where it was cut short: a folder for each checkpoint, which is there whole or not at all.

    <folder>/step-000000123/   state.safetensors   tensors
                               checkpoint.json     task, position, curve, digest of the other file

The name of the folder is the digest of the task; a checkpoint of another one is passed over like a damaged one. Nothing in
these files can run code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lakerec.errors import TrainingError
from lakerec.training.ranks import appearing

TENSORS, FACTS = "state.safetensors", "checkpoint.json"
FORMAT = 1
KEPT = 2
"""Checkpoints that stay: the newest, and one before it in case that one is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit after a number of steps."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    """Plain values."""


class Checkpoints:
    """The checkpoints of one task.

    Args:
        folder: of this task alone, named by its digest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write one, and remove what is older than the one before it."""
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()})
        own = {"format": FORMAT, "task": self.folder.name, "digest": hashlib.sha256(content).hexdigest()}
        with appearing(self._place(step)) as staged:
            (staged / TENSORS).write_bytes(content)
            (staged / FACTS).write_text(json.dumps({**checkpoint.facts, **own}), encoding="utf-8")
        for old in self.steps()[KEPT:]:
            shutil.rmtree(self._place(old), ignore_errors=True)

    def steps(self) -> list[int]:
        """Of what is there, whole or damaged, newest first."""
        numbers = (path.name.removeprefix("step-") for path in self.folder.glob("step-*"))
        return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)

    def newest(self, on_bad: Callable[[str], None]) -> int:
        """Step of the newest one that can be gone on from; 0 where there is none.

        Args:
            on_bad: told of each that is passed over.
        """
        for step in self.steps():
            try:
                self.load(step)
            except TrainingError as error:
                on_bad(str(error))
            else:
                return step
        return 0

    def load(self, step: int) -> Checkpoint:
        """Read one.

        Raises:
            TrainingError: it is damaged, of another task or of another version.
        """
        place = self._place(step)
        try:
            facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
            content = (place / TENSORS).read_bytes()
            if hashlib.sha256(content).hexdigest() != facts["digest"]:
                raise TrainingError(f"checkpoint {place.name} is passed over: {TENSORS} is not what was written")
            if (facts["format"], facts["task"]) != (FORMAT, self.folder.name):
                raise TrainingError(f"checkpoint {place.name} is passed over: it belongs to another task or version")
            return Checkpoint(load(content), facts)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise TrainingError(f"checkpoint {place.name} is passed over: {type(error).__name__}, {error}") from None

    def sweep(self) -> None:
        """Remove what a kill left half-written."""
        for staged in self.folder.glob(".step-*"):
            shutil.rmtree(staged, ignore_errors=True)

    def _place(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"
