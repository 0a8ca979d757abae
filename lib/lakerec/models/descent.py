"""The training loop of the networks that are fitted in one process: batch → loss → clip → AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor, nn

from lakerec.errors import TrainingError
from lakerec.models.schedule import schedule

WARM_UP, FINAL_RATE, CLIP = 0.1, 0.0, 1.0
"""Share of the steps over which the learning rate rises; share of it at the end; largest norm of the gradient."""
Batch = TypeVar("Batch")
Tell = Callable[[int, int], None]
"""Is told how many steps are done, and of how many."""
_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def watched(tell: Tell) -> Iterator[None]:
    """Fits within the block tell how far they are after each step."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def counted(batches: Iterable[Batch], steps: int) -> Iterator[Batch]:
    """The batches of a fit of so many steps; who watches is told of each that is done."""
    tell = _TELL.get()
    for done, batch in enumerate(batches, 1):
        yield batch
        if tell is not None:
            tell(done, steps)


def descend(
    network: nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[Batch], Tensor],
    steps: int,
    learning_rate: float,
    weight_decay: float,
    name: str,
) -> None:
    """Take a step for each batch; the network is left as it scores.

    Args:
        steps: how many batches there are: the schedule's length.
        learning_rate: the highest one.
        name: of the model, and of its section of `train`.

    Raises:
        TrainingError: it ended with weights that are not finite.
    """
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps, WARM_UP, FINAL_RATE))
    network.train()
    for batch in counted(batches, steps):
        optimizer.zero_grad()
        loss(batch).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        rate.step()
    network.eval()
    check_finite(network, name)


def check_finite(network: nn.Module, name: str) -> None:
    """See that training has not run away.

    Args:
        name: of the model, and of its section of `train`.

    Raises:
        TrainingError: a weight is not finite.
    """
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise TrainingError(f"{name}: its weights are not finite: lower train.{name}.learning_rate")
