"""Models whose score is a sum over the history: what each item that was met adds to it, exactly.

    item_cf, ease          weight of the item met × weight from it to the item scored
    user_cf                its part of the cosines with the nearest training users who met the item scored
    als                    its part of the user's factors, times the item's: Hu et al., section 5
    content, two_tower     its part of the history's vector, times the item's; the length of that vector as it is
    attention              its term of the sum over events, the denominator as it is

All is less the same for the mean over the catalogue, so that a history's contributions add up to how far the item's score
lies above its mean score; of two_tower and attention, to the part of it that the history's items have (the rest are what
they know of a history's length, and the vector that stands for nobody). Where nothing of a history tells, and what is
popular is the answer, nothing contributes.

Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse

from lakerec.models.attention import Attention
from lakerec.models.content import Content
from lakerec.models.data import Histories
from lakerec.models.factors import Als
from lakerec.models.items import looked_up
from lakerec.models.linear import Ease, ItemCF
from lakerec.models.neighbours import UserCF, unit_rows
from lakerec.models.protocol import Recommender
from lakerec.models.two_tower import TwoTower

REFERENCE = 100
"""Items that stand for the catalogue where the mean over all of it would take as long as scoring all of it."""
CELLS_AT_ONCE = 4_000_000
Contribute = Callable[[Any, Histories, Histories, np.ndarray], np.ndarray]
"""(model, histories, their distinct items met, items int [n, k]) → float32 [met, k]."""


def by_user(met: Histories) -> Iterator[tuple[int, slice]]:
    """Each history's number, and where its items lie."""
    for user, (start, end) in enumerate(zip(met.offsets[:-1], met.offsets[1:], strict=True)):
        yield user, slice(start, end)


def met_order(met: Histories, num_items: int) -> np.ndarray:
    """Where the items met lie in the order of history and item, which that of a sorted sparse matrix is; int64 [met]."""
    return np.argsort(met.rows * num_items + met.items)


def by_item(events: Histories, values: np.ndarray, met: Histories, num_items: int) -> np.ndarray:
    """Contributions of events, float [events, k], summed up by item met, float32 [met, k]."""
    order = met_order(met, num_items)
    keys = (met.rows * num_items + met.items)[order]
    place = order[np.searchsorted(keys, events.rows * num_items + events.items)]
    summed = sparse.csr_matrix((np.ones(len(place)), (place, np.arange(len(place)))), shape=(len(met.items), len(place)))
    return np.asarray(summed @ values, dtype=np.float32)


def beside_reference(items: np.ndarray, num_items: int, most: int = REFERENCE) -> np.ndarray:
    """Items asked about [n, k], and behind them in each row those that stand for the catalogue, int [n, k + reference].

    They are always the same, and all there are where these are at most `most`.
    """
    others = np.arange(num_items)
    if num_items > most:
        others = np.sort(np.random.default_rng(num_items).choice(num_items, most, replace=False))
    return np.concatenate([items, np.broadcast_to(others, (len(items), len(others)))], axis=1)


def _recency_weights(weights: sparse.csr_matrix, met: Histories) -> np.ndarray:
    """Weights of a sparse matrix [n, num_items] by item met, float32 [met]."""
    weights.sort_indices()
    found = np.zeros(len(met.items), dtype=np.float32)
    found[met_order(met, weights.shape[1])] = weights.data
    return found


