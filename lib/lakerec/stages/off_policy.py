"""What each model's lists would have earned, estimated from impressions that were logged with their propensities.

    silver/events: impressions, each with the reward that followed ─┐
    bronze/events: the propensity in an impression's context ───────┴► before the test: click-through rate of each item
                                                                    └► since then: the log ─► models' first k ─► rows

The target policy shows the first k of a model's list, made of all that is known of the user before the test: it shows these
with probability 1 and others never, wherever in the list they stand (see `lakerec.evaluation.off_policy`). Everybody who was
shown something is asked for, whatever they did then: the test users of the ranking metrics were chosen by what they did.
Lists leave out what a user has met; an impression of such an item counts as one that no model would have made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.config import Config
from lakerec.errors import InputError
from lakerec.evaluation.lists import MetricRow
from lakerec.evaluation.off_policy import OFF_POLICY, Log, clipped, effective_size, off_policy_rows
from lakerec.judging_config import OffPolicyConfig
from lakerec.models.catalog import load
from lakerec.models.data import Histories
from lakerec.models.topk import recommend
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs
from lakerec.stages.increments import kept
from lakerec.stages.log import event

PROPENSITY, REWARD, REQUEST = "propensity", "reward", "request"
MINUTE = 60_000_000
"""Microseconds."""
PRIOR = 10.0
"""Impressions at the rate of all items that an item's click-through rate begins with."""


def logged_tables(config: Config) -> tuple[str, ...]:
    """What is read for the estimates; nothing where none are asked for."""
    return () if config.evaluate.off_policy is None else (Tables.EVENTS, Tables.BRONZE_EVENTS)


def judge(
    context: Context, inputs: Inputs, fitted: Sequence[Path], num_items: int
) -> tuple[list[MetricRow], dict[str, str]]:
    """Rows of eval/metrics and details of the run; nothing of both where no estimates are asked for.

    Args:
        fitted: folders of the models; those of further seeds (`sequence#2`) are left out.

    Raises:
        InputError: no impression since the test began has a propensity.
    """
    config = context.config.evaluate
    if config.off_policy is None:
        return [], {}
    shown = Shown.read(context, inputs, config.off_policy, num_items)
    event("evaluate", context.run_id, "impressions", **shown.told)
    rows: list[MetricRow] = []
    models: dict[str, Any] = {}
    for path in (path for path in fitted if "#" not in path.name):
        context.progress.update(f"{path.name}, off-policy", len(models), len(fitted))
        parts = recommend(load(path), shown.histories, max(config.k), num_items)
        items = np.concatenate([each for _, each, _ in parts])
        models[path.name] = {}
        for k in config.k:
            found, models[path.name][k] = _estimates(context, path.name, items[:, :k], shown, k)
            rows += found
    return rows, {OFF_POLICY: json.dumps({**shown.told, "models": models})}


@dataclass(frozen=True)
class Shown:
    """What was shown since the test began. Letters: n = impressions with a propensity, m = users."""

    users: np.ndarray
    """int64 [n], 0 .. m - 1."""
    items: np.ndarray
    """int64 [n], dense; -1 where the catalogue does not have the item."""
    propensities: np.ndarray
    """float64 [n]."""
    rewards: np.ndarray
    """float64 [n], 1 where the reward followed."""
    requests: np.ndarray
    """int64 [m], lists that each user was shown."""
    histories: Histories
    """What is known of each user before the test; none of strangers."""
    rates: np.ndarray
    """float64 [num_items + 1], the click-through rate of each item before the test, and of all in the last place."""
    told: dict[str, int]
    """Impressions since the test began, those of them without a valid propensity, rewards, requests, users."""

    @classmethod
    def read(cls, context: Context, inputs: Inputs, config: OffPolicyConfig, num_items: int) -> Shown:
        """From the tables.

        Raises:
            InputError: no impression since the test began has a propensity.
        """
        table, rates = _collected(context, inputs, config, num_items)
        valid = table.filter(pc.field(PROPENSITY).is_valid())
        if not len(valid):
            raise InputError(
                f"evaluate.off_policy: none of {len(table)} `{config.impression}` events since the test began has a number "
                f"above 0 and at most 1 as `{config.propensity}` in its context: log it, or set evaluate.off_policy to null"
            )
        users = valid[C.USER_ID].combine_chunks().dictionary_encode()
        ids, numbers = users.dictionary.to_numpy(zero_copy_only=False), users.indices.to_numpy().astype(np.int64)
        by_user = pa.table({C.USER: numbers, REQUEST: valid[REQUEST]}).group_by(C.USER)
        requests = by_user.aggregate([(REQUEST, "count_distinct")]).sort_by(C.USER)[f"{REQUEST}_count_distinct"].to_numpy()
        items, propensities, rewards = (valid[name].to_numpy() for name in (C.ITEM, PROPENSITY, REWARD))
        told = {
            "impressions": len(table), "without_propensity": len(table) - len(valid), "rewards": int(rewards.sum()),
            "requests": int(requests.sum()), "users": len(ids),
        }  # fmt: skip
        return cls(numbers, items, propensities, rewards, requests, _histories(context, inputs, ids), rates, told)


