"""What the sequence model's fits of a train run begin with: random weights, or the models of the last finished run.

    that run's rows of gold/sequences ─┐  what the two have in common, user by user ─► what is new (`Seen`)
    today's rows ──────────────────────┴─ something it saw is valid today ─► those users do not validate
                                          something it saw is test today ──► from scratch

The fit on train goes on from the model that was fitted on train alone, the one on train + valid from that on train + valid.
Where events are only added, neither has seen a row of today's test: under leave_last_out a user's train grows at its end,
under temporal the cuts move on. Nor has the first seen today's valid rows, but of users who had fewer than three events, all
of which were train: these do not validate, in this run and in those that go on from its models. It is not taken for granted:
events are taken back, come late or are erased, and a config may change, so every user's rows are compared.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Splits, Tables
from lakerec.models import storage
from lakerec.models.catalog import seeded, shape_of
from lakerec.models.sequence import Shape
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs, last_run
from lakerec.training.seen import Seen
from lakerec.training_config import TrainConfig

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

LAST = "last"
KEPT = ".start"
"""Folder in a run's own, of what the next run may begin with and nothing else asks for."""
GONE = "the rows that it learned from cannot be read any more"
KNOWN = "known.json"
"""File there: user_id of whom its models may know what was held out at some time."""
DATA, ENCODER = "data", "encoder"
"""Details of a run: digest of all that training saw; fingerprint of what made the item vectors."""


@dataclass(frozen=True)
class Start:
    """A decision for all fits of a run."""

    why: str
    """In words, for log and report."""
    folder: Path | None = None
    """Of the run whose models they begin with; None: they begin from scratch."""
    seen: dict[str, Seen] = field(default_factory=dict)
    """What these models learned from: by the last split that each was fitted on."""
    known: frozenset[str] = frozenset()
    """user_id of whom the model fitted on train, or one that it went on from, may have seen what is to be found in valid."""

    @property
    def told(self) -> str:
        """For the log."""
        return f"goes on from {self.why}" if self.folder else f"begins from scratch ({self.why})"

    def of(self, split: str, name: str) -> str | None:
        """The model that the fit up to this split begins with."""
        if self.folder is None:
            return None
        return str(self.folder / KEPT / Models.SEQUENCE if split == Splits.TRAIN else self.folder / name)


def start(context: Context, inputs: Inputs) -> Start:
    """What the config asks for, as far as it can be had."""
    config = context.config.train
    last = last_run(context.lake, "train") if config.start == LAST and Models.SEQUENCE in config.models else None
    if last is None:
        return Start("no earlier run" if config.start == LAST else "train.start is scratch")
    folder = Path(last.details["folder"])
    reason = _unlike(config, folder) or _other_items(context, inputs, last)
    if reason:
        return Start(f"{last.run_id}: {reason}")
    seen, known = {}, _inherited(folder)
    for split in (Splits.TRAIN, Splits.VALID):
        found = compared(context, last.inputs, inputs, split)
        reason = refused(found)
        if reason:
            return Start(f"{last.run_id}: {reason}")
        seen[split] = seen_in(found)
        known |= frozenset(found["user_id"][found[Splits.VALID]]) if split == Splits.TRAIN else frozenset()
    return Start(last.run_id, folder, seen, known)


def remember(folder: Path, begun: Start) -> None:
    """Leave for those who go on from a run's models whom these may know too well, in the run's own folder."""
    if begun.folder is not None:
        (folder / KEPT / KNOWN).write_text(json.dumps(sorted(begun.known)), encoding="utf-8")


def _inherited(folder: Path) -> frozenset[str]:
    """The users whom a run's models may know by the models that it began with; none where it began from scratch."""
    file = folder / KEPT / KNOWN
    return frozenset(json.loads(file.read_text(encoding="utf-8")) if file.is_file() else ())


def encoder_of(context: Context, inputs: Inputs) -> str:
    """What made the item vectors; empty where there are none."""
    vectors = context.lake.read(Tables.ITEM_VECTORS, inputs.get(Tables.ITEM_VECTORS))
    return "+".join(sorted(str(row[C.ENCODER]) for row in vectors.select(C.ENCODER).distinct().collect()))


def told(context: Context) -> str | None:
    """For a plan: which run's models the fits would go on from, if nothing in the data speaks against it; None: of none."""
    last = last_run(context.lake, "train") if context.config.train.start == LAST else None
    if last is None or Models.SEQUENCE not in context.config.train.models:
        return None
    reason = _unlike(context.config.train, Path(last.details["folder"]))
    return f"from scratch: {reason}" if reason else f"goes on from {last.run_id}"


def _unlike(config: TrainConfig, folder: Path) -> str | None:
    """What speaks against going on from the models in a run's folder, by themselves."""
    wanted = asdict(replace(shape_of(config), dropout=0.0))
    places = [seeded(Models.SEQUENCE, seed, config.seeds) for seed in config.seeds]
    for place in (f"{KEPT}/{Models.SEQUENCE}", *places):
        if not (folder / place / storage.SETTINGS).is_file():
            return f"its model {place} is not there"
        own = asdict(replace(Shape(**storage.settings(folder / place)["shape"]), dropout=0.0))
        other = [f"{key} {own[key]} (now {value})" for key, value in wanted.items() if own[key] != value]
        if other:
            return f"its network has {', '.join(other)}"
    return None


