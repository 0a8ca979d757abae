"""A variational autoencoder of what a user met, with a multinomial likelihood.

    met [rows, num_items], unit rows → dropout → hidden, tanh → mean, log variance [rows, latent]
      → z = mean + noise → hidden, tanh → logits [rows, num_items] → softmax over the catalogue

Source: Liang et al., Variational autoencoders for collaborative filtering, WWW 2018: Mult-VAE, with the weight of the
divergence rising to less than 1 (section 2.2.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData
from lakerec.models.descent import check_finite, counted

CELLS_AT_ONCE = 8_000_000
"""Users × items that scoring holds densely: 32 MB."""
ANNEALING = 0.5
"""Share of the steps over which the weight of the divergence rises."""


@dataclass(frozen=True)
class VaeRecipe:
    """Size of the network, and how it is trained."""

    hidden: int
    latent: int
    dropout: float
    """Of what the encoder is shown."""
    kl_weight: float
    """Of the divergence from the prior, at the end."""
    epochs: int
    users: int
    """Of an epoch, at most, drawn anew each time."""
    batch_size: int
    learning_rate: float


class VaeNetwork(nn.Module):
    """Encoder and decoder; float32 [rows, num_items] → logits of the same shape, mean and log variance [rows, latent]."""

    def __init__(self, num_items: int, recipe: VaeRecipe) -> None:
        super().__init__()
        self.drop = nn.Dropout(recipe.dropout)
        self.encode, self.infer = nn.Linear(num_items, recipe.hidden), nn.Linear(recipe.hidden, 2 * recipe.latent)
        self.decode, self.out = nn.Linear(recipe.latent, recipe.hidden), nn.Linear(recipe.hidden, num_items)
        for layer in (self.encode, self.infer, self.decode, self.out):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, met: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = torch.tanh(self.encode(self.drop(F.normalize(met, dim=1))))
        mean, log_variance = self.infer(hidden).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() if self.training else mean
        return self.out(torch.tanh(self.decode(z))), mean, log_variance


class MultVae:
    """Log probability, but for a constant a row, that the next draw of a user's multinomial is the item.

    Time and memory of a step grow with the catalogue: `train.dense_items` bounds what it is fitted on.
    """

    name = "mult_vae"
    network: VaeNetwork

    def __init__(self, recipe: VaeRecipe, seed: int = 1) -> None:
        self.recipe, self.seed = recipe, seed

    def fit(self, data: TrainingData) -> None:
        """Train for so many epochs as the recipe says; the same seed gives the same weights.

        Raises:
            TrainingError: it ended with weights that are not finite.
        """
        met = data.histories.matrix(data.num_items)
        met = met[np.flatnonzero(np.diff(met.indptr))]
        recipe = self.recipe
        steps = recipe.epochs * -(-min(met.shape[0], recipe.users) // recipe.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = VaeNetwork(data.num_items, recipe).train()
            optimizer = torch.optim.Adam(self.network.parameters(), recipe.learning_rate, fused=True)
            for step, rows in enumerate(counted(self._batches(met.shape[0]), steps)):
                beta = recipe.kl_weight * min(1.0, step / (ANNEALING * steps))
                loss = self._loss(_dense(met[rows]), beta)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        check_finite(self.network, self.name)

    def _batches(self, people: int) -> Iterator[np.ndarray]:
        """Row numbers of each step, all epochs."""
        rng, size = np.random.default_rng(self.seed), self.recipe.batch_size
        for _ in range(self.recipe.epochs):
            order = rng.permutation(people)[: self.recipe.users]
            yield from (order[start : start + size] for start in range(0, len(order), size))

    def _loss(self, met: Tensor, beta: float) -> Tensor:
        """Negative of the evidence lower bound, its divergence weighted by `beta`, mean over users."""
        logits, mean, log_variance = self.network(met)
        likelihood = (F.log_softmax(logits, dim=1) * met).sum(dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return (beta * divergence - likelihood).mean()

    @torch.inference_mode()
    def score(self, histories: Histories) -> np.ndarray:
        self.network.eval()
        num_items = self.network.out.out_features
        met = histories.matrix(num_items)
        scores = np.zeros((len(histories), num_items), dtype=np.float32)
        at_once = max(1, CELLS_AT_ONCE // max(num_items, 1))
        for start in range(0, len(histories), at_once):
            logits, *_ = self.network(_dense(met[start : start + at_once]))
            scores[start : start + at_once] = logits.numpy()
        return scores

    def save(self, folder: Path) -> None:
        settings = {"recipe": asdict(self.recipe), "seed": self.seed, "num_items": self.network.out.out_features}
        storage.save(folder, self.name, storage.weights_of(self.network), **settings)

    @classmethod
    def load(cls, folder: Path) -> MultVae:
        settings = storage.settings(folder)
        model = cls(VaeRecipe(**settings["recipe"]), settings["seed"])
        model.network = VaeNetwork(settings["num_items"], model.recipe)
        storage.put_into(model.network, storage.arrays(folder))
        return model


def _dense(met: sparse.csr_matrix) -> Tensor:
    return torch.from_numpy(met.toarray())