def _collected(context: Context, inputs: Inputs, config: OffPolicyConfig, num_items: int) -> tuple[pa.Table, np.ndarray]:
    """Impressions since the test began, by user, and the rates of items before it."""
    lake, micros, begins = context.lake, F.unix_micros(C.EVENT_TIME), _test_begins(context, inputs)
    read = (Tables.EVENTS, Tables.BRONZE_EVENTS, Tables.ITEM_INDEX)
    events, received, index = (lake.read(table, inputs.get(table)) for table in read)
    with kept(impressions(events, received, config).join(F.broadcast(index), on=C.ITEM_ID, how="left")) as shown:
        rates = _rates(shown.where(micros < begins - config.within_minutes * MINUTE), num_items)
        since = shown.where(micros >= begins).orderBy(C.USER_ID, C.EVENT_TIME, C.EVENT_ID)
        item = F.coalesce(C.ITEM, F.lit(-1)).alias(C.ITEM)
        return since.select(C.USER_ID, item, PROPENSITY, REWARD, REQUEST).toArrow(), rates


def impressions(events: DataFrame, received: DataFrame, config: OffPolicyConfig) -> DataFrame:
    """Rows of silver/events that are impressions, with propensity (null unless above 0 and at most 1), reward and request.

    A reward is that of the user's latest impression of the item at its time or before it, if that is recent enough.

    Args:
        received: rows of bronze/events.
    """
    counted = F.col(C.USER_ID).isNotNull() & ~F.col(C.IS_BOT) & F.col(C.EVENT_TYPE).isin(config.impression, config.reward)
    is_reward, micros = F.col(C.EVENT_TYPE) == config.reward, F.unix_micros(C.EVENT_TIME)
    in_order = Window.partitionBy(C.USER_ID, C.ITEM_ID).orderBy(C.EVENT_TIME, is_reward, C.EVENT_ID)
    soon = F.lead(micros).over(in_order) - micros <= config.within_minutes * MINUTE
    rewarded = F.coalesce(F.lead(is_reward).over(in_order) & soon, F.lit(False))
    shown = events.where(counted).withColumn(REWARD, rewarded.cast("double")).where(~is_reward)
    said = F.col(C.CONTEXT)[config.propensity].try_cast("double")
    list_of = F.col(C.EVENT_TIME).cast("string")
    if config.request is not None:
        list_of = F.coalesce(F.col(C.CONTEXT)[config.request], list_of)
    contexts = received.where(F.col(C.EVENT_TYPE) == config.impression).select(
        F.col(C.EVENT_ID).alias("_id"), F.col(C.DIGEST).alias("_digest"), list_of.alias(REQUEST),
        F.when((said > 0) & (said <= 1), said).alias(PROPENSITY),
    )  # fmt: skip
    same = (F.col(C.EVENT_ID) == F.col("_id")) & F.col(C.DIGEST).eqNullSafe(F.col("_digest"))
    return shown.join(contexts, on=same, how="left").drop("_id", "_digest")


def _test_begins(context: Context, inputs: Inputs) -> int:
    """Time of the first test event, epoch microseconds (whole seconds)."""
    test = arrays.sequences(context, inputs).where(F.col(C.SPLIT) == Splits.TEST)
    row = test.agg(F.min(F.array_min(C.TIMES))).first()
    assert row is not None and row[0] is not None, "evaluate has found test users"
    return int(row[0]) * 1_000_000


def _rates(before: DataFrame, num_items: int) -> np.ndarray:
    """Rewards by impressions of each item, shrunk towards the rate of all, which comes last; 0 without impressions."""
    by_item = before.groupBy(F.coalesce(C.ITEM, F.lit(num_items)).alias(C.ITEM))
    sums = by_item.agg(F.count("*").alias(C.N), F.sum(REWARD).alias(REWARD)).toArrow()
    items, count, rewards = (sums[name].to_numpy() for name in (C.ITEM, C.N, REWARD))
    rate = rewards.sum() / count.sum() if len(sums) else 0.0
    rates = np.full(num_items + 1, rate)
    rates[items] = (rewards + PRIOR * rate) / (count + PRIOR)
    rates[-1] = rate
    return rates


def _histories(context: Context, inputs: Inputs, ids: np.ndarray) -> Histories:
    """Of these users before the test; empty ones of strangers."""
    known = arrays.known_until(context, inputs, Splits.VALID)
    whole = known.histories
    with_stranger = Histories(np.append(whole.offsets, whole.offsets[-1]), whole.items, whole.times)
    places = arrays.renumbering(ids, known.ids)
    return with_stranger.take(np.where(places < 0, len(whole), places))


def _estimates(
    context: Context, model: str, items: np.ndarray, shown: Shown, k: int
) -> tuple[list[MetricRow], dict[str, float]]:
    """Rows of one model, and how much of the log they rest on.

    Args:
        items: int [m, k], what the model would show each user; -1 where a list is shorter.
    """
    config = context.config
    assert config.evaluate.off_policy is not None
    catalogue, listed = len(shown.rates) - 1, items >= 0
    keys = (np.arange(len(items))[:, None] * catalogue + items)[listed]
    matched = np.isin(shown.users * catalogue + shown.items, keys) & (shown.items >= 0)
    weights, cut = clipped(matched / shown.propensities, config.evaluate.off_policy.clip)
    log = Log(shown.rewards, weights, shown.users, shown.requests * listed.sum(axis=1))
    expected = shown.requests * np.where(listed, shown.rates[items], 0.0).sum(axis=1)
    rest = (config.evaluate.bootstrap, config.seed)
    rows = off_policy_rows(model, k, log, shown.rates[shown.items], expected, *rest)
    return rows, {"matched": float(matched.mean()), "effective": effective_size(weights), "clipped": cut}
