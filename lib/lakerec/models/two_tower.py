"""Two towers: what comes next after a history, by vectors of items and of histories that are learned together.

    events, newer ones more often, drawn anew each epoch → what came before each (history) and its item (wanted)
        against what the others of the batch wanted, and items drawn uniformly → loss with the correction by log Q

See `lakerec.models.towers` for network, loss and sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from lakerec.models import storage
from lakerec.models.basis import Basis, arrays_of
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.descent import check_finite, counted
from lakerec.models.items import TEXT_DIMS
from lakerec.models.towers import Towers, item_statistics, mixed_loss

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises; over the others it falls to `FINAL_RATE` of its highest."""
FINAL_RATE = 0.1
CELLS_AT_ONCE = 8_000_000
"""Users × items that scoring works on together: 32 MB."""


@dataclass(frozen=True)
class TowerRecipe:
    """Size of the towers, and how they are trained."""

    dims: int
    half_lives: list[float]
    """Events after which an older one counts half in a mean of a history; one mean for each."""
    max_length: int
    """Events of a history that count."""
    dropout: float
    """Of the means."""
    unmet: float
    """Share of a step's items that are taken for some that nobody met, where there are texts."""
    temperature: float
    half_life_days: float
    """Days after which an event is drawn half as often; 0: all alike."""
    gap: int
    """Events before the wanted one that are kept from the history, at most; how many is drawn."""
    epochs: int
    pairs: int
    """Of an epoch, at most, drawn anew each time."""
    batch_size: int
    negatives: int
    """Items drawn uniformly, besides what else is wanted in the batch."""
    learning_rate: float
    weight_decay: float
    """Of all but the ids."""


