"""All that changes while the sequence network is trained, as tensors and plain values, so that it can be put back.

weights, average, best   parameters by name; buffers follow from the task
optimizer/<n>/<key>      AdamW's moments and step of parameter n
rows/<key>               the same of the item table, where steps work on some of its rows only
losses                   of the epoch's steps so far
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lakerec.models.network import SequenceNetwork
from lakerec.training.rows import Rows


@dataclass(frozen=True)
class EpochResult:
    """One point of the learning curve."""

    epoch: int
    loss: float
    value: float | None
    """Validation value of the averaged weights."""


@dataclass
class Fit:
    """How training went."""

    curve: list[EpochResult] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    start_value: float | None = None
    """Validation value of the weights that it began with, where these were fitted before."""


Named = dict[str, Tensor]


def parameters_of(network: SequenceNetwork) -> Named:
    """A copy of the parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@torch.no_grad()
def put_back(network: SequenceNetwork, parameters: Named) -> None:
    """Set the parameters, in place."""
    for name, parameter in network.named_parameters():
        parameter.copy_(parameters[name])


class State:
    """Of one rank; ranks differ in their random state only, which is not in here."""

    def __init__(self, network: SequenceNetwork, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self.rows: Rows | None = None
        self.average = copy.deepcopy(network, {id(buffer): buffer for buffer in network.buffers()}).requires_grad_(False)
        self.best = parameters_of(network)
        self.fit = Fit()
        self.epoch, self.done = 1, 0
        """The epoch under way, and how many of its steps are done."""
        self.step = 0
        """Steps done in all: the place in the schedule."""
        self.losses: list[Tensor] = []

    def next_epoch(self) -> None:
        self.epoch, self.done, self.losses = self.epoch + 1, 0, []

    def tensors(self) -> Named:
        found = {"losses": torch.stack(self.losses) if self.losses else torch.zeros(0)}
        for kind, parameters in self._kinds():
            found |= {f"{kind}/{name}": parameter for name, parameter in parameters}
        for number, values in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{number}/{key}": value for key, value in values.items()}
        return found | {f"rows/{key}": value for key, value in self._rows().items()}

    def facts(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "done": self.done, "step": self.step, "fit": asdict(self.fit)}

    def restore(self, tensors: Named, facts: dict[str, Any]) -> None:
        """Take over what `tensors` and `facts` gave."""
        for kind, parameters in self._kinds():
            for name, parameter in parameters:
                parameter.detach().copy_(tensors[f"{kind}/{name}"])
        moments: dict[int, Named] = {}
        for name, value in tensors.items():
            kind, *rest = name.split("/")
            if kind == "optimizer":
                moments.setdefault(int(rest[0]), {})[rest[1]] = value.clone()
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        for key, value in self._rows().items():
            value.copy_(tensors[f"rows/{key}"])
        self.losses = list(tensors["losses"].to(self.network.delta.device).unbind())
        self.epoch, self.done, self.step = facts["epoch"], facts["done"], facts["step"]
        curve = [EpochResult(**point) for point in facts["fit"]["curve"]]
        self.fit = Fit(**{**facts["fit"], "curve": curve})

    def _rows(self) -> Named:
        return {} if self.rows is None else self.rows.tensors()

    def _kinds(self) -> Iterable[tuple[str, Iterable[tuple[str, Tensor]]]]:
        yield "weights", self.network.named_parameters()
        yield "average", self.average.named_parameters()
        yield "best", self.best.items()


class Watcher(Protocol):
    """What is asked and told while a network is fitted."""

    def restore(self, state: State) -> None:
        """Bring the state to where an earlier fit was; called once, before the first step."""

    def due(self, state: State) -> bool:
        """Whether to be told within the epoch, after this step."""

    def save(self, state: State) -> None:
        """Told at the end of each epoch, and where it was due."""

    def note(self, what: str) -> None:
        """Told of what a person may want to know."""
