"""The training loop of the networks that are fitted in one process: batch → loss → clip → AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from lakerec.errors import TrainingError
from lakerec.models.schedule import schedule

WARM_UP, FINAL_RATE, CLIP = 0.1, 0.0, 1.0
"""Share of the steps over which the learning rate rises; share of it at the end; largest norm of the gradient."""
Batch = TypeVar("Batch")


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
    for batch in batches:
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
