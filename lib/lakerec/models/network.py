"""The network of the sequence model: a causal transformer over items that language knows before behaviour does.

    items [rows, T] → table[items] + position → blocks → hidden [rows, T, dims] → · tableᵀ → logits [.., num_items]
    table = project(text vector of the item, reduced) + learned delta
    attention's bias = how many events ago + how long before, where times are told; an event's own: how long since the last

An item that training never met keeps a delta of zero and is scored from its text alone: without that, the softmax, in
which it is a wrong answer at every step, would push it away from everybody. Letters: rows = histories, T = events,
dims = width.

Sources: Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018 (causal transformer over items);
Klenitskiy and Vasilev, Turning dross into gold loss: is BERT4Rec really better than SASRec?, RecSys 2023 (full softmax);
Shazeer, GLU variants improve transformer, 2020, equation 6 (SwiGLU); Zhai et al., Actions speak louder than words:
trillion-parameter sequential transducers for generative recommendations, ICML 2024 (a bias by time, in logarithmic buckets;
there the time of the event to predict has part in it, here that of past events alone).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lakerec.models.items import looked_up

SPANS = 32
"""Buckets of time: 0 seconds, 1–2, 3–6, 7–14 and so on, each twice as wide as the one before."""


def span(seconds: Tensor) -> Tensor:
    """The bucket of a time in seconds, int64; what is below zero counts as zero."""
    return (seconds.clamp(min=0) + 1).double().log2().long().clamp(max=SPANS - 1)


class Block(nn.Module):
    """Pre-norm causal attention and a gated feed-forward layer; [rows, T, dims] → the same."""

    def __init__(self, dims: int, heads: int, max_length: int, dropout: float, times: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.query_key_value = nn.Linear(dims, 3 * dims, bias=False)
        self.out = nn.Linear(dims, dims, bias=False)
        self.gate_up = nn.Linear(dims, 4 * dims, bias=False)
        self.down = nn.Linear(2 * dims, dims, bias=False)
        self.distance_bias = nn.Parameter(torch.zeros(heads, max_length))
        self.time_bias = nn.Parameter(torch.zeros(heads, SPANS)) if times else None
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Args: before: bucket of how long each event came before each other one, int64 [rows, T, T]; None: not told."""
        x = x + self.drop(self._attend(self.attention_norm(x), before))
        gate, up = self.gate_up(self.forward_norm(x)).chunk(2, dim=-1)
        return x + self.drop(self.down(F.silu(gate) * up))

    def _attend(self, x: Tensor, before: Tensor | None) -> Tensor:
        rows, length, dims = x.shape
        q, k, v = self.query_key_value(x).view(rows, length, 3, self.heads, dims // self.heads).permute(2, 0, 3, 1, 4)
        mask = self._mask(length)
        if self.time_bias is not None and before is not None:
            mask = mask + _told(self.time_bias, before)
        mixed = F.scaled_dot_product_attention(q, k, v, mask)
        return self.out(mixed.transpose(1, 2).reshape(rows, length, dims))

    def _mask(self, length: int) -> Tensor:
        """A learned bias for how many events ago, -inf for the future; [heads, T, T]."""
        places = torch.arange(length, device=self.distance_bias.device)
        ago = places[:, None] - places[None, :]
        return self.distance_bias[:, ago.clamp(min=0)].masked_fill(ago < 0, float("-inf"))


def _told(bias: Tensor, before: Tensor) -> Tensor:
    """The bias of each pair of events by its bucket, [rows, heads, T, T].

    Two ways to the same sums, since the gradient of either is slow elsewhere: a step took 6.8 × as long by indices on an
    H100, and 1.4 × as long by an embedding on a processor.
    """
    if before.is_cuda:
        return F.embedding(before, bias.T).permute(0, 3, 1, 2)
    return bias[:, before].transpose(0, 1)


class SequenceNetwork(nn.Module):
    """Hidden states and item table of the sequence model.

    Args:
        text: float32 [num_items, r], reduced text vectors; None: items are known by behaviour alone.
        times: whether it is told when events came.
    """

    text: Tensor
    met: Tensor

    def __init__(
        self,
        num_items: int,
        text: np.ndarray | None,
        dims: int,
        blocks: int,
        heads: int,
        max_length: int,
        dropout: float,
        times: bool = False,
    ) -> None:
        super().__init__()
        self.num_items, self.max_length, self.times = num_items, max_length, times
        width = 0 if text is None else text.shape[1]
        self.register_buffer("text", torch.zeros(num_items, width) if text is None else torch.from_numpy(text))
        self.project = nn.Linear(width, dims, bias=False) if width else None
        self.delta = nn.Parameter(torch.zeros(num_items, dims) if width else torch.randn(num_items, dims) * 0.02)
        self.register_buffer("met", torch.ones(num_items, 1))
        self.position = nn.Parameter(torch.randn(max_length, dims) * 0.02)
        self.pause = nn.Parameter(torch.zeros(SPANS, dims)) if times else None
        self.blocks = nn.ModuleList(Block(dims, heads, max_length, dropout, times) for _ in range(blocks))
        self.norm = nn.LayerNorm(dims)
        self.drop = nn.Dropout(dropout)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)

    def mark_met(self, met: np.ndarray) -> None:
        """Tell which items training meets, bool [num_items]; the others stay where their text puts them."""
        if self.project is not None:
            self.met.copy_(torch.from_numpy(met.astype(np.float32))[:, None])

    def table(self) -> Tensor:
        """Item vectors, [num_items, dims]."""
        return self.delta if self.project is None else self.project(self.text) + self.delta * self.met

    def rows(self, items: Tensor, delta: Tensor) -> Tensor:
        """Vectors of some items alone, [n, dims].

        Args:
            items: int64 [n]; delta: what was learned of them, [n, dims].
        """
        return delta if self.project is None else self.project(self.text[items]) + delta * self.met[items]

    def forward(self, items: Tensor, table: Tensor, seconds: Tensor | None = None) -> Tensor:
        """Hidden state after each event, [rows, T, dims].

        Args:
            items: int64 [rows, T], rows of `table`; those behind its end are padding, on the right.
            seconds: int64 [rows, T], when they came, by any clock; only a network with `times` looks at it.
        """
        return self.hidden(looked_up(items, table), seconds)

    def hidden(self, told: Tensor, seconds: Tensor | None = None) -> Tensor:
        """The same from the events' vectors, [rows, T, dims], zero for padding."""
        told, before = told + self.position[: told.shape[1]], None
        if self.pause is not None and seconds is not None:
            before = span(seconds[:, :, None] - seconds[:, None, :])
            told = told + self.pause[span(seconds.diff(dim=1, prepend=seconds[:, :1]))]
        x = self.drop(told)
        for block in self.blocks:
            x = block(x, before)
        return self.norm(x)
