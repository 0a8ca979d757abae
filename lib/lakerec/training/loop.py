"""Fits the sequence network: one loop for one process and for many.

    batch → hidden → logits over the whole catalogue → summed cross-entropy → gradients, summed over ranks
          → ÷ targets of all ranks → clip → AdamW → averaged weights

Gradients are summed and divided by the targets of all ranks, so that two ranks take the step that one would take on both
their batches. No Spark, no petastorm: batches come from outside.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from lakerec.errors import TrainingError
from lakerec.models.network import SequenceNetwork
from lakerec.training.batches import Batches
from lakerec.training.ranks import summed
from lakerec.training.schedule import schedule


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    epochs: int = 12
    """The schedule's length; early stop may end sooner."""
    patience: int = 4
    """Epochs without a better validation value."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    """Share of all steps over which the learning rate rises."""
    final_rate: float = 0.1
    """Share of the learning rate that is left at the end."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    averaging: float = 0.99
    """Decay a step of the running average of the weights, which is what is validated and kept."""


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


Validate = Callable[[SequenceNetwork], float]


def fit_sequence(
    network: SequenceNetwork,
    batches: Batches,
    recipe: Recipe,
    validate: Validate | None = None,
    stop_after: int | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> Fit:
    """Train the network in place; it ends with the averaged weights of its best epoch (the last, without `validate`).

    Args:
        validate: gives the value to maximise; called on rank 0 only.
        stop_after: epochs to run of a schedule that is `recipe.epochs` long.

    Raises:
        TrainingError: the loss or the weights are not finite; the network holds the last good averaged weights then.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98), fused=True
    )
    total = max(1, recipe.epochs * batches.steps_per_epoch)
    average = copy.deepcopy(network).requires_grad_(False)
    best = copy.deepcopy(average.state_dict())
    result, step = Fit(), 0
    for epoch in range(1, (stop_after or recipe.epochs) + 1):
        network.train()
        losses: list[Tensor] = []
        for batch in batches.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, total, recipe.warm_up, recipe.final_rate)
            losses.append(_step(network, optimizer, batch, recipe))
            step += 1
            _average(average, network, min(recipe.averaging, step / (step + 9)))
        loss = float(torch.stack(losses).mean())
        if not (math.isfinite(loss) and all(p.isfinite().all() for p in average.parameters())):
            network.load_state_dict(best)
            raise TrainingError(
                f"epoch {epoch} ended with loss {loss} and weights that are not finite: lower train.learning_rate"
                if math.isfinite(loss)
                else f"loss is {loss} in epoch {epoch}: lower train.learning_rate"
            )
        value = _validated(average, validate)
        point = EpochResult(epoch, loss, value)
        result.curve.append(point)
        if on_epoch is not None:
            on_epoch(point)
        if value is None or result.best_value is None or value > result.best_value:
            result.best_epoch, result.best_value = epoch, value
            best = copy.deepcopy(average.state_dict())
        if epoch - result.best_epoch >= recipe.patience:
            break
    network.load_state_dict(best)
    return result


def _step(network: SequenceNetwork, optimizer: torch.optim.Optimizer, batch: Tensor, recipe: Recipe) -> Tensor:
    """One update; gives the mean loss over the targets of all ranks."""
    device = network.delta.device
    batch = batch.to(device, non_blocking=True).long()
    inputs, targets = batch[:, :-1], batch[:, 1:]
    real = targets < network.num_items
    table = network.table()
    logits = network(inputs, table)[real] @ table.T
    loss = F.cross_entropy(logits, targets[real], reduction="sum")
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    totals = torch.stack([loss.detach(), real.sum().to(loss.dtype)])
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    summed((totals, *gradients))
    torch._foreach_div_(gradients, totals[1].clamp(min=1))
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    optimizer.step()
    return totals[0] / totals[1].clamp(min=1)


@torch.no_grad()
def _average(average: SequenceNetwork, network: SequenceNetwork, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def _validated(network: SequenceNetwork, validate: Validate | None) -> float | None:
    """The validation value, the same on every rank; rank 0 works it out."""
    if validate is None:
        return None
    first = not dist.is_initialized() or dist.get_rank() == 0
    value = torch.tensor([validate(network) if first else 0.0], dtype=torch.float64, device=network.delta.device)
    if dist.is_initialized():
        dist.broadcast(value, 0)
    return float(value)
