"""Attention of each item over the history: what of it speaks for this item, and how much.

    history [rows, T] → vectors h_j       item vectors x_i [C]
    e(i, j) = exp(x_i Q · h_j K / √dims) · fade(events ago)        a(i, j) = e(i, j) / (Σ_j e(i, j)) ^ smoothing
    score(i) = Σ_j a(i, j) (x_i · h_j V)

The user's vector Σ_j a(i, j) h_j V is another one for each item: of two interests, an item sees the one that it belongs to.
It is never formed. With E = exp(…) and S = x_i · h_j V, both [T, C], scores are fade (E ∘ S) / (fade E)^smoothing: products
of matrices, for a whole catalogue at once, in memory that the rows at a time bound. A triangle of fades [T, T] gives the
scores after every event of a window, which is what training needs.

A history begins with a learned vector that stands for nobody, so that an empty one has something to look at. Letters: rows
= histories, T = events, nobody among them; C = items asked about; dims = width.

Sources: Zhou et al., Deep interest network for click-through rate prediction, KDD 2018 (the candidate attends to the
history); He et al., NAIS: neural attentive item similarity model for recommendation, TKDE 2018, equation 8 (attention out of
the two items' vectors, its denominator smoothed by an exponent).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData
from lakerec.models.descent import descend
from lakerec.models.items import HasItems, Items, longer, looked_up, put_with, text_dims, weights_with
from lakerec.models.windows import windows

CELLS_AT_ONCE = 4_000_000
"""Events × items that scoring holds at a time: 16 MB, a few times over."""
LARGEST, SMALLEST = 20.0, 1e-12
"""Of an exponent; of a denominator."""


@dataclass(frozen=True)
class AttentionRecipe:
    """Size of the network, and how it is trained."""

    dims: int
    max_length: int
    """Events of a history that it sees, the newest."""
    smoothing: float
    """Exponent of the denominator: 1 is softmax; less lets more evidence say more."""
    dropout: float
    """Of the history's vectors."""
    candidates: int
    """Items that a step tells the right ones from, at most, drawn anew each time."""
    epochs: int
    windows: int
    """Of an epoch, at most, drawn anew each time."""
    batch_size: int
    learning_rate: float
    weight_decay: float


