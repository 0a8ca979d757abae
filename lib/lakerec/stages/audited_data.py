"""Checks of the leakage audit on the data: splits, sequences, statistics as of a time, and what train was given.

events     gold/interactions: under a temporal split no event of train at or after the valid cut, none of valid at or after
           the test cut; by user, none after one of a later split (positions). gold/sequences: items and times of a split are
           those of the interactions, and its past holds earlier splits only. No target is in its user's past.
features   gold/user_stats and gold/item_stats count no event at or after their `knowable_at`, recounted from silver/events;
           the facts that models make of histories (`lakerec.models.moments`) stay as they are when later events go.
models     train read the very versions that are judged on, and the histories up to valid have the digest that it noted.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.evaluation import leakage
from lakerec.evaluation.leakage import Example, Finding, Log
from lakerec.models.data import Histories, new_targets
from lakerec.models.moments import ITEM_FACTS, Moments
from lakerec.stages import arrays, starting
from lakerec.stages.evidence import TEMPORAL, Evidence, first, some, split_number

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STATISTICS = ((Tables.USER_STATS, C.USER_ID), (Tables.ITEM_STATS, C.ITEM_ID))
JUDGED_ON = (Tables.SEQUENCES, Tables.ITEM_INDEX)
"""What both train and evaluate read as events; the others say what items and users are, and may have changed since."""
MOMENT = 0.5
"""Share of a sample's events that are before the moment at which facts are worked out twice."""


def events(evidence: Evidence) -> Finding:
    """That splits are in order, and the sequences that models learn from are those of the splits."""
    log = _log(evidence)
    parts = _beyond_cuts(evidence)
    parts.append((int(leakage.out_of_order(log).sum()), "events that come after one of a later split of their user"))
    unlike = leakage.unlike(log, _examples(evidence))
    parts.append((unlike, "rows of gold/sequences with other events than their split's"))
    parts.append((met_targets(evidence), "targets of test that their user had met before"))
    users = len(np.unique(log.users))
    return leakage.gathered(leakage.EVENTS, len(log.users), parts, f"in order, by all events of {users} users")


def _beyond_cuts(evidence: Evidence) -> list[tuple[int, str]]:
    """Events of all users on the wrong side of a cut; where none was noted, it is where the later split begins."""
    rows, micros = evidence.read(Tables.INTERACTIONS), F.unix_micros(C.EVENT_TIME)
    cuts, temporal = evidence.cuts, evidence.context.config.split.protocol == TEMPORAL
    if cuts is None:
        cuts = _begins(rows, micros) if temporal else {}
    if not cuts:
        return []
    beyond = {split: F.count_if((F.col(C.SPLIT) == split) & (micros >= cut)).alias(split) for split, cut in cuts.items()}
    found = rows.agg(F.count("*"), *beyond.values()).first()
    assert found is not None, "an aggregate has one row"
    return [(found[split], f"{split} rows at or after the cut where it ends") for split in beyond]


def _begins(rows: DataFrame, micros: Column) -> dict[str, int]:
    """For train and valid, when the split after it has its first event, epoch microseconds."""
    found = rows.groupBy(C.SPLIT).agg(F.min(micros).alias("first")).collect()
    begun = {row[C.SPLIT]: row["first"] for row in found}
    return {split: begun[after] for split, after in pairwise(Splits.ALL) if after in begun}


def _log(evidence: Evidence) -> Log:
    """Events of some users."""
    rows = evidence.sampled(evidence.read(Tables.INTERACTIONS), C.USER_ID)
    seconds = F.unix_timestamp(C.EVENT_TIME).alias(C.TIMES)
    table = rows.select(C.USER, C.POSITION, split_number().alias(C.SPLIT), C.ITEM, seconds).toArrow()
    found = {name: table[name].to_numpy().astype(np.int64) for name in table.column_names}
    order = np.lexsort((found[C.POSITION], found[C.USER]))
    return Log(*(found[name][order] for name in (C.USER, C.SPLIT, C.ITEM, C.TIMES)))


