"""Item vectors of a network: what language says of an item, and what behaviour adds to it.

    vector [dims] = project(text vector, reduced) + learned delta, which stays zero for an item that training never met

so that such an item is placed by its text alone (see `lakerec.models.network`, which learned it first).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lakerec.models import storage
from lakerec.models.basis import Basis, arrays_of
from lakerec.models.data import TrainingData

TEXT_DIMS = 64
"""Principal components kept of the text vectors."""


class Items(nn.Module):
    """The table of item vectors.

    Args:
        text_dims: width of the reduced text vectors; 0: items are known by behaviour alone.
    """

    text: Tensor
    met: Tensor

    def __init__(self, num_items: int, text_dims: int, dims: int) -> None:
        super().__init__()
        self.register_buffer("text", torch.zeros(num_items, text_dims))
        self.register_buffer("met", torch.zeros(num_items, 1))
        self.basis: Basis | None = None
        """What brought the text vectors down."""
        self.project = nn.Linear(text_dims, dims, bias=False) if text_dims else None
        self.delta = nn.Parameter(torch.randn(num_items, dims) * 0.02)
        if self.project is not None:
            nn.init.normal_(self.project.weight, std=0.05)

    def know(self, data: TrainingData) -> None:
        """Take over the items' texts, and which of them the histories meet."""
        if self.project is not None and data.item_vectors is not None:
            self.basis = Basis.of(data.item_vectors, self.text.shape[1])
            self.text.copy_(torch.from_numpy(self.basis.apply(data.item_vectors)))
        self.met[torch.from_numpy(np.unique(data.histories.items)).long()] = 1.0

    def forward(self) -> Tensor:
        """All vectors, [num_items, dims]."""
        own = self.delta * self.met
        return own if self.project is None else own + self.project(self.text)


class HasItems(nn.Module):
    """A network that has the table as `items`."""

    items: Items


def weights_with(network: HasItems) -> dict[str, np.ndarray]:
    """Its weights, and what brought the items' texts down."""
    return storage.weights_of(network) | arrays_of(network.items.basis)


def put_with(network: HasItems, weights: dict[str, np.ndarray]) -> None:
    """The inverse: network and table take over all of them."""
    network.items.basis = Basis.from_arrays(weights)
    storage.put_into(network, weights)


def longer(weights: dict[str, np.ndarray], texts: np.ndarray, more: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights from `weights_with` with new items behind the others, which training never met.

    Args:
        texts: float32 [m, r], reduced; more: rows of arrays that the network itself has an item.
    """
    return storage.with_rows(weights, {"items.text": texts} | more, ("items.met", "items.delta"))


def text_dims(data: TrainingData) -> int:
    """Width of the reduced text vectors; 0 where there are none."""
    return 0 if data.item_vectors is None else min(TEXT_DIMS, data.item_vectors.shape[1])


def looked_up(items: Tensor, table: Tensor) -> Tensor:
    """Vectors of items, [.., dims]; zeros for padding, which is any id from num_items on."""
    return F.embedding(items.clamp(max=len(table) - 1), table) * (items < len(table)).unsqueeze(-1)
