"""Whether a user will engage with an item, and what value they will give it: two tasks, one network.

    each event whose item is new to its user, and some items that the user has not met by then
      → facts as of that moment, history before it → network → binary cross-entropy, and squared error of the value

The cross-entropy weighs an event like all its negatives together: a logit above 0 says that the item is more likely one
that the user engages with than one drawn from the catalogue. As a recommender it ranks items by that.

Nothing that came at the moment of the event or after it is part of its features. A question without a moment (`score`,
`predict`) is one about the time right after training: items as of then, users as of the last event of their history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData
from lakerec.models.descent import descend
from lakerec.models.items import longer, looked_up, put_with, text_dims, weights_with
from lakerec.models.moments import Moments, Sums, known_before, user_facts
from lakerec.models.multitask import MultiTaskNetwork

CELLS_AT_ONCE = 4_000_000
"""Numbers of the first layer that scoring holds: 16 MB, a few times over."""
ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class BehaviourRecipe:
    """Size of the network, and how it is trained."""

    dims: int
    width: int
    """Of the first layer; the second has half of it."""
    max_length: int
    """Events of a history that the user's vector is made of, the newest."""
    dropout: float
    negatives: int
    """Items drawn for an event."""
    value_weight: float
    """Of the value's loss, beside that of the engagement."""
    epochs: int
    events: int
    """Of an epoch, at most, drawn anew each time."""
    batch_size: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Batch:
    """Events with their negatives. Letters: B = events, C = 1 + negatives, the event's own item first."""

    history: Tensor
    """int [B, T], newest first, padded."""
    asked: Tensor
    """int [B, C]."""
    counts: Tensor
    """float [B, C]: weight of each in the loss."""
    user_facts: Tensor
    item_facts: Tensor
    shifts: tuple[Tensor, Tensor]
    """Of the user's values and of the item's, float [B] each."""
    values: Tensor
    """float [B], NaN where the event has none."""


