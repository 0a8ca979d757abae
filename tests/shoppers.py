"""Customers who walk through two kinds of a small shop's goods in turns, and a model of every kind fitted to them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from lakerec.columns import Models
from lakerec.models import catalog
from lakerec.models.blend import Blend
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.factors import Als
from lakerec.models.popular import popularity
from lakerec.models.protocol import Recommender
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.windows import windows
from lakerec.training.batches import WindowBatches
from lakerec.training.loop import Recipe, fit_sequence
from lakerec.training_config import TrainConfig

KINDS, SIZE, STEPS = 4, 8, 9
ITEMS = KINDS * SIZE
SHAPE = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=0.0, text_dims=8, times=True)
CONFIG = TrainConfig(
    seeds=[3],
    history_half_life=6.0,
    two_tower={"dims": 16, "half_lives": [1.0, 4.0], "max_length": 7, "epochs": 6, "batch_size": 128, "negatives": 16},
    mult_vae={"epochs": 30, "batch_size": 32, "latent": 8, "hidden": 32},
    attention={"dims": 16, "max_length": 7, "epochs": 8, "batch_size": 32, "learning_rate": 1e-2},
    behaviour={"dims": 16, "width": 32, "max_length": 7, "epochs": 6, "batch_size": 128, "learning_rate": 1e-2},
)
FITTED = tuple(name for name in Models.ALL if name != Models.DISTILLED)


def kind(items: np.ndarray) -> np.ndarray:
    """Of each item."""
    return items // SIZE


def shoppers(count: int, seed: int, steps: int = STEPS) -> Histories:
    """Each walks through two kinds, one good after the other, a day or more between two; the last may be bought again."""
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(count):
        kinds, at = rng.choice(KINDS, 2, replace=False), rng.integers(0, SIZE, 2)
        row = []
        for step in range(steps):
            which = rng.integers(0, 2)
            row.append(int(kinds[which] * SIZE + at[which] % SIZE))
            at[which] += step % 4 != 3
        items.append(row)
    return Histories.from_lists(items, (DAY * np.sort(rng.integers(0, 90, (count, steps)), axis=1)).tolist())


@cache
def data() -> TrainingData:
    rng = np.random.default_rng(5)
    taste = np.repeat(rng.normal(size=(KINDS, 12)), SIZE, axis=0) + 0.5 * rng.normal(size=(ITEMS, 12))
    vectors = (taste / np.linalg.norm(taste, axis=1, keepdims=True)).astype(np.float32)
    return TrainingData(shoppers(150, 1), ITEMS, vectors)


@cache
def fitted(name: str) -> Recommender:
    """A model as the train stage fits it, but that als has factors of a singular value decomposition."""
    known = data()
    if name == Models.ALS:
        _, values, right = np.linalg.svd(known.histories.matrix(ITEMS).toarray(), full_matrices=False)
        factors = (right[:8].T * np.sqrt(values[:8]) / 4).astype(np.float32)
        return Als(factors, 0.1, 10.0, popularity(known.histories, ITEMS), catalog.recency_of(CONFIG))
    if name == Models.SEQUENCE:
        model, own = Sequence.fresh(SHAPE, known, seed=3), known.histories
        torch.manual_seed(3)
        blocks = windows(own.offsets, own.items, SHAPE.max_length + 1, ITEMS, own.times)
        fit_sequence(
            model.network, WindowBatches(blocks, ITEMS, 32, 3), Recipe(epochs=12, learning_rate=1e-2, averaging=0.9)
        )
        return model
    if name == Models.BLEND:
        weights = {Models.EASE: 1.0, Models.SEQUENCE: 0.7, Models.CONTENT: 0.1}
        return Blend([fitted(member) for member in weights], weights)
    model = catalog.build(name, CONFIG)
    model.fit(known)
    return model
