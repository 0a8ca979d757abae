"""How well the lists are, on MovieLens-100K with each user's last event held out and the whole catalogue ranked.

The pipeline runs as `make demo` runs it, in a lake of its own. Ours: the model that validation likes best, its test
NDCG@10 averaged over the configured seeds. Peer: EASE on the same split, its regularization chosen on validation from a
grid, fitted on train + valid like ours. EASE and item-CF are this project's own implementations; what other people's
code reaches on the same split stands in docs/benchmarks.md. The file also holds every model's value, each seed's, and
item-CF's ratio.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from lakerec.columns import Models, Splits, Tables
from lakerec.loading import load_config
from lakerec.models.data import Holdout, TrainingData
from lakerec.models.linear import Ease
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.stages import arrays, pipeline
from lakerec.stages.base import Context, last_run
from lakerec.stages.promote import best_by_validation

from tests.benchmarks.common import write

GRID = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
K = 10
STAGES = ("ingest", "clean", "featurize", "embed", "train", "evaluate")


def ndcg(model: Ease, holdout: Holdout) -> float:
    return mean_ndcg(mask_seen(model.score(holdout.histories), holdout.histories), holdout.targets, K)


def fitted(context: Context, until: str, num_items: int, regularization: float) -> Ease:
    model = Ease(regularization=regularization)
    model.fit(TrainingData(arrays.known_until(context, {}, until).histories, num_items))
    return model


def tuned_ease(context: Context) -> dict[str, Any]:
    """Regularization by validation NDCG@10, and the refitted model's test NDCG@10."""
    size = len(arrays.item_ids(context, {}))
    valid, test = (arrays.holdout(context, {}, split)[1] for split in (Splits.VALID, Splits.TEST))
    tried = {value: ndcg(fitted(context, Splits.TRAIN, size, value), valid) for value in GRID}
    best = max(tried, key=tried.__getitem__)
    return {"regularization": best, "valid": tried, "ndcg": ndcg(fitted(context, Splits.VALID, size, best), test)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conf", default="conf/demo.yaml")
    parser.add_argument("--dataset", default="ml100k")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [f"lake.root={folder}/lake", f"tracking.uri=sqlite:///{folder}/mlflow.db", "evaluate.k=[10]"]
        config = load_config(asked.conf, [*places, *asked.overrides])
        with pipeline.opened(config) as context:
            pipeline.run(context, STAGES)
            trained = last_run(context.lake, "train")
            assert trained is not None
            best = best_by_validation(dict(trained.details))
            rows = context.lake.read(Tables.METRICS).where(f"metric = 'ndcg' and k = {K}").collect()
            ease = tuned_ease(context)
    models = {row.model: row.value for row in rows if row.slice == "all"} | {"ease_tuned": ease["ndcg"]}
    means = {row.model: row.value for row in rows if row.slice == "seeds"}
    seeds: dict[str, list[float]] = {model: [] for model in means}
    for row in sorted((row for row in rows if row.slice.startswith("seed_")), key=lambda row: row.slice):
        seeds[row.model].append(row.value)
    ours = means.get(best, models[best])
    more: dict[str, Any] = {
        "best_by_validation": best, "models_first_seed": models, "mean_over_seeds": means, "seeds": seeds,
        "ratio_item_cf": ours / models[Models.ITEM_CF], "ease_tuned": ease,
        "test_users": next(row.n for row in rows if row.slice == "all"),
    }  # fmt: skip
    packages = ["torch", "numpy", "scipy", "pyspark"]
    write(
        f"quality_{asked.dataset}_{config.split.protocol}",
        ours,
        max(models[Models.EASE], ease["ndcg"]),
        f"ndcg@{K}",
        packages,
        **more,
    )


if __name__ == "__main__":
    main()
