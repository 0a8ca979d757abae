"""The learned item table where a step works on some of its rows only: what a large catalogue asks for.

    items of the batch and of the draw → their rows, a leaf [touched, dims] → gradients → AdamW → running average

Rows that a step does not touch cost nothing. Their average is caught up when they are next touched or the whole of it is
asked for: it is what averaging every row at every step gives. Their moments stand still, they are not decayed, and no
momentum moves them on (as in torch.optim.SparseAdam). Where every step touches every row, all is as AdamW does it.

Sources: Bengio and Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic language model,
IEEE Transactions on Neural Networks 2008 (the softmax over a draw); Loshchilov and Hutter, Decoupled weight decay
regularization, ICLR 2019 (AdamW).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

DRAWS = 1
"""Tells these draws from others of the same seed."""
LEAST_DECAY = 1e-30
"""Of the average: its logarithm is taken."""
NEVER = -1e9
"""Logit of what must not be chosen; finite, so that times a probability of zero it is zero."""


def drawn(seed: int, step: int, num_items: int, count: int) -> Tensor:
    """`count` different items, each as likely as any other, int64; they depend on (seed, step) only: not on the rank."""
    rng = np.random.default_rng((seed, step, DRAWS))
    return torch.from_numpy(rng.choice(num_items, min(count, num_items), replace=False, shuffle=False))


def sampled_logits(hidden: Tensor, targets: Tensor, negatives: Tensor, table: Tensor, num_items: int) -> Tensor:
    """Logits of the target, which comes first, and of the drawn items, so that a softmax estimates the catalogue's.

    Σ_j exp(s_j) over all items but the target is what the drawn ones among them add up to, times num_items / drawn: each is
    drawn with probability drawn / num_items (the correction by log Q). With all items drawn it is the full softmax.

    Args:
        hidden: [n, dims]; targets: int64 [n] and negatives: int64 [drawn], distinct, both rows of `table` [rows, dims].

    Returns:
        float32 [n, 1 + drawn].
    """
    own = (hidden * F.embedding(targets, table)).sum(dim=1, keepdim=True)
    others = hidden @ F.embedding(negatives, table).T
    others = others.float() + math.log(num_items / len(negatives))
    others = others.masked_fill(negatives[None, :] == targets[:, None], NEVER)
    return torch.cat([own.float(), others], dim=1)


class Rows:
    """AdamW and running average of a table, row by row.

    Args:
        table: [num_items, dims], changed in place; average: of the same shape, likewise.
        betas: decay of AdamW's moments.
    """

    def __init__(self, table: Tensor, average: Tensor, weight_decay: float, betas: tuple[float, float]) -> None:
        self.table, self.average = table.detach(), average.detach()
        self.weight_decay, self.betas = weight_decay, betas
        self.mean, self.square = torch.zeros_like(self.table), torch.zeros_like(self.table)
        self.decayed = torch.zeros((), dtype=torch.float64, device=table.device)
        """Sum of the logarithms of the average's decays so far."""
        self.known = torch.zeros(len(table), dtype=torch.float64, device=table.device)
        """What that sum was when the average of a row was last worked out."""
        self.items = torch.zeros(0, dtype=torch.int64, device=table.device)
        """Of this step, ascending."""
        self.taken = self.table[self.items]
        """Their rows, [touched, dims]: a leaf that gathers gradients."""
        self.negatives = self.items
        """Places of the drawn items among them."""

    def take(self, items: Tensor, negatives: Tensor) -> None:
        """Begin a step.

        Args:
            items: int64, ascending, whose rows it works on; negatives: those among them that were drawn.
        """
        self.items, self.taken, self.negatives = items, self.table[items], torch.searchsorted(items, negatives)
        share = 1 - torch.exp(self.decayed - self.known[items])
        self.average[items] = self.average[items].lerp(self.taken, share[:, None].float())
        self.taken.requires_grad_()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget what gradients the taken rows have gathered."""
        self.taken.grad = torch.zeros_like(self.taken)

    def step(self, number: int, rate: float) -> None:
        """AdamW, by the gradients of the taken rows.

        Args:
            number: of the step, from 1.
        """
        first, second = self.betas
        gradient, rows = self.taken.grad, self.taken.detach()
        assert gradient is not None
        mean = self.mean[self.items].lerp_(gradient, 1 - first)
        square = self.square[self.items].lerp_(gradient.square(), 1 - second)
        self.mean[self.items], self.square[self.items] = mean, square
        rows.mul_(1 - rate * self.weight_decay)
        spread = (square / (1 - second**number)).sqrt_().add_(1e-8)
        rows.addcdiv_(mean, spread, value=-rate / (1 - first**number))
        self.table[self.items] = rows

    def averaged(self, decay: float) -> None:
        """End a step: the average of the taken rows moves to what they are now."""
        self.decayed += math.log(max(decay, LEAST_DECAY))
        self.average[self.items] = self.average[self.items].lerp_(self.table[self.items], 1 - decay)
        self.known[self.items] = self.decayed

    def catch_up(self) -> None:
        """Work out the average of every row."""
        self.average.lerp_(self.table, (1 - torch.exp(self.decayed - self.known))[:, None].float())
        self.known.fill_(self.decayed)

    def tensors(self) -> dict[str, Tensor]:
        """What goes on changing, besides table and average."""
        return {"mean": self.mean, "square": self.square, "decayed": self.decayed, "known": self.known}
