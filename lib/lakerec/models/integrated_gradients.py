"""Integrated gradients of the networks that are no sum over a history, by captum.

    events' vectors x [rows, T, dims] ─ α from 0 to 1: α · x ─► score less the mean over the catalogue ─► its gradient
        contribution of an event = Σ over dims of x · mean over α of the gradient       (behaviour: of facts likewise)

At the baseline a history has its events, when they came included, but nothing is known of their items; of the behaviour
model's facts the baseline is a user without events and an item that nobody met. Contributions add up to the score less the
one at the baseline, within the error of the sum over α.

Sources: Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML 2017, equation 2; Kokhlikyan et al.,
Captum: a unified and generic model interpretability library for PyTorch, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from lakerec.models.additive import beside_reference, by_item
from lakerec.models.behaviour import Behaviour, newest
from lakerec.models.data import Histories
from lakerec.models.items import looked_up
from lakerec.models.moments import user_facts
from lakerec.models.sequence import Sequence

STEPS, STEPS_OF_SEQUENCE = 8, 32
"""Places on the way from the baseline, by Gauss-Legendre's rule; of the sequence model, whose norms change fast near 0."""
REFERENCE = 10
"""Items that stand for the catalogue in the behaviour model's mean over it: each takes as long as an item asked about."""
ROWS_AT_ONCE = 1_024
"""Of the network: pairs of history and item."""


@dataclass(frozen=True)
class BehaviourAttributions:
    """What adds up to the behaviour model's logits. Letters: n = histories, k = items of each."""

    events: np.ndarray
    """float32 [events, k], of `Histories.last(max_length)`."""
    user_facts: np.ndarray
    """float32 [n, k, USER_FACTS]: events so far, days from the first to the last."""
    item_facts: np.ndarray
    """float32 [n, k, ITEM_FACTS]: shares of all events so far and of recent ones, days since the last one."""


def of_items(model: Sequence | Behaviour, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    """Contributions by item met, float32 [met, k]; of the behaviour model's, those of its history.

    Args:
        met: the histories' distinct items.
        items: int [n, k], asked about.
    """
    if isinstance(model, Sequence):
        short, num_items = histories.last(model.shape.max_length), model.network.num_items
        return by_item(short, of_sequence(model, histories, items), met, num_items)
    short, num_items, k = histories.last(model.recipe.max_length), len(model.network.item_facts), items.shape[1]
    values = of_behaviour(model, histories, beside_reference(items, num_items, REFERENCE)).events
    return by_item(short, values[:, :k] - values[:, k:].mean(axis=1, keepdims=True), met, num_items)


def of_sequence(model: Sequence, histories: Histories, items: np.ndarray, steps: int = STEPS_OF_SEQUENCE) -> np.ndarray:
    """Contributions of the events that the network sees, float32 [events, k]: those of `histories.last(max_length)`."""
    network, length, k = model.network.eval(), model.shape.max_length, items.shape[1]

    def score(told: Tensor, seconds: Tensor, ends: Tensor, wanted: Tensor) -> Tensor:
        last = network.hidden(told, seconds)[torch.arange(len(told)), ends]
        return (last * wanted).sum(dim=-1)

    with torch.no_grad():
        table = network.table()
        centred = table - table.mean(dim=0)
    found = []
    for rows, part in histories.last(length).parts(max(1, ROWS_AT_ONCE // k)):
        told = looked_up(torch.from_numpy(part.padded(length, len(table))), table).repeat_interleave(k, dim=0)
        seconds = torch.from_numpy(part.padded_times(length)).repeat_interleave(k, dim=0)
        ends = torch.from_numpy(np.maximum(part.lengths, 1) - 1).repeat_interleave(k)
        wanted = centred[torch.from_numpy(items[rows].ravel().astype(np.int64))]
        (slopes,) = _mean_gradients(score, (told,), (torch.zeros_like(told),), (seconds, ends, wanted), steps)
        found.append((told * slopes).sum(dim=-1).view(-1, k, length).mT[_places(part, length)].numpy())
    return np.concatenate(found) if found else np.zeros((0, k), np.float32)


def of_behaviour(model: Behaviour, histories: Histories, items: np.ndarray, steps: int = STEPS) -> BehaviourAttributions:
    """Contributions of the events that the network sees, and of the facts of user and item, to the logits.

    An event enters by a sum of vectors alone: of that sum the gradient is integrated, and the event has its part of it.
    """
    network, length, k = model.network.eval(), model.recipe.max_length, items.shape[1]

    def logit(mixed: Tensor, own: Tensor, facts: Tensor, wanted: Tensor) -> Tensor:
        logits, _ = network(network.describe(mixed), own, wanted.unsqueeze(1), facts.unsqueeze(1))
        return logits.squeeze(1)

    with torch.no_grad():
        table = network.items()
    nobodys = torch.tensor(model.nobodys) if model.nobodys else torch.zeros(network.item_facts.shape[1])
    found = []
    for rows, part in histories.last(length).parts(max(1, ROWS_AT_ONCE // k)):
        whole = histories.take(np.arange(rows.start, rows.stop))
        recent = torch.from_numpy(newest(np.append(part.items, len(table)), part.offsets[:-1], part.offsets[1:], length))
        with torch.no_grad():
            weight, scale = network.event_weights(recent < len(table))
            told = (weight / scale).unsqueeze(-1) * looked_up(recent, table)
        own = torch.from_numpy(user_facts(whole.times, whole.offsets[:-1], whole.offsets[1:])).repeat_interleave(k, dim=0)
        asked = torch.from_numpy(items[rows].ravel().astype(np.int64))
        inputs = told.sum(dim=1).repeat_interleave(k, dim=0), own, network.item_facts[asked]
        baselines = torch.zeros_like(inputs[0]), torch.zeros_like(own), nobodys.expand(len(asked), -1)
        slopes = _mean_gradients(logit, inputs, baselines, (table[asked],), steps)
        by_event = told @ slopes[0].view(len(part), k, -1).mT
        oldest_first = by_event.flip(1)[_places(part, length).flip(1)]
        facts = [(each - base) * slope for each, base, slope in zip(inputs, baselines, slopes, strict=True)][1:]
        found.append((oldest_first.numpy(), *(each.view(len(part), k, -1).numpy() for each in facts)))
    return BehaviourAttributions(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _places(histories: Histories, length: int) -> Tensor:
    """Which places of padded histories are events, bool [n, length]."""
    return torch.arange(length) < torch.from_numpy(histories.lengths)[:, None]


def _mean_gradients(score, inputs, baselines, others, steps: int) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]
    """Means over α of the gradients by each of the inputs; times the way from the baseline they are its attributions."""

    def total(*given: Tensor) -> Tensor:  # rows do not depend on each other, and captum takes a sum 2 × as fast as each row
        return score(*given).sum().view(1)

    found = IntegratedGradients(total, multiply_by_inputs=False).attribute(
        inputs,
        baselines,
        additional_forward_args=others,
        n_steps=steps,
        internal_batch_size=max(ROWS_AT_ONCE, len(inputs[0])),
    )
    return tuple(each.detach().float() for each in found)
