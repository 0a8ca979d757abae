"""The k-core of the interactions: what is left when users and items with too few others are taken away, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROUNDS = 100
"""Real logs are stable after fewer than twenty."""


def k_core(interactions: DataFrame, k_user: int, k_item: int) -> DataFrame:
    """Rows whose user keeps at least `k_user` distinct items and whose item at least `k_item` distinct users.

    Works on distinct pairs, which a local checkpoint a round keeps from growing a plan; equal to taking away one user or
    item at a time in any order (Seidman 1983). Rows without a user are left out.

    Raises:
        ConfigError: it did not settle within a hundred rounds.
    """
    known = interactions.where(F.col(C.USER_ID).isNotNull())
    if k_user <= 1 and k_item <= 1:
        return known
    pairs = known.select(C.USER_ID, C.ITEM_ID).distinct().localCheckpoint()
    before = pairs.count()
    for _ in range(ROUNDS):
        pairs = _frequent(_frequent(pairs, C.USER_ID, k_user), C.ITEM_ID, k_item).localCheckpoint()
        left = pairs.count()
        if left == before:
            users, items = (pairs.select(key).distinct() for key in (C.USER_ID, C.ITEM_ID))
            core = known.join(users, on=C.USER_ID, how="left_semi").join(items, on=C.ITEM_ID, how="left_semi")
            return core.select(*interactions.columns)
        before = left
    raise ConfigError(f"features.k_core: no core of {k_user} and {k_item} after {ROUNDS} rounds; choose smaller numbers")


def _frequent(pairs: DataFrame, key: str, least: int) -> DataFrame:
    """Pairs whose key occurs in at least as many."""
    counted = pairs.groupBy(key).agg(F.count("*").alias("_count"))
    return pairs.join(counted.where(F.col("_count") >= least).select(key), on=key, how="left_semi")
