"""The vectors that the model which serves understands: those of its own encoder, of items that came after it too.

After a rollback that is not the encoder of today: then gold/item_vectors is read as the model's train run read it, which
`lakerec maintain` keeps for the model that serves and the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.stages import arrays, starting
from lakerec.stages.base import Context, Inputs
from lakerec.stages.evaluate import TRAIN_RUN


def its_vectors(context: Context, inputs: Inputs, tags: Mapping[str, str], num_items: int) -> np.ndarray | None:
    """float32 [num_items, d] by today's index, zero rows where an item has none; None where none are to be had.

    Args:
        tags: of the registered version: its encoder, and the train run that made it.
    """
    encoder = tags.get(starting.ENCODER)
    for version in (inputs.get(Tables.ITEM_VECTORS), _then(context, tags.get(TRAIN_RUN))):
        if version is None:
            continue
        read = {**inputs, Tables.ITEM_VECTORS: version}
        try:
            if starting.encoder_of(context, read) == encoder:
                return arrays.item_vectors(context, read, num_items)
        except (PySparkException, Py4JJavaError):  # its files were removed
            continue
    return None


def _then(context: Context, train_run: str | None) -> int | None:
    """The version of gold/item_vectors that a train run read."""
    run = context.lake.read(Tables.RUNS).where(F.col(C.RUN_ID) == F.lit(train_run)).first()
    return None if run is None else run.inputs.get(Tables.ITEM_VECTORS)