def _item_to_item(model: ItemCF | Ease, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    num_items = model.weights.shape[0]
    own = _recency_weights(histories.by_recency(num_items, model.recency), met)
    pairs = model.weights[met.items[:, None], items[met.rows]]
    to_items = pairs.toarray() if sparse.issparse(pairs) else pairs
    mean = np.asarray(model.weights.mean(axis=1)).ravel()
    found: np.ndarray = own[:, None] * (to_items - mean[met.items, None])
    return found.astype(np.float32)


def _user_to_user(model: UserCF, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    num_items = model.met.shape[1]
    own = _recency_weights(unit_rows(histories.by_recency(num_items, model.recency)), met)
    known, shares = unit_rows(model.met), np.asarray(model.met.mean(axis=1))
    found = np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    places = dict(by_user(met))
    for part, nearest, _ in model.nearest(histories):
        for user, near in zip(range(part.start, part.stop), nearest, strict=True):
            whose = places[user]
            liking = model.met[near][:, items[user]].toarray() - shares[near]
            found[whose] = own[whose, None] * (known[near][:, met.items[whose]].T @ liking)
    return found


def _als(model: Als, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    num_items = len(model.factors)
    weights = histories.by_recency(num_items, model.recency)
    weights.sort_indices()
    factors = torch.from_numpy(model.factors).double()
    asked = factors[torch.from_numpy(items.astype(np.int64))] - factors.mean(dim=0)
    places, order = dict(by_user(met)), met_order(met, num_items)
    found = np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    for each in model.equations(weights):
        solved = torch.cholesky_solve(asked[torch.from_numpy(each.rows)].mT, each.factor)
        values = (each.right @ solved).numpy()
        for user, own in zip(each.rows, values, strict=True):
            whose = order[places[user]]
            found[whose] = own[: len(whose)]
    return found


def _content(model: Content, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    weights = np.exp2(-histories.ago / model.half_life)
    mean, values = model.vectors.mean(axis=0), np.zeros((len(histories.items), items.shape[1]))
    for user, whose in by_user(histories):
        told = model.vectors[histories.items[whose]] * weights[whose, None]
        length = max(float(np.linalg.norm(told.sum(axis=0))), 1e-12)
        values[whose] = told @ (model.vectors[items[user]] - mean).T / length
    return by_item(histories, values, met, len(model.vectors))


@torch.inference_mode()
def _two_tower(model: TwoTower, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    network, recipe = model.network.eval(), model.recipe
    num_items, short = len(network.met), histories.last(recipe.max_length)
    every = torch.arange(num_items)
    rows, vectors = network.rows(every).numpy(), network.item(every)
    asked = ((vectors - vectors.mean(dim=0)) / recipe.temperature).numpy()
    lengths = network.before_unit(short).norm(dim=1).clamp(min=1e-12).numpy()
    values = np.zeros((len(short.items), items.shape[1]))
    parts = network.history.weight[:, : len(recipe.half_lives) * recipe.dims].numpy().reshape(recipe.dims, -1, recipe.dims)
    for user, whose in by_user(short):
        told = rows[short.items[whose]]
        for half_life, part in zip(recipe.half_lives, parts.transpose(1, 0, 2), strict=True):
            share = np.exp2(-short.ago[whose] / half_life)
            share = share / max(share.sum(), 1e-12) / lengths[user]
            values[whose] += share[:, None] * (told @ part.T @ asked[items[user]].T)
    return by_item(short, values, met, num_items)


@torch.inference_mode()
def _attention(model: Attention, histories: Histories, met: Histories, items: np.ndarray) -> np.ndarray:
    network, length = model.network.eval(), model.recipe.max_length
    table, short = network.items(), histories.last(length)
    k, asked = items.shape[1], beside_reference(items, len(table))
    parts, at_once = [], max(1, CELLS_AT_ONCE // (asked.shape[1] * (length + 1)))
    for users, part in short.parts(at_once):
        after = torch.from_numpy(part.lengths[:, None] - np.arange(length + 1))
        history = network.history(torch.from_numpy(part.padded(length, len(table))), table)
        wanted = looked_up(torch.from_numpy(asked[users].astype(np.int64)), table)
        looks, says = network.pairs(history, wanted)
        looks = looks * network.fades(after).unsqueeze(-1)
        terms = network.divided(looks * says, looks.sum(dim=1, keepdim=True))[:, 1:]
        own = terms[torch.arange(length) < torch.from_numpy(part.lengths)[:, None]]
        parts.append((own[:, :k] - own[:, k:].mean(dim=1, keepdim=True)).numpy())
    return by_item(short, np.concatenate(parts) if parts else np.zeros((0, k)), met, len(table))


ADDITIVE: dict[type[Recommender], Contribute] = {
    ItemCF: _item_to_item,
    Ease: _item_to_item,
    UserCF: _user_to_user,
    Als: _als,
    Content: _content,
    TwoTower: _two_tower,
    Attention: _attention,
}