class AttentionNetwork(HasItems):
    """Scores of items after events of histories."""

    def __init__(self, num_items: int, text_dims: int, recipe: AttentionRecipe) -> None:
        super().__init__()
        self.smoothing = recipe.smoothing
        self.items = Items(num_items, text_dims, recipe.dims)
        self.nobody = nn.Parameter(torch.randn(recipe.dims) * 0.02)
        self.query, self.key, self.value = (nn.Linear(recipe.dims, recipe.dims, bias=False) for _ in range(3))
        self.fade = nn.Parameter(torch.zeros(recipe.max_length + 1))
        """Logarithm of what an event still counts, by how many came after it."""
        self.drop = nn.Dropout(recipe.dropout)
        for layer in (self.query, self.key, self.value):
            nn.init.eye_(layer.weight)

    def history(self, items: Tensor, table: Tensor) -> Tensor:
        """Vectors of histories, nobody's before them, [rows, T, dims].

        Args:
            items: int [rows, T - 1], oldest first, padded with num_items.
        """
        nobody = self.nobody.expand(len(items), 1, -1)
        return self.drop(torch.cat([nobody, looked_up(items, table)], dim=1))

    def pairs(self, history: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """E and S, [rows, T, C]: how much each item looks at an event, and what the event says of it.

        Args:
            history: [rows, T, dims].
            asked: [C, dims] or [rows, C, dims].
        """
        looks = self.key(history) @ self.query(asked).mT / math.sqrt(asked.shape[-1])
        return looks.clamp(max=LARGEST).exp(), self.value(history) @ asked.mT

    def fades(self, after: Tensor) -> Tensor:
        """What an event still counts after so many others; 0 before it happened (negative numbers)."""
        return self.fade[after.clamp(min=0)].exp() * (after >= 0)

    def divided(self, says: Tensor, looks: Tensor) -> Tensor:
        """Scores out of the sums over events."""
        return says / looks.clamp(min=SMALLEST) ** self.smoothing

    def forward(self, history: Tensor, asked: Tensor, fades: Tensor) -> Tensor:
        """Scores after some events [rows, .., C], out of fades [rows, .., T] or [.., T]."""
        looks, says = self.pairs(history, asked)
        return self.divided(fades @ (looks * says), fades @ looks)

    def loss(self, window: Tensor, drawn: Tensor) -> Tensor:
        """Cross-entropy of each event against items that were drawn, given what its window has before it; mean.

        Events whose item the window has already do not count, since lists leave out what was met. Those drawn stand for all
        other items, so that their sum is scaled to as many.

        Args:
            window: int [rows, T], padded on the right with num_items.
            drawn: int [C], different items.
        """
        table = self.items()
        history = self.history(window[:, :-1], table)
        places = torch.arange(window.shape[1])
        fades = self.fades(places[:, None] - places[None, :])
        looks, says = (part.mT for part in self.pairs(history, looked_up(window, table)))
        own = self.divided((fades * looks * says).sum(-1), (fades * looks).sum(-1))
        others = self(history, table[drawn], fades) + math.log(len(table) / len(drawn))
        others = others.masked_fill(drawn == window.unsqueeze(-1), -math.inf)
        lost = torch.cat([own.unsqueeze(-1), others], dim=-1).logsumexp(dim=-1) - own
        again = (window.unsqueeze(-1) == window.unsqueeze(-2)).tril(-1).any(dim=-1)
        counts = (window < len(table)) & ~again
        return (lost * counts).sum() / counts.sum().clamp(min=1)


class Attention:
    """Score, comparable within a row, that an item is the next new one of a history."""

    name = "attention"
    network: AttentionNetwork

    def __init__(self, recipe: AttentionRecipe, seed: int = 1) -> None:
        self.recipe, self.seed = recipe, seed

    def fit(self, data: TrainingData) -> None:
        """Train for so many epochs as the recipe says; the same seed gives the same weights.

        Raises:
            TrainingError: it ended with weights that are not finite.
        """
        recipe, histories = self.recipe, data.histories
        blocks = windows(histories.offsets, histories.items, recipe.max_length + 1, data.num_items)
        steps = recipe.epochs * -(-min(len(blocks), recipe.windows) // recipe.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = AttentionNetwork(data.num_items, text_dims(data), recipe)
            self.network.items.know(data)
            descend(
                self.network, self._batches(blocks, data.num_items), lambda batch: self.network.loss(*batch), steps,
                recipe.learning_rate, recipe.weight_decay, self.name,
            )  # fmt: skip

    def _batches(self, blocks: np.ndarray, num_items: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Windows and drawn items of each step, all epochs."""
        rng, recipe = np.random.default_rng(self.seed), self.recipe
        for _ in range(recipe.epochs):
            order = rng.permutation(len(blocks))[: recipe.windows]
            for start in range(0, len(order), recipe.batch_size):
                rows = order[start : start + recipe.batch_size]
                drawn = torch.from_numpy(self.negatives(num_items, rng))
                yield torch.from_numpy(blocks[rows].astype(np.int64)), drawn

    def negatives(self, num_items: int, rng: np.random.Generator) -> np.ndarray:
        """Different items that a step tells the right ones from, int64: each as likely as any other, whoever met it."""
        return rng.choice(num_items, min(self.recipe.candidates, num_items), replace=False)

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        network, length = self.network.eval(), self.recipe.max_length
        table = network.items()
        scores = np.zeros((len(histories), len(table)), dtype=np.float32)
        at_once = max(1, CELLS_AT_ONCE // max(1, len(table) * (length + 1)))
        for users, part in histories.parts(at_once):
            after = np.minimum(part.lengths, length)[:, None] - np.arange(length + 1)
            history = network.history(torch.from_numpy(part.padded(length, len(table))), table)
            found = network(history, table, network.fades(torch.from_numpy(after)).unsqueeze(1))
            scores[users] = found.squeeze(1).numpy()
        return scores

    @property
    def reads_text(self) -> bool:
        return self.network.items.basis is not None

    def extended(self, vectors: np.ndarray) -> Attention:
        """See `lakerec.models.newcomers`."""
        basis = self.network.items.basis
        assert basis is not None, "it reads texts"
        weights = weights_with(self.network)
        return self._of(self.recipe, self.seed, longer(weights, basis.apply(vectors), {}))

    def save(self, folder: Path) -> None:
        weights = weights_with(self.network)
        storage.save(folder, self.name, weights, recipe=asdict(self.recipe), seed=self.seed)

    @classmethod
    def load(cls, folder: Path) -> Attention:
        settings = storage.settings(folder)
        return cls._of(AttentionRecipe(**settings["recipe"]), settings["seed"], storage.arrays(folder))

    @classmethod
    def _of(cls, recipe: AttentionRecipe, seed: int, weights: dict[str, np.ndarray]) -> Attention:
        model = cls(recipe, seed)
        num_items, width = weights["items.text"].shape
        model.network = AttentionNetwork(num_items, width, recipe)
        put_with(model.network, weights)
        return model
