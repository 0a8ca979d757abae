"""The network of the behaviour model: one bottom, two heads.

    history [rows, T] → user vector u                     item vector x ─┐
    facts of user and item as of the moment ─┐                           │
    u, x, u ∘ x, facts → ReLU layer → ReLU layer → hidden [rows, C, width / 2]
        hidden, u · x               → logit that the user engages with the item
        hidden, shifts of means     → value that the user gives to it

Facts and shifts are those of `lakerec.models.moments`. The engagement knows no values, so that it is the same for a history
whose values nobody keeps. Letters: rows = histories, T = events, C = items asked about, dims = width of a vector.

Sources: Caruana, Multitask learning, Machine learning 28, 1997 (shared bottom); Covington, Adams and Sargin, Deep neural
networks for YouTube recommendations, RecSys 2016 (a history's mean vector beside facts such as age and times seen).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lakerec.models.items import HasItems, Items, looked_up
from lakerec.models.moments import ITEM_FACTS, USER_FACTS


class MultiTaskNetwork(HasItems):
    """Both heads, and what the model has to know of the items at the end of its training data."""

    item_facts: Tensor
    item_shifts: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, num_items: int, text_dims: int, dims: int, width: int, max_length: int, dropout: float) -> None:
        super().__init__()
        self.items = Items(num_items, text_dims, dims)
        self.fade = nn.Parameter(torch.zeros(max_length))
        self.describe = nn.Linear(dims, dims)
        self.of_user, self.of_item, self.of_both = (nn.Linear(dims, width, bias=each) for each in (True, False, False))
        self.of_user_facts = nn.Linear(USER_FACTS, width, bias=False)
        self.of_item_facts = nn.Linear(ITEM_FACTS, width, bias=False)
        self.second = nn.Linear(width, width // 2)
        self.engages, self.values = nn.Linear(width // 2, 1), nn.Linear(width // 2 + 2, 1)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("item_facts", torch.zeros(num_items, ITEM_FACTS))
        self.register_buffer("item_shifts", torch.zeros(num_items))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def user(self, items: Tensor, table: Tensor) -> Tensor:
        """Vectors of histories, [rows, dims].

        Args:
            items: int [rows, T], newest first, num_items for padding.
            table: [num_items, dims].
        """
        weight, scale = self.event_weights(items < len(table))
        return self.describe((weight.unsqueeze(-1) * looked_up(items, table)).sum(dim=1) / scale)

    def event_weights(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """What events count [rows, T], and what their sum is divided by [rows, 1]; known: bool, False where padding is."""
        weight = self.fade[: known.shape[1]].exp() * known
        return weight, weight.sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()

    def forward(self, user: Tensor, user_facts: Tensor, asked: Tensor, item_facts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits that users engage with items [rows, C], and the hidden layer of the value head [rows, C, width / 2].

        Args:
            user: [rows, dims]; user_facts: [rows, USER_FACTS].
            asked: [C, dims] or [rows, C, dims], vectors of the items.
            item_facts: [C, ITEM_FACTS] or [rows, C, ITEM_FACTS].
        """
        weight = self.of_both.weight.T
        one = asked.dim() == 3 and asked.shape[1] == 1  # (u ∘ x) W = x (u ∘ W): of both brackets the smaller is held
        both = (user.unsqueeze(1) * asked) @ weight if one else asked @ (user.unsqueeze(-1) * weight)
        hidden = both + (self.of_item(asked) + self.of_item_facts(item_facts))
        hidden = F.relu(hidden + (self.of_user(user) + self.of_user_facts(user_facts)).unsqueeze(1))
        hidden = F.relu(self.second(self.drop(hidden)))
        return self.engages(hidden).squeeze(-1) + (asked @ user.unsqueeze(-1)).squeeze(-1), hidden

    def value(self, hidden: Tensor, user_shift: Tensor, item_shift: Tensor) -> Tensor:
        """Values, in units of `scale` from `mean`; all [..], hidden [.., width / 2], shifts as the values themselves."""
        shifts = torch.stack([user_shift, item_shift], dim=-1) / self.scale
        return self.values(torch.cat([hidden, shifts], dim=-1)).squeeze(-1)
