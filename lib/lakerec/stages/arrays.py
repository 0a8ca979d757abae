"""Gold tables as the arrays that models take, through Arrow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import EmptyDataError
from lakerec.models.data import Histories, Holdout, new_targets
from lakerec.stages.base import Context, Inputs
from lakerec.vectors import block


@dataclass(frozen=True)
class Users:
    """Histories with their owners."""

    ids: np.ndarray
    """External user ids, object [n]."""
    histories: Histories


def item_ids(context: Context, inputs: Inputs) -> np.ndarray:
    """External ids by dense index, object [num_items]."""
    table = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX)).orderBy(C.ITEM).toArrow()
    ids: np.ndarray = table[C.ITEM_ID].to_numpy()
    return ids


def renumbering(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """For each external id of one index its dense index in another, -1 where that has none; int64 [len(old)]."""
    place = {name: number for number, name in enumerate(new)}
    return np.array([place.get(name, -1) for name in old], dtype=np.int64)


def item_vectors(context: Context, inputs: Inputs, num_items: int) -> np.ndarray | None:
    """float32 [num_items, d] by dense index, zero rows where an item has none; None before embed ran."""
    vectors = context.lake.read(Tables.ITEM_VECTORS, inputs.get(Tables.ITEM_VECTORS))
    index = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX))
    found = by_index(vectors.join(index, on=C.ITEM_ID, how="inner"), num_items)
    return found if found.shape[1] else None


def by_index(vectors: DataFrame, num_items: int) -> np.ndarray:
    """Rows (item, vector) as float32 [num_items, d], zero where an item has none; [num_items, 0] where none has."""
    table = vectors.select(C.ITEM, C.VECTOR).toArrow()
    if not len(table):
        return np.zeros((num_items, 0), dtype=np.float32)
    rows = block(table[C.VECTOR])
    whole = np.zeros((num_items, rows.shape[1]), dtype=np.float32)
    whole[table[C.ITEM].to_numpy()] = rows
    return whole


def descriptions(context: Context, inputs: Inputs) -> tuple[list[str], list[list[str]]]:
    """Title and categories of every item, by dense index."""
    items = context.lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS))
    index = context.lake.read(Tables.ITEM_INDEX, inputs.get(Tables.ITEM_INDEX))
    table = index.join(items, on=C.ITEM_ID, how="left").orderBy(C.ITEM).select(C.TITLE, C.CATEGORIES, C.ITEM_ID)
    rows = table.collect()
    return [row[C.TITLE] or row[C.ITEM_ID] for row in rows], [list(row[C.CATEGORIES] or []) for row in rows]


def known_until(context: Context, inputs: Inputs, until: str) -> Users:
    """Every user's history up to and including a split, ordered by user index."""
    return _users(rows_until(context, inputs, until), F.col(C.ITEMS), F.col(C.TIMES))


def rows_until(context: Context, inputs: Inputs, until: str) -> DataFrame:
    """The same as rows: user_id, user, items, times."""
    allowed = splits_until(until)
    is_last = F.col(C.SPLIT).isin(allowed) & (F.col(C.NEXT_SPLIT).isNull() | ~F.col(C.NEXT_SPLIT).isin(allowed))
    whole = (F.concat(C.PAST, C.ITEMS).alias(C.ITEMS), F.concat(C.PAST_TIMES, C.TIMES).alias(C.TIMES))
    return sequences(context, inputs).where(is_last).select(C.USER_ID, C.USER, *whole)


def splits_until(until: str) -> list[str]:
    """A split and those before it."""
    return list(Splits.ALL[: Splits.ALL.index(until) + 1])


def digest(version: int, *parts: Histories | np.ndarray) -> str:
    """Of what is read, and of the version of gold/sequences that it is of, whose numbers begin anew with a new table."""
    found = hashlib.sha256(str(version).encode())
    for part in parts:
        for each in (part.offsets, part.items, part.times) if isinstance(part, Histories) else (part,):
            found.update(np.ascontiguousarray(each).ravel().data)
    return found.hexdigest()[:16]


def holdout(context: Context, inputs: Inputs, split: str, most: int | None = None) -> tuple[np.ndarray, Holdout]:
    """Users of a split, their history before it, and its items that are new to them.

    Args:
        most: at most so many users, chosen by a digest of their id.

    Raises:
        EmptyDataError: nobody has such a target.
    """
    rows = sequences(context, inputs).where(F.col(C.SPLIT) == split)
    if most is not None:
        rows = rows.orderBy(F.xxhash64(C.USER_ID), C.USER_ID).limit(most)
    rows = rows.localCheckpoint() if most is not None else rows
    before = _users(rows, F.col(C.PAST), F.col(C.PAST_TIMES))
    after = _users(rows, F.col(C.ITEMS), F.col(C.TIMES))
    kept, found = new_targets(before.histories, after.histories, len(item_ids(context, inputs)))
    if not len(kept):
        raise EmptyDataError(
            f"gold/sequences: no user of the {split} split has an item that is new to them; another split.protocol may fit"
        )
    return before.ids[kept], found


def sequences(context: Context, inputs: Inputs) -> DataFrame:
    """Rows of gold/sequences."""
    return context.lake.read(Tables.SEQUENCES, inputs.get(Tables.SEQUENCES))


def _users(rows: DataFrame, items: F.Column, times: F.Column) -> Users:
    table = rows.select(C.USER_ID, C.USER, items.alias(C.ITEMS), times.alias(C.TIMES)).orderBy(C.USER).toArrow()
    lists = [table[name].combine_chunks() for name in (C.ITEMS, C.TIMES)]
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in lists]
    lengths = pa.compute.list_value_length(lists[0]).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    histories = Histories(offsets, flat[0].astype(np.int32), flat[1].astype(np.int64))
    return Users(table[C.USER_ID].to_numpy(zero_copy_only=False), histories)