@dataclass(frozen=True)
class Pairs:
    """Events that can be asked for: the first time that a user meets an item.

    Args:
        events: int64 [pairs], places in the histories; shares: float64 [pairs], how likely each is drawn, sum 1.
    """

    histories: Histories
    events: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, data: TrainingData, half_life_days: float) -> Pairs:
        histories = data.histories
        events = np.unique(histories.rows * data.num_items + histories.items, return_index=True)[1]
        weights = np.ones(len(events))
        if half_life_days:
            weights = np.exp2((histories.times[events] - histories.times.max(initial=0)) / DAY / half_life_days)
        return cls(histories, events, weights / max(weights.sum(), 1e-300))

    def drawn(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """So many events by their shares, in any order; stratified: one out of each `count`-th part of the shares."""
        places = (np.arange(count) + rng.random(count)) / count
        found = np.searchsorted(np.cumsum(self.shares), places).clip(max=len(self.events) - 1)
        events: np.ndarray = self.events[rng.permutation(found)]
        return events

    def before(self, events: np.ndarray, gap: np.ndarray, length: int) -> Histories:
        """The newest `length` events before each one but for the `gap` last of them, or half of all where that is less."""
        begins = self.histories.offsets[np.searchsorted(self.histories.offsets, events, side="right") - 1]
        ends = events - np.minimum(gap, (events - begins) // 2)
        lengths = np.minimum(ends - begins, length)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(ends - offsets[1:], lengths) + np.arange(offsets[-1])
        return Histories(offsets, self.histories.items[places], self.histories.times[places])


class TwoTower:
    """Cosine of a history's vector and an item's, divided by the temperature.

    Time and memory of a step do not grow with the catalogue; those of an epoch are bounded by `recipe.pairs`.
    """

    name = "two_tower"
    network: Towers
    basis: Basis | None = None
    """What brought the text vectors down."""

    def __init__(self, recipe: TowerRecipe, seed: int = 1) -> None:
        self.recipe, self.seed = recipe, seed

    def fit(self, data: TrainingData) -> None:
        """Train for so many epochs as the recipe says; the same seed gives the same weights.

        Raises:
            TrainingError: it ended with weights that are not finite.
        """
        self.basis = text = None
        if data.item_vectors is not None:
            self.basis = Basis.of(data.item_vectors, TEXT_DIMS)
            text = self.basis.apply(data.item_vectors)
        pairs = Pairs.of(data, self.recipe.half_life_days)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = self._towers(text, *item_statistics(data.histories, data.num_items)).train()
            if len(pairs.events):
                self._train(pairs, data.num_items)
        check_finite(self.network, self.name)

    def _towers(self, text: np.ndarray | None, statistics: np.ndarray, met: np.ndarray) -> Towers:
        recipe = self.recipe
        return Towers(text, statistics, met, recipe.dims, recipe.half_lives, recipe.dropout, recipe.unmet)

    def _train(self, pairs: Pairs, num_items: int) -> None:
        recipe, network = self.recipe, self.network
        dense = [weight for weight in network.parameters() if weight is not network.ids]
        optimizers = [
            torch.optim.AdamW(dense, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True),
            torch.optim.SparseAdam([network.ids], recipe.learning_rate),
        ]
        wanted = torch.from_numpy(pairs.histories.items[pairs.events].astype(np.int64))
        shares = torch.bincount(wanted, torch.from_numpy(pairs.shares), minlength=num_items).float()
        total = recipe.epochs * -(-min(recipe.pairs, len(pairs.events)) // recipe.batch_size)
        for step, (events, rng) in enumerate(counted(self._batches(pairs), total)):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = recipe.learning_rate * _rate(step, total)
                optimizer.zero_grad()
            self._loss(pairs, events, shares, rng).backward()
            for optimizer in optimizers:
                optimizer.step()

    def _batches(self, pairs: Pairs) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
        """Events of each step, all epochs, and where the step's other draws come from."""
        rng, size = np.random.default_rng(self.seed), self.recipe.batch_size
        for _ in range(self.recipe.epochs):
            order = pairs.drawn(min(self.recipe.pairs, len(pairs.events)), rng)
            yield from ((order[start : start + size], rng) for start in range(0, len(order), size))

    def _loss(self, pairs: Pairs, events: np.ndarray, shares: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Of one step.

        Args:
            shares: float32 [num_items], how likely a pair wants the item.
        """
        recipe, num_items = self.recipe, len(shares)
        histories = pairs.before(events, rng.integers(0, recipe.gap + 1, len(events)), recipe.max_length)
        wanted = torch.from_numpy(pairs.histories.items[events].astype(np.int64))
        candidates = torch.cat([wanted, torch.from_numpy(self.negatives(num_items, rng))])
        scores = self.network.user(histories) @ self.network.item(candidates).T / recipe.temperature
        expected = (len(events) - 1) * shares[candidates] + recipe.negatives / num_items
        return mixed_loss(scores, wanted, candidates, expected)

    def negatives(self, num_items: int, rng: np.random.Generator) -> np.ndarray:
        """Items of a step besides those that are wanted in it, int64: each as likely as any other, whoever met it."""
        return rng.integers(0, num_items, self.recipe.negatives)

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        self.network.eval()
        num_items = len(self.network.met)
        items = self.network.item(torch.arange(num_items)).T / self.recipe.temperature
        scores = np.zeros((len(histories), num_items), dtype=np.float32)
        at_once = max(1, CELLS_AT_ONCE // num_items)
        for users, part in histories.last(self.recipe.max_length).parts(at_once):
            scores[users] = (self.network.user(part) @ items).numpy()
        return scores

    @property
    def reads_text(self) -> bool:
        return self.basis is not None

    def extended(self, vectors: np.ndarray) -> TwoTower:
        """See `lakerec.models.newcomers`."""
        assert self.basis is not None, "it reads texts"
        weights, texts = storage.weights_of(self.network), {"text": self.basis.apply(vectors)}
        longer = storage.with_rows(weights, texts, ("statistics", "met", "ids"))
        return self._of(self.recipe, self.seed, longer | self.basis.arrays())

    def save(self, folder: Path) -> None:
        weights = storage.weights_of(self.network) | arrays_of(self.basis)
        storage.save(folder, self.name, weights, recipe=asdict(self.recipe), seed=self.seed)

    @classmethod
    def load(cls, folder: Path) -> TwoTower:
        settings = storage.settings(folder)
        return cls._of(TowerRecipe(**settings["recipe"]), settings["seed"], storage.arrays(folder))

    @classmethod
    def _of(cls, recipe: TowerRecipe, seed: int, weights: dict[str, np.ndarray]) -> TwoTower:
        model = cls(recipe, seed)
        model.basis = Basis.from_arrays(weights)
        text = weights["text"] if weights["text"].shape[1] else None
        model.network = model._towers(text, weights["statistics"], weights["met"][:, 0])
        storage.put_into(model.network, weights)
        return model


def _rate(step: int, total: int) -> float:
    """Share of the highest learning rate at a step, from 0."""
    return min(1.0, (step + 1) / (WARM_UP * total)) * (1 - (1 - FINAL_RATE) * step / total)
