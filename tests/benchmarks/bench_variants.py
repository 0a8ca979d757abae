"""Ways to vary the sequence model's training, each judged on validation: none is a default that does not help there.

    crop, mask, reorder, swap (train.augment), and a worst step of items' vectors (train.adversarial) | none of them
    → fits on train with early stop, the same seeds → validation NDCG@10 at the best epoch

`lakerec run --conf …` up to embed comes first: the lake's gold tables are read, the test split is not. Seconds are the
processor's, of one thread.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import torch
from lakerec.columns import Splits
from lakerec.loading import load_config
from lakerec.models.catalog import shape_of
from lakerec.models.data import Holdout, TrainingData
from lakerec.models.sequence import Sequence
from lakerec.stages import arrays, pipeline
from lakerec.stages.train import validation_users
from lakerec.training.loop import recipe_of
from lakerec.training_config import TrainConfig

from tests.benchmarks.fits import fit_on, parser_with_seeds

VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    **{kind: {"augment": [kind]} for kind in ("crop", "mask", "reorder", "swap")},
    **{f"adversarial {length}": {"adversarial": length} for length in (0.1, 0.5)},
}


def fitted(data: TrainingData, valid: Holdout, config: TrainConfig, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Validation NDCG@10 of a fit on train at its best epoch."""
    began, model = time.process_time(), Sequence.fresh(shape_of(config), data, seed)
    recipe = replace(recipe_of(config, data.num_items), **more)
    done, _ = fit_on(model, data.histories, valid, config, recipe, seed)
    return {"valid": done.best_value, "epochs": done.best_epoch, "seconds": round(time.process_time() - began)}


def main() -> None:
    asked = parser_with_seeds(__doc__).parse_args()
    torch.set_num_threads(1)
    config = load_config(asked.conf, asked.overrides)
    with pipeline.opened(config) as context:
        num_items = len(arrays.item_ids(context, {}))
        known = arrays.known_until(context, {}, Splits.TRAIN).histories
        data = TrainingData(known, num_items, arrays.item_vectors(context, {}, num_items))
        valid = arrays.holdout(context, {}, Splits.VALID, validation_users(config.train, num_items))[1]
    for seed in asked.seeds:
        for name, more in VARIANTS.items():
            print(json.dumps({"variant": name, "seed": seed, **fitted(data, valid, config.train, seed, more)}), flush=True)


if __name__ == "__main__":
    main()
