"""Which test users and which items are in which slice, and what is known of the catalogue before the test.

gold/sequences (train + valid) ─► lengths, first events, events an item, popularity
silver/items                   ─► the category that most of a user's newest items have
gold/portraits                 ─► segments, where profile tells them: of all events, so they say whom a figure is of, and
                                  no model learns from them
silver/users                   ─► attributes named by evaluate.groups
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import ConfigError, nearest
from lakerec.evaluation import slices
from lakerec.evaluation.beyond import Catalogue
from lakerec.models.cold import cold_items
from lakerec.models.data import Histories, Holdout
from lakerec.models.slices import Categories
from lakerec.stages.base import Context, Inputs
from lakerec.vectors import unit

CELLS_AT_ONCE = 4_000_000
"""Of users × categories: 16 MB."""


@dataclass(frozen=True)
class Slices:
    """Of n test users, and of the items; names as in eval/metrics."""

    users: dict[str, np.ndarray]
    """bool [n]."""
    groups: dict[str, dict[str, np.ndarray]]
    """By kind, bool [n]; the groups of a kind have no user in common."""
    items: dict[str, np.ndarray]
    """bool [num_items]."""

    @property
    def of_users(self) -> dict[str, np.ndarray]:
        """The groups among the other slices of users."""
        found = dict(self.users)
        for groups in self.groups.values():
            found |= groups
        return found


def slices_of(
    context: Context, inputs: Inputs, users: np.ndarray, holdout: Holdout, known: Histories, categories: Categories
) -> Slices:
    """All slices of the test.

    Args:
        users: external ids of the holdout's users, object [n].
        known: every user's history before the test.

    Raises:
        ConfigError: evaluate.groups names what no user has.
    """
    histories, num_items = holdout.histories, categories.items.shape[0]
    firsts = np.append(histories.times, 0)[histories.offsets[:-1]]
    cold = np.isin(np.arange(num_items), cold_items(known, num_items))
    named = dict(_told_groups(context, inputs)) | declared_groups(context, inputs)
    groups = {kind: slices.by_group(kind, _in_order(rows, users)) for kind, rows in named.items()}
    return Slices(
        users=slices.by_history(histories.lengths, firsts, int(known.times.max(initial=0))),
        groups={"category": slices.by_group("category", _category_names(categories, histories)), **groups},
        items={slices.COLD_ITEMS: cold, **slices.by_popularity(np.bincount(known.items, minlength=num_items))},
    )


def catalogue_of(known: Histories, vectors: np.ndarray | None, categories: Categories) -> Catalogue:
    """What metrics beyond accuracy need; items are alike by their vectors, and where there are none by their categories.

    Args:
        vectors: float32 [num_items, d]. Of categories, the cosine is the common ones over the root of the product of both
            numbers (Ochiai).
    """
    popularity = known.matrix(categories.items.shape[0]).getnnz(axis=0)
    alike = unit(vectors) if vectors is not None else _unit_rows(categories.items) if categories.names else None
    return Catalogue(popularity, int((known.lengths > 0).sum()), alike)


def mean_popularity(histories: Histories, catalogue: Catalogue) -> np.ndarray:
    """Of the items that each user met, float64 [n]; NaN for a stranger."""
    met = histories.matrix(len(catalogue)).astype(np.float64)
    counts = met.getnnz(axis=1)
    return np.divide(met @ catalogue.popularity, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _unit_rows(items: sparse.csr_matrix) -> sparse.csr_matrix:
    counts = np.maximum(1, items.getnnz(axis=1))
    return sparse.csr_matrix(sparse.diags(counts**-0.5) @ items)


def _category_names(categories: Categories, histories: Histories) -> np.ndarray:
    """Of each history, object [n]; None where there is none."""
    at_once = max(1, CELLS_AT_ONCE // max(1, len(categories.names)))
    found = [categories.of(part) for _, part in histories.parts(at_once)]
    names = np.array([*categories.names, None], dtype=object)
    return names[np.concatenate(found)]


def _told_groups(context: Context, inputs: Inputs) -> Iterator[tuple[str, DataFrame]]:
    """Segments, as rows user_id, label."""
    if Tables.PORTRAITS in inputs:
        rows = context.lake.read(Tables.PORTRAITS, inputs[Tables.PORTRAITS])
        yield C.SEGMENT, rows.select(C.USER_ID, F.col(C.SEGMENT).cast("string").alias(C.LABEL))


def declared_groups(context: Context, inputs: Inputs) -> dict[str, DataFrame]:
    """Values of the attributes that the config names, as rows user_id, label.

    Raises:
        ConfigError: no user has one of them.
    """
    wanted, found = context.config.evaluate.groups, {}
    if not wanted:
        return {}
    rows = context.lake.read(Tables.USERS, inputs.get(Tables.USERS))
    names = rows.select(F.explode(F.map_keys(C.ATTRIBUTES)).alias(C.LABEL)).distinct().orderBy(C.LABEL).collect()
    known = [row[C.LABEL] for row in names]
    for name in wanted:
        if name not in known:
            has = f"there are {', '.join(known)}" if known else "which has none; give source.users"
            raise ConfigError(f"evaluate.groups: `{name}` is no attribute of silver/users{nearest(name, known)}: {has}")
        found[name] = rows.select(C.USER_ID, F.col(C.ATTRIBUTES)[name].alias(C.LABEL))
    return found


def _in_order(rows: DataFrame, users: np.ndarray) -> np.ndarray:
    """The label of each user, object [n]; None where there is none."""
    table = rows.where(F.col(C.LABEL).isNotNull()).toArrow()
    labels = dict(zip(table[C.USER_ID].to_pylist(), table[C.LABEL].to_pylist(), strict=True))
    return np.array([labels.get(user) for user in users], dtype=object)
