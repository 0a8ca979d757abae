"""Every user's figures out of eval/predictions, in Spark: for lists that are too many for one machine.

    eval/predictions ⋈ item_index ─► lists [depth] ─┐
    gold/sequences, test: items less past ─ targets ┴─ mapInArrow: evaluation.lists.user_figures ─► a row a model and user

The numbers are those of `lakerec.stages.evaluate`, by the same functions; a test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.evaluation.lists import user_figures
from lakerec.evaluation.metrics import PER_USER
from lakerec.models.data import Histories
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs

TARGETS = "targets"


def figures(context: Context, inputs: Inputs, run_id: str, ks: Sequence[int]) -> DataFrame:
    """Rows model, user_id, and a double `<metric>_at_<k>` for each metric of `PER_USER`; one for each model and test user.

    A test user of whom a model made no list has zeros.

    Args:
        run_id: the run of evaluate whose lists are judged.
    """
    lake = context.lake
    index = lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX))
    shown = lake.read(Tables.PREDICTIONS).where((F.col(C.RUN_ID) == run_id) & (F.col(C.RANK) <= max(ks)))
    ranked = F.array_sort(F.collect_list(F.struct(C.RANK, C.ITEM)))
    lists = shown.join(index, on=C.ITEM_ID).groupBy(C.MODEL, C.USER_ID).agg(ranked.alias(C.ITEMS))
    lists = lists.withColumn(C.ITEMS, F.transform(C.ITEMS, lambda each: each[C.ITEM]))
    tests = arrays.sequences(context, inputs).where(F.col(C.SPLIT) == Splits.TEST)
    targets = tests.select(C.USER_ID, F.array_except(C.ITEMS, C.PAST).alias(TARGETS)).where(F.size(TARGETS) > 0)
    asked = targets.crossJoin(F.broadcast(shown.select(C.MODEL).distinct()))
    whole = asked.join(lists, on=[C.MODEL, C.USER_ID], how="left").select(
        C.MODEL, C.USER_ID, F.coalesce(C.ITEMS, F.array().cast("array<int>")).alias(C.ITEMS), TARGETS
    )
    names = [f"{metric}_at_{k}" for k in ks for metric in PER_USER]
    schema = ", ".join([f"{C.MODEL} string", f"{C.USER_ID} string", *(f"{name} double" for name in names)])
    return whole.mapInArrow(_judged(index.count(), list(ks)), schema)


def _judged(num_items: int, ks: list[int]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: figures of the lists of each batch."""

    def judged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists, targets = (_histories(batch[name]) for name in (C.ITEMS, TARGETS))
            found = user_figures(lists.padded(max(ks), -1), targets.offsets, targets.items, num_items, ks)
            columns = {f"{metric}_at_{k}": values for (_, metric, k), values in found.items()}
            yield pa.RecordBatch.from_pydict({C.MODEL: batch[C.MODEL], C.USER_ID: batch[C.USER_ID], **columns})

    return judged


def _histories(column: pa.ListArray) -> Histories:
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    items = column.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    return Histories(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items, np.zeros(len(items), np.int64))