def _examples(evidence: Evidence) -> list[Example]:
    """Rows of gold/sequences of the same users."""
    rows = evidence.sampled(evidence.read(Tables.SEQUENCES), C.USER_ID)
    lists = (C.ITEMS, C.TIMES, C.PAST, C.PAST_TIMES)
    table = rows.select(C.USER, split_number().alias(C.SPLIT), *lists).toArrow()
    users, splits = (table[name].to_pylist() for name in (C.USER, C.SPLIT))
    columns = [[each.values.to_numpy() for each in table[name]] for name in lists]
    return [Example(*row) for row in zip(users, splits, *columns, strict=True)]


def met_targets(evidence: Evidence) -> int:
    """Targets as the evaluation finds them that stand in the history which the models are asked about."""
    histories = evidence.whole.histories
    known = first(histories, evidence.lengths)
    _, holdout = new_targets(histories.where(known), histories.where(~known), evidence.num_items)
    met, wanted = (each.matrix(evidence.num_items) for each in (holdout.histories, holdout.targets))
    return int(met.multiply(wanted).nnz)


def features(evidence: Evidence) -> Finding:
    """That statistics hold what was before their moment, and nothing else."""
    checked, parts = [], []
    for table, key in STATISTICS:
        if evidence.context.lake.exists(table):
            early = _early(evidence, table, key)
            checked.append(len(early))
            parts.append((int(early.sum()), f"rows of {table} that count events at or after their knowable_at"))
    facts, changed = changed_facts(evidence.whole.histories.take(some(evidence.whole.histories, 1)), evidence.num_items)
    parts.append((changed, "facts of items as of a moment that later events change"))
    told = f"{sum(checked)} rows of statistics and {facts} facts of items hold what was before them"
    return leakage.gathered(leakage.FEATURES, sum(checked) + facts, parts, told)


def _early(evidence: Evidence, table: str, key: str) -> np.ndarray:
    """Rows of some owners that count more events than there were, bool [rows]."""
    stored = evidence.sampled(evidence.read(table), key)
    rows = stored.select(key, F.unix_micros(C.KNOWABLE_AT).alias(C.KNOWABLE_AT), f"{C.EVENTS}_all").toArrow()
    counted = evidence.sampled(evidence.read(Tables.EVENTS).where(~F.col(C.IS_BOT) & F.col(key).isNotNull()), key)
    log = counted.select(key, F.unix_micros(C.EVENT_TIME).alias(C.EVENT_TIME)).toArrow()
    owners = np.unique(np.array(rows[key].to_pylist() + log[key].to_pylist(), dtype=object), return_inverse=True)[1]
    moments, counts = rows[C.KNOWABLE_AT].to_numpy(), rows[f"{C.EVENTS}_all"].to_numpy()
    return leakage.too_early(owners[: len(rows)], moments, counts, owners[len(rows) :], log[C.EVENT_TIME].to_numpy())


def changed_facts(histories: Histories, num_items: int) -> tuple[int, int]:
    """Facts of all items as of a moment amid the histories: how many, and how many differ without the events after it."""
    if not len(histories.items):
        return 0, 0
    moment = int(np.quantile(histories.times, MOMENT))
    earlier = histories.where(histories.times < moment)
    items, moments = np.arange(num_items), np.full(num_items, moment)
    with_later, without = (Moments(each, num_items).items(items, moments) for each in (histories, earlier))
    return num_items * ITEM_FACTS, int((with_later != without).sum())


def models(evidence: Evidence) -> Finding:
    """That the judged models learned from what the judging takes for known."""
    trained = evidence.trained
    inputs = {table: evidence.inputs[table] for table in JUDGED_ON}
    other = [table for table, version in inputs.items() if trained.inputs.get(table) != version]
    digest = arrays.digest(inputs[Tables.SEQUENCES], evidence.known.histories)
    parts = [(len(other), f"tables of other versions than {trained.run_id} read: {', '.join(other)}")]
    unlike = trained.details.get(starting.DATA) != digest
    parts.append((int(unlike), "digest of the histories up to valid that is not the one the train run noted"))
    return leakage.gathered(leakage.MODELS, len(inputs) + 1, parts, f"{trained.run_id} read the same tables and histories")
