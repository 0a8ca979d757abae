"""The network of the two-tower model: an item and a history each become a vector; their product is the score.

    item     project(text, reduced) + learned id → x [dims];  x + statistics · W → unit length
    history  means of x, an event half as heavy every h events, one mean for each h, and statistics → linear → unit length
    score    item · history / temperature

An item that training never met keeps an id of zero and average statistics: it is placed by its text alone, which steps
practise on items that they take for such. A history is known by its items and their text, not by whose it is. Letters:
H = half lives, d = dims, b = histories.

Sources: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019 (towers, unit
length, temperature, correction by log Q); Yang et al., Mixed negative sampling for learning two-tower neural networks in
recommendations, WWW 2020 companion; Volkovs et al., DropoutNet: addressing cold start in recommender systems, NIPS 2017;
Bengio and Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic language model, IEEE
Transactions on Neural Networks 2008 (why the correction spares what was wanted: it was not drawn).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from lakerec.models.data import DAY, Histories
from lakerec.models.moments import USER_FACTS, user_facts


class Pool(torch.autograd.Function):
    """Product of a sparse matrix, which is not learned, and rows that are."""

    @staticmethod
    def forward(ctx: Any, weights: sparse.csr_matrix, rows: Tensor) -> Tensor:
        ctx.weights = weights
        return torch.from_numpy(weights @ rows.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, torch.from_numpy(ctx.weights.T @ gradients[0].numpy())


def event_weights(histories: Histories, half_lives: Sequence[float], num_items: int) -> sparse.csr_matrix:
    """Weight of each item in the means of each history, float32 [H · b, num_items]: all of the first half life first.

    A row adds up to one; that of an empty history to nothing.
    """
    decayed = [np.exp2(-histories.ago / half_life) for half_life in half_lives]
    sums = [np.bincount(histories.rows, weights=each, minlength=len(histories)) for each in decayed]
    parts = [each / total[histories.rows] for each, total in zip(decayed, sums, strict=True)]
    rows = np.concatenate([histories.rows + number * len(histories) for number in range(len(half_lives))])
    where = rows, np.tile(histories.items, len(half_lives))
    shape = (len(half_lives) * len(histories), num_items)
    return sparse.csr_matrix((np.concatenate(parts).astype(np.float32), where), shape=shape)


def history_statistics(histories: Histories) -> np.ndarray:
    """Thirds of the facts that `user_facts` says of whole histories, float32 [b, USER_FACTS]."""
    return user_facts(histories.times, histories.offsets[:-1], histories.offsets[1:]) / 3


def item_statistics(histories: Histories, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of 1 + an item's events, and of 1 + days since its last and since its first one, by training histories.

    Returns:
        float32 [num_items, 3], mean 0 and deviation 1 over the items that were met, zeros of the others; which were met.
    """
    counts = np.bincount(histories.items, minlength=num_items)
    met = counts > 0
    newest = histories.times.max(initial=0)
    last, first = np.full(num_items, np.iinfo(np.int64).min), np.full(num_items, newest)
    np.maximum.at(last, histories.items, histories.times)
    np.minimum.at(first, histories.items, histories.times)
    found = np.zeros((num_items, 3), dtype=np.float32)
    columns = counts[met], (newest - last[met]) / DAY, (newest - first[met]) / DAY
    values = np.log1p(np.stack(columns, axis=1))
    if len(values):
        found[met] = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    return found, met


def mixed_loss(scores: Tensor, wanted: Tensor, candidates: Tensor, expected: Tensor) -> Tensor:
    """Mean cross-entropy of what came next against the candidates, which are drawn from two places.

    Σ_j exp(s_j) over the catalogue but the wanted item is estimated by the candidates' own, each divided by how often the
    item is expected among them (the correction by log Q): what is popular is drawn often, and would be pushed down for it.

    Args:
        scores: float32 [b, b + drawn], of what came next in the batch, one a row, and then of what was drawn.
        wanted: int64 [b]; candidates: int64 [b + drawn], whose first b are the wanted ones.
        expected: float32 [b + drawn], times that a candidate's item is to be expected among those that are not wanted.
    """
    own = scores.diagonal()[:, None]
    others = (scores - expected.log()).masked_fill(candidates[None, :] == wanted[:, None], float("-inf"))
    return F.cross_entropy(torch.cat([own, others], dim=1), torch.zeros_like(wanted))


class Towers(nn.Module):
    """Both towers.

    Args:
        text: float32 [num_items, r], reduced text vectors; None: items are known by behaviour alone.
        statistics: float32 [num_items, s]; met: bool [num_items], which items training meets.
        unmet: share of items that a step takes for some that nobody met, so that text alone learns to place them.
    """

    text: Tensor
    statistics: Tensor
    met: Tensor

    def __init__(
        self, text: np.ndarray | None, statistics: np.ndarray, met: np.ndarray, dims: int, half_lives: Sequence[float],
        dropout: float, unmet: float,
    ) -> None:  # fmt: skip
        super().__init__()
        num_items, self.half_lives, self.unmet = len(met), tuple(half_lives), unmet
        width = 0 if text is None else text.shape[1]
        self.register_buffer("text", torch.zeros(num_items, width) if text is None else torch.from_numpy(text))
        self.register_buffer("statistics", torch.from_numpy(statistics))
        self.register_buffer("met", torch.from_numpy(met.astype(np.float32))[:, None])
        self.project = nn.Linear(width, dims, bias=False) if width else None
        self.ids = nn.Parameter(torch.zeros(num_items, dims) if width else torch.randn(num_items, dims) * 0.05)
        self.popularity = nn.Linear(statistics.shape[1], dims, bias=False)
        self.history = nn.Linear(len(half_lives) * dims + USER_FACTS, dims)
        self.drop = nn.Dropout(dropout)
        for layer in (self.popularity, self.history, self.project):
            for weight in () if layer is None else layer.parameters():
                nn.init.normal_(weight, std=0.05)

    def rows(self, items: Tensor, learned: Tensor | float = 1.0) -> Tensor:
        """x of some items, [n, dims]; the gradient of their ids has their rows only.

        Args:
            learned: 0 where an item is to be taken for one that training never met, [n, 1].
        """
        own = F.embedding(items, self.ids, sparse=True) * (self.met[items] * learned)
        return own if self.project is None else self.project(self.text[items]) + own

    def item(self, items: Tensor) -> Tensor:
        """Unit vectors of some items, [n, dims]; while training, some of them as if they had never been met."""
        learned = torch.ones(len(items), 1)
        if self.training and self.project is not None:
            learned = (torch.rand(len(items), 1) >= self.unmet).float()
        return F.normalize(self.rows(items, learned) + self.popularity(self.statistics[items]) * learned, dim=1)

    def user(self, histories: Histories) -> Tensor:
        """Unit vectors of histories, [b, dims]."""
        return F.normalize(self.before_unit(histories), dim=1)

    def before_unit(self, histories: Histories) -> Tensor:
        """The same before they are brought to unit length: a sum over events, and what statistics add."""
        known, places = np.unique(histories.items, return_inverse=True)
        local = Histories(histories.offsets, places, histories.times)
        weights = event_weights(local, self.half_lives, len(known))
        means = Pool.apply(weights, self.rows(torch.from_numpy(known.astype(np.int64))))
        means = means.view(len(self.half_lives), len(histories), -1).transpose(0, 1).flatten(1)
        given = torch.cat([self.drop(means), torch.from_numpy(history_statistics(histories))], dim=1)
        hidden: Tensor = self.history(given)
        return hidden