class Examples:
    """Training events as features, as of the moment of each."""

    def __init__(self, data: TrainingData, recipe: BehaviourRecipe) -> None:
        self.data, self.recipe, histories = data, recipe, data.histories
        self.moments = Moments(histories, data.num_items, data.values)
        self.rows, self.known = histories.rows, known_before(histories)
        self.values = np.full(len(histories.items), np.nan, np.float32) if data.values is None else data.values
        self.sums = Sums(self.values)
        self.items = np.append(histories.items, data.num_items).astype(np.int64)
        self.pairs, self.firsts = np.unique(self.rows * data.num_items + histories.items, return_index=True)
        """What each user met, and the event when they met it first: those are the examples."""

    def batch(self, events: np.ndarray, rng: np.random.Generator) -> Batch:
        """Features of some events and of negatives that are drawn for them."""
        rows, times = self.rows[events], self.data.histories.times[events]
        starts, ends = self.data.histories.offsets[:-1][rows], self.known[events]
        drawn = rng.integers(0, self.data.num_items, (len(events), self.recipe.negatives))
        asked = np.concatenate([self.items[events][:, None], drawn], axis=1)
        counts = np.ones(asked.shape, dtype=np.float32)
        counts[:, 1:] = ~self._met(rows, drawn, events) / max(1, self.recipe.negatives)
        mean, own = self.moments.mean(times), self.items[events]
        shifts = self.sums.shift(starts, ends, mean), self.moments.item_values(own, times)
        return Batch(
            history=torch.from_numpy(newest(self.items, starts, ends, self.recipe.max_length)),
            asked=torch.from_numpy(asked),
            counts=torch.from_numpy(counts),
            user_facts=torch.from_numpy(user_facts(self.data.histories.times, starts, ends)),
            item_facts=torch.from_numpy(self.moments.items(asked, np.broadcast_to(times[:, None], asked.shape))),
            shifts=(torch.from_numpy(shifts[0]), torch.from_numpy(shifts[1])),
            values=torch.from_numpy(self.values[events].astype(np.float32)),
        )

    def _met(self, rows: np.ndarray, items: np.ndarray, events: np.ndarray) -> np.ndarray:
        """Whether the user of a row met an item by the event, the event included; bool [B, negatives]."""
        wanted = rows[:, None] * self.data.num_items + items
        place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return (self.pairs[place] == wanted) & (self.firsts[place] <= events[:, None])

    def batches(self, seed: int) -> Iterator[Batch]:
        """All epochs."""
        rng = np.random.default_rng(seed)
        for _ in range(self.recipe.epochs):
            order = rng.permutation(self.firsts)[: self.recipe.events]
            for start in range(0, len(order), self.recipe.batch_size):
                yield self.batch(order[start : start + self.recipe.batch_size], rng)

    @property
    def steps(self) -> int:
        """Batches of all epochs."""
        return self.recipe.epochs * -(-min(len(self.firsts), self.recipe.events) // self.recipe.batch_size)


class Behaviour:
    """Logit, against an item drawn at random, that the user engages with the item."""

    name = "behaviour"
    network: MultiTaskNetwork
    nobodys: list[float]
    """Facts at the end of an item that nobody met; empty of a model that was saved before they were kept."""

    def __init__(self, recipe: BehaviourRecipe, seed: int = 1) -> None:
        self.recipe, self.seed = recipe, seed

    def fit(self, data: TrainingData) -> None:
        """Train for so many epochs as the recipe says; the same seed gives the same weights.

        Raises:
            TrainingError: it ended with weights that are not finite.
        """
        recipe, examples = self.recipe, Examples(data, self.recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = self._network(data.num_items, text_dims(data))
            self.network.items.know(data)
            self._remember(examples)
            descend(
                self.network, examples.batches(self.seed), self._loss, examples.steps, recipe.learning_rate,
                recipe.weight_decay, self.name,
            )  # fmt: skip

    def _network(self, num_items: int, width: int) -> MultiTaskNetwork:
        recipe = self.recipe
        return MultiTaskNetwork(num_items, width, recipe.dims, recipe.width, recipe.max_length, recipe.dropout)

    def _remember(self, examples: Examples) -> None:
        """What is known of the items at the end, and where values lie."""
        network, moments = self.network, examples.moments
        items = np.arange(examples.data.num_items)
        now = np.full(len(items), moments.now)
        network.item_facts.copy_(torch.from_numpy(moments.items(items, now)))
        self.nobodys = moments.nobodys().tolist()
        network.item_shifts.copy_(torch.from_numpy(moments.item_values(items, now)))
        given = examples.values[np.isfinite(examples.values)].astype(np.float64)
        if len(given):
            network.mean.fill_(given.mean())
            network.scale.fill_(max(float(given.std()), 1e-6))

    def _loss(self, batch: Batch) -> Tensor:
        """Binary cross-entropy, mean by weight, and the squared error of the values there are, mean over them."""
        network = self.network
        table = network.items()
        user = network.user(batch.history, table)
        logits, hidden = network(user, batch.user_facts, looked_up(batch.asked, table), batch.item_facts)
        right = torch.zeros_like(logits)
        right[:, 0] = 1.0
        loss = F.binary_cross_entropy_with_logits(logits, right, batch.counts, reduction="sum") / batch.counts.sum()
        given = batch.values.isfinite()
        if not given.any():
            return loss
        found = network.value(hidden[:, 0], *batch.shifts)[given]
        return loss + self.recipe.value_weight * F.mse_loss(found, (batch.values[given] - network.mean) / network.scale)

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        network = self.network.eval()
        table = network.items()
        scores = np.zeros((len(histories), len(table)), dtype=np.float32)
        at_once = max(1, CELLS_AT_ONCE // max(1, len(table) * self.recipe.width))
        for users, part in histories.parts(at_once):
            user, facts = self._users(part, table)
            scores[users] = network(user, facts, table, network.item_facts)[0].numpy()
        return scores

    @torch.inference_mode()
    def predict(
        self, histories: Histories, asked: Histories, values: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of each item asked about: the logit that the history's user engages with it, and the value they would give.

        Args:
            asked: for each history its items; times do not matter.
            values: float32, by event of `histories`, NaN where it has none.

        Returns:
            float32 [total] each, in the order of asked.items.
        """
        network = self.network.eval()
        table, sums = network.items(), Sums(np.full(len(histories.items), np.nan) if values is None else values)
        mean = np.full(len(histories), float(network.mean))
        shift = torch.from_numpy(sums.shift(histories.offsets[:-1], histories.offsets[1:], mean))
        found = np.zeros((2, len(asked.items)), dtype=np.float32)
        for users, part in histories.parts(ROWS_AT_ONCE):
            events = slice(asked.offsets[users.start], asked.offsets[users.stop])
            rows = torch.from_numpy(asked.rows[events] - users.start)
            items = torch.from_numpy(asked.items[events].astype(np.int64))
            user, facts = self._users(part, table)
            told = network(user[rows], facts[rows], table[items].unsqueeze(1), network.item_facts[items].unsqueeze(1))
            logits, hidden = (each.squeeze(1) for each in told)
            value = network.value(hidden, shift[users][rows], network.item_shifts[items])
            found[0, events], found[1, events] = logits.numpy(), (value * network.scale + network.mean).numpy()
        return found[0], found[1]

    def _users(self, histories: Histories, table: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [n, dims] and facts [n, USER_FACTS] of histories as of their last event."""
        starts, ends = histories.offsets[:-1], histories.offsets[1:]
        items = np.append(histories.items, len(table)).astype(np.int64)
        recent = torch.from_numpy(newest(items, starts, ends, self.recipe.max_length))
        return self.network.user(recent, table), torch.from_numpy(user_facts(histories.times, starts, ends))

    @property
    def reads_text(self) -> bool:
        return self.network.items.basis is not None and bool(self.nobodys)

    def extended(self, vectors: np.ndarray) -> Behaviour:
        """See `lakerec.models.newcomers`."""
        basis = self.network.items.basis
        assert basis is not None, "it reads texts"
        more = {"item_facts": np.tile(np.array(self.nobodys), (len(vectors), 1)), "item_shifts": np.zeros(len(vectors))}
        weights = longer(weights_with(self.network), basis.apply(vectors), more)
        return self._of(self.recipe, self.seed, self.nobodys, weights)

    def save(self, folder: Path) -> None:
        weights = weights_with(self.network)
        storage.save(folder, self.name, weights, recipe=asdict(self.recipe), seed=self.seed, nobodys=self.nobodys)

    @classmethod
    def load(cls, folder: Path) -> Behaviour:
        settings = storage.settings(folder)
        recipe = BehaviourRecipe(**settings["recipe"])
        return cls._of(recipe, settings["seed"], settings.get("nobodys", []), storage.arrays(folder))

    @classmethod
    def _of(cls, recipe: BehaviourRecipe, seed: int, nobodys: list[float], weights: dict[str, np.ndarray]) -> Behaviour:
        model = cls(recipe, seed)
        model.nobodys = nobodys
        num_items, width = weights["items.text"].shape
        model.network = model._network(num_items, width)
        put_with(model.network, weights)
        return model


def newest(items: np.ndarray, starts: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """The last `length` items of ranges, newest first, int64 [n, length].

    Args:
        items: int64 [total + 1]; what stands last pads.
        starts, ends: int [n]; a range is items[start:end].
    """
    places = ends[:, None] - 1 - np.arange(length)
    return items[np.where(places >= starts[:, None], places, len(items) - 1)]
