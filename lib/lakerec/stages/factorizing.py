"""Implicit alternating least squares by Spark's MLlib; what it fits scores without Spark (`lakerec.models.factors`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lakerec.columns import Columns as C
from lakerec.lake.platform import slots
from lakerec.models.data import TrainingData
from lakerec.models.factors import Als
from lakerec.models.popular import popularity
from lakerec.training_config import AlsConfig
from lakerec.vectors import block

if TYPE_CHECKING:
    from pyspark.ml.recommendation import ALSModel
    from pyspark.sql import SparkSession

INTERACTIONS_A_BLOCK = 50_000
"""Fewer than that are not worth a task: an iteration exchanges factors between all blocks."""
ITERATIONS_A_CHECKPOINT = 5
"""Spark serializes what factors were worked out of by recursion: 15 iterations of it were seen to overflow Java's stack."""


def fit_als(
    spark: SparkSession, data: TrainingData, config: AlsConfig, scratch: Path, half_life_days: float = 0.0, seed: int = 1
) -> Als:
    """Item factors from the histories.

    Args:
        scratch: folder that driver and executors share, for checkpoints.
        half_life_days: days after which an interaction counts half; 0: never.
    """
    fitted = factorized(spark, data, config, scratch, half_life_days, seed)
    table = fitted.itemFactors.toArrow()
    factors = np.zeros((data.num_items, config.factors), dtype=np.float32)
    factors[table["id"].to_numpy()] = block(table["features"])
    return Als(factors, config.regularization, config.alpha, popularity(data.histories, data.num_items))


def factorized(
    spark: SparkSession, data: TrainingData, config: AlsConfig, scratch: Path, half_life_days: float = 0.0, seed: int = 1
) -> ALSModel:
    """MLlib's model; a user's id in it is the number of their history."""
    from pyspark.ml.recommendation import ALS

    met = data.histories.matrix(data.num_items, half_life_days).tocoo()
    rows = pd.DataFrame({C.USER: met.row.astype(np.int32), C.ITEM: met.col.astype(np.int32), C.WEIGHT: met.data})
    blocks = max(1, min(slots(spark), met.nnz // INTERACTIONS_A_BLOCK))
    spark.sparkContext.setCheckpointDir((scratch / "factors").absolute().as_uri())
    als = ALS(
        rank=config.factors, maxIter=config.iterations, regParam=config.regularization, alpha=config.alpha,
        implicitPrefs=True, numUserBlocks=blocks, numItemBlocks=blocks, seed=seed,
        checkpointInterval=ITERATIONS_A_CHECKPOINT, userCol=C.USER, itemCol=C.ITEM, ratingCol=C.WEIGHT,
    )  # fmt: skip
    return als.fit(spark.createDataFrame(rows).coalesce(blocks))
