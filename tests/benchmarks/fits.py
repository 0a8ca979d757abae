"""Fits of the sequence model on arrays, as a rank of the train stage fits it on files; for benchmarks of its training."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from lakerec.models.data import Histories, Holdout
from lakerec.models.sequence import Sequence
from lakerec.models.windows import hold_new, windows
from lakerec.training.batches import WindowBatches, items_in
from lakerec.training.fit import validation_value, varied
from lakerec.training.loop import Recipe, fit_sequence
from lakerec.training.state import Fit
from lakerec.training_config import TrainConfig

from tests.benchmarks.common import parser_of


def parser_with_seeds(doc: str | None) -> argparse.ArgumentParser:
    """That of `parser_of`, and the seeds of the fits."""
    parser = parser_of(doc)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    return parser


def fit_on(
    model: Sequence, known: Histories, valid: Holdout | None, config: TrainConfig, recipe: Recipe, seed: int,
    stop: int | None = None, seen: Histories | None = None,
) -> tuple[Fit, int]:  # fmt: skip
    """Fit a model on histories; gives what came of it and how many steps it took.

    Args:
        valid: early stop by these; None: `stop` epochs.
        seen: histories that the model learned before, which it goes on from; None: it is fresh.
    """
    shape, pad = model.shape, model.network.num_items
    width = shape.max_length + 1
    blocks = windows(known.offsets, known.items, width, pad, known.times if shape.times else None)
    met, new = items_in(blocks[:, :width], pad), None
    if seen is not None:
        met |= model.network.met.numpy()[:, 0].astype(bool)
        new = hold_new(known.offsets, width, seen.lengths)
    model.network.mark_met(met)
    batches = WindowBatches(blocks, pad, config.batch_size, seed, new=new, replay=config.replay)
    torch.manual_seed(seed * 1000)

    def value(network: Any) -> float:
        return validation_value(Sequence.of(shape, network), valid, pad)  # type: ignore[arg-type]

    changed = varied(batches, model, recipe.augment, config.batch_size, seed)
    fit = fit_sequence(model.network, changed, recipe, value if valid else None, stop, seed=seed, fitted=seen is not None)
    return fit, len(fit.curve) * batches.steps_per_epoch
