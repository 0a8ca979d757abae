"""The contracts of how models are compared, and of what was decided about them."""

from __future__ import annotations

from lakerec.columns import Columns as C
from lakerec.columns import Tables as T
from lakerec.lake.contract import RUN_ID, Column, Contract
from lakerec.lake.contract import key as _key

JUDGING = (
    Contract(
        T.COMPARISON,
        "challenger and champion on the same test users, slice by slice",
        (RUN_ID, _key(C.SLICE, "string", "all, or a named part"), _key(C.METRIC, "string", "metric"),
         _key(C.K, "int", "length of the list"), Column("challenger_value", "double", "mean over the slice's users"),
         Column("champion_value", "double", "the champion's"), Column("gain", "double", "the difference"),
         Column(C.CI_LOW, "double", "lower end, 95 %, paired bootstrap over users"),
         Column(C.CI_HIGH, "double", "upper end"),
         Column("p", "double", "chance of so bad a result where the slice loses no more than it may"),
         Column("p_adjusted", "double", "the same over all slices together (Holm)"),
         Column("worse", "boolean", "whether it loses more than it may, beyond chance"), Column(C.N, "bigint", "users")),
        keys=(C.RUN_ID, C.SLICE, C.METRIC, C.K),
    ),
    Contract(
        T.PROMOTIONS,
        "every decision about what serves; append-only",
        (_key("decided_at", "timestamp", "UTC"), Column("model_name", "string", "registered name"),
         Column("challenger", "string", "version judged, or gone back to"),
         Column("champion", "string", "version that served before"),
         Column("promoted", "boolean", "whether the alias moved"), Column(C.METRIC, "string", "metric"),
         Column(C.K, "int", "length of the list"), Column("challenger_value", "double", "its value"),
         Column("champion_value", "double", "the champion's value"),
         Column(C.REASONS, "array<string>", "why"), RUN_ID,
         Column("number", "bigint", "place among the decisions about this name, from 1; null in lakes of before"),
         Column("action", "string", "promote or rollback; null in lakes of before: promote"),
         Column("evaluated", "string", "evaluate run whose test it was judged on"),
         Column("train_run", "string", "train run that fitted the challenger"),
         Column(C.ENCODER, "string", "what made the item vectors that it knows")),
    ),
    Contract(
        T.LEAKAGE,
        "what the leakage audit of each evaluation looked at and found; rows of evaluations that it failed stay",
        (RUN_ID, _key(C.CHECK, "string", "what was checked"), _key(C.OK, "boolean", "whether nothing was found"),
         _key(C.CHECKED, "bigint", "rows, users or items looked at; 0: there was nothing to look at"),
         _key(C.FOUND, "bigint", "those of them that leak"), Column(C.DETAIL, "string", "the same in words"),
         _key(C.TRAIN_RUN, "string", "train run whose models were to be judged"),
         _key(C.AUDITED_AT, "timestamp", "UTC")),
        keys=(C.RUN_ID, C.CHECK),
    ),
    Contract(
        T.DRIFT,
        "how far the data moved from what the champion was fitted on, a row a figure",
        (RUN_ID, _key(C.KIND, "string", "inputs, vectors, catalogue, exposure or metric"),
         _key(C.NAME, "string", "the figure; of metric the day"), Column(C.VALUE, "double", "what was found"),
         Column(C.CHANCE, "double", "what chance alone stays within in 19 of 20 cases, where that is known"),
         Column(C.LIMIT, "double", "from where on it counts as drifted; null where nothing is decided by it"),
         _key(C.DRIFTED, "boolean", "whether it is beyond the limit, and not by chance"),
         Column(C.N_BEFORE, "bigint", "events (of catalogue: items) before"), Column(C.N_NOW, "bigint", "the same now"),
         _key(C.DECIDED_AT, "timestamp", "UTC"), Column(C.DETAIL, "string", "the same in words")),
        keys=(C.RUN_ID, C.KIND, C.NAME),
    ),
    Contract(
        T.BACKTEST,
        "figures of models fitted on what came before a cutoff, on what came from it to the next, 95 % bootstrap intervals",
        (RUN_ID, _key(C.CUTOFF, "timestamp", "what models learned from came before it, UTC"),
         _key(C.MODEL, "string", "model"), _key(C.METRIC, "string", "metric"), _key(C.K, "int", "length of the list"),
         Column(C.VALUE, "double", "mean over users"), Column(C.CI_LOW, "double", "lower end, 95 %"),
         Column(C.CI_HIGH, "double", "upper end, 95 %"), Column(C.N, "bigint", "users (items for coverage)")),
        keys=(C.RUN_ID, C.CUTOFF, C.MODEL, C.METRIC, C.K),
    ),
)  # fmt: skip