def _other_items(context: Context, inputs: Inputs, last: Row) -> str | None:
    """Whether items or their vectors are not those that it knew; and whether what it read can still be told."""
    if last.details.get(ENCODER) != encoder_of(context, inputs):
        return "its item vectors are of another encoder"
    try:
        before, now = (arrays.item_ids(context, versions) for versions in (last.inputs, inputs))
        if not np.array_equal(before, now[: len(before)]):
            return "gold/item_index has other items in its places"
    except (PySparkException, Py4JJavaError):
        return GONE
    return _other_rows(context, last)


def _other_rows(context: Context, run: Row) -> str | None:
    """Why it cannot be told any more what a train run learned from, if so."""
    try:
        known = arrays.known_until(context, run.inputs, Splits.VALID).histories
    except (PySparkException, Py4JJavaError):
        return GONE
    same = arrays.digest(run.inputs[Tables.SEQUENCES], known) == run.details.get(DATA)
    return None if same else "gold/sequences was made anew"


def known_test_users(context: Context, inputs: Inputs, run_id: str | None) -> tuple[frozenset[str], str | None]:
    """user_id of whose events of today's test a train run's models may have learned; and why it cannot be told, if so."""
    runs = context.lake.read(Tables.RUNS).where((F.col("stage") == "train") & (F.col(C.RUN_ID) == F.lit(run_id)))
    run = runs.first()
    if run is None:
        return frozenset(), f"train run {run_id} is not in ops/runs"
    if run.inputs[Tables.SEQUENCES] == inputs[Tables.SEQUENCES]:
        return frozenset(), None
    if reason := _other_rows(context, run):
        return frozenset(), reason
    found = compared(context, run.inputs, inputs, Splits.VALID)
    return frozenset(found["user_id"][found[Splits.TEST]]), None


def compared(context: Context, before: Inputs, now: Inputs, split: str) -> dict[str, np.ndarray]:
    """What a model fitted up to a split learned from, beside today's rows; an entry for each user of then.

    Returns:
        user_id; user: dense id, -1 where they have no row any more; common: events at the beginning of their history up to
        the split that are the same then and now; valid, test: whether something that it saw may belong to that split today.
    """
    old = _events(arrays.rows_until(context, before, split), "old").drop(C.USER)
    new = _events(arrays.rows_until(context, now, Splits.TEST), "new")
    each = old.join(new, on=C.USER_ID, how="left").join(_parts(context, now), on=C.USER_ID, how="left")
    seen = F.size("old")
    whole = F.coalesce(F.slice("new", 1, seen) == F.col("old"), F.lit(False))
    same = F.zip_with("new", "old", lambda one, other: F.coalesce(one == other, F.lit(False)))
    common = F.when(whole, seen).otherwise(F.coalesce(F.array_position(same, False), F.lit(1)) - 1)
    newest = F.element_at("old", -1)[C.TIMES]

    def held(part: str, first: int) -> Column:
        """Where all that was seen is today's beginning, its number tells; else its time."""
        told = F.when(whole, seen > F.col("sizes")[first]).otherwise(F.col(part) <= newest)
        return F.coalesce(told & F.col(part).isNotNull(), F.lit(False)).alias(part)

    table = each.select(
        C.USER_ID,
        F.coalesce(C.USER, F.lit(-1)).alias(C.USER),
        F.least(common, F.col("sizes")[Splits.ALL.index(split)]).cast("long").alias("common"),
        held(Splits.VALID, 0),
        held(Splits.TEST, 1),
    ).toArrow()
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def _events(rows: DataFrame, name: str) -> DataFrame:
    return rows.select(C.USER_ID, C.USER, F.arrays_zip(C.ITEMS, C.TIMES).alias(name))


def _parts(context: Context, now: Inputs) -> DataFrame:
    """For each user: how many events there are up to each split, and when valid and test begin, where they have any."""
    upto = [F.col(C.SPLIT).isin(arrays.splits_until(split)) for split in Splits.ALL]
    sizes = [F.coalesce(F.sum(F.when(each, F.size(C.ITEMS))), F.lit(0)) for each in upto]
    begins = [F.min(F.when(F.col(C.SPLIT) == split, F.col(C.TIMES)[0])).alias(split) for split in Splits.ALL[1:]]
    return arrays.sequences(context, now).groupBy(C.USER_ID).agg(F.array(*sizes).alias("sizes"), *begins)


def refused(found: dict[str, np.ndarray]) -> str | None:
    """Why a model must not be gone on from, by what `compared` found."""
    if gone := int((found[C.USER] < 0).sum()):
        return f"{gone} of its users are gone"
    if held := int(found[Splits.TEST].sum()):
        return f"it may have learned from events of {held} users that are test now"
    return None


def seen_in(found: dict[str, np.ndarray]) -> Seen:
    """What it learned from that is still there."""
    order = np.argsort(found[C.USER])
    return Seen(found[C.USER][order].astype(np.int64), found["common"][order])


def summary(begun: Start, fits: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """For details and report; nothing was told where there is no sequence model.

    Args:
        fits: what each fit gave, by its name.
    """
    names = ("windows", "new", "steps", "best_epoch", "start_value", "best_value")
    of = {name: {key: fit[key] for key in names} for name, fit in fits.items()}
    return {"told": begun.told if fits else "", "fits": of}
