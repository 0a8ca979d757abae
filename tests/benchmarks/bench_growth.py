"""The sequence model on a log that has grown: from scratch, and from the models of the log as it was.

    the first `--share` of all events → fits on train and on train + valid (the last run)
    all events, last one of each user held out → from scratch | train.start: last, both judged on the same users

`lakerec run --conf …` up to embed comes first: the lake's gold tables are read. Seconds are the processor's.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lakerec.columns import Splits
from lakerec.config import Config
from lakerec.loading import load_config
from lakerec.models.catalog import shape_of
from lakerec.models.data import Histories, Holdout, TrainingData, new_targets
from lakerec.models.sequence import Sequence
from lakerec.stages import arrays, pipeline
from lakerec.training.fit import validation_value
from lakerec.training.loop import recipe_of

from tests.benchmarks.fits import fit_on, parser_with_seeds


@dataclass(frozen=True)
class Log:
    """Leave last out; history n is the same user's in all of them."""

    train: Histories
    both: Histories
    valid: Holdout
    test: Holdout

    @classmethod
    def of(cls, whole: Histories, num_items: int) -> Log:
        lengths = np.repeat(whole.lengths, whole.lengths)
        left = np.repeat(whole.offsets[1:], whole.lengths) - np.arange(len(whole.items))
        held = np.where((left <= 2) & (lengths > 2), 3 - left, 0)
        train, both = chosen(whole, held == 0), chosen(whole, held <= 1)
        found = [held_out(known, chosen(whole, held == part), num_items) for part, known in ((1, train), (2, both))]
        return cls(train, both, *found)


def chosen(whole: Histories, kept: np.ndarray) -> Histories:
    lengths = np.bincount(whole.rows[kept], minlength=len(whole))
    return Histories(np.concatenate([[0], np.cumsum(lengths)]), whole.items[kept], whole.times[kept])


def held_out(known: Histories, targets: Histories, num_items: int) -> Holdout:
    users = np.flatnonzero(targets.lengths)
    return new_targets(known.take(users), targets.take(users), num_items)[1]


class Fitting:
    """Fits of one seed."""

    def __init__(self, config: Config, num_items: int, vectors: np.ndarray | None, seed: int) -> None:
        self.config, self.num_items, self.vectors, self.seed = config.train, num_items, vectors, seed
        self.shape, self.recipe = shape_of(config.train), recipe_of(config.train, num_items)

    def both(self, log: Log, starts: tuple[Sequence, Sequence] | None = None, seen: Log | None = None) -> dict[str, Any]:
        """On train with early stop, then on train + valid, as the train stage does."""
        began, one = time.process_time(), starts[0] if starts else None
        first, fit, steps = self._fit(log.train, log.valid, None, one, seen and seen.train)
        final, _, more = self._fit(log.both, None, fit.best_epoch, starts[1] if starts else None, seen and seen.both)
        seconds = time.process_time() - began
        return {
            "models": (first, final), "valid": fit.best_value, "start_value": fit.start_value, "epochs": fit.best_epoch,
            "test": validation_value(final, log.test, self.num_items), "seconds": seconds, "steps": steps + more,
        }  # fmt: skip

    def _fit(self, known: Histories, valid: Holdout | None, stop: int | None, start: Sequence | None, seen: Any) -> Any:
        data, recipe = TrainingData(known, self.num_items, self.vectors), self.recipe
        model = Sequence.grown(start, self.shape, data, self.seed) if start else Sequence.fresh(self.shape, data, self.seed)
        if start:
            recipe = replace(recipe, learning_rate=self.config.start_rate * recipe.learning_rate)
        return model, *fit_on(model, known, valid, self.config, recipe, self.seed, stop, seen if start else None)


def main() -> None:
    parser = parser_with_seeds(__doc__)
    parser.add_argument("--share", type=float, default=0.8, help="of all events, that were there before")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(asked.conf, asked.overrides)
    with pipeline.opened(config) as context:
        num_items = len(arrays.item_ids(context, {}))
        vectors = arrays.item_vectors(context, {}, num_items)
        whole = arrays.known_until(context, {}, Splits.TEST).histories
    before = Log.of(chosen(whole, whole.times <= np.quantile(whole.times, asked.share)), num_items)
    now = Log.of(whole, num_items)
    for seed in asked.seeds:
        fitting = Fitting(config, num_items, vectors, seed)
        last = fitting.both(before)
        for name, found in (("scratch", fitting.both(now)), ("last", fitting.both(now, last["models"], before))):
            figures = {key: value for key, value in found.items() if key != "models"}
            print(json.dumps({"seed": seed, "start": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
