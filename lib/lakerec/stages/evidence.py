"""What the leakage audit looks at: the tables as the stages left them, what ops/runs says they read, the fitted models.

Everything is read anew from the lake, at the versions that the audited train run and the featurize run before it name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.models import storage
from lakerec.models.data import Histories
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs, Stage, last_runs

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

SAMPLE, MOST = 2_000, 2_000_000
"""Users or items that a check looks at one by one, about; events of such items."""
FEATURIZE, TEMPORAL = "featurize", "temporal"


@dataclass(frozen=True)
class Evidence:
    """Of one evaluation, before it judges anything."""

    context: Context
    inputs: Inputs
    """What is to be judged on."""
    trained: Row
    """The train run in ops/runs."""
    folder: Path
    """Its models, which are judged."""

    @cached_property
    def runs(self) -> dict[str, Row]:
        """The newest run of each stage."""
        return last_runs(self.context.lake)

    @cached_property
    def num_items(self) -> int:
        return self.read(Tables.ITEM_INDEX).count()

    @cached_property
    def whole(self) -> arrays.Users:
        """Histories with the events of all splits."""
        return arrays.known_until(self.context, self.inputs, Splits.TEST)

    @cached_property
    def known(self) -> arrays.Users:
        """Histories up to and including valid: what the judged models may have learned from."""
        return arrays.known_until(self.context, self.inputs, Splits.VALID)

    @cached_property
    def lengths(self) -> np.ndarray:
        """How many events of each history in `whole` are known, int64."""
        known = dict(zip(self.known.ids, self.known.histories.lengths.tolist(), strict=True))
        return np.array([known.get(user, 0) for user in self.whole.ids], dtype=np.int64)

    @property
    def featurized(self) -> Row | None:
        """The run that made the sequences which are judged on; None: something else did."""
        run = self.runs.get(FEATURIZE)
        same = run is not None and run.outputs.get(Tables.SEQUENCES) == self.inputs[Tables.SEQUENCES]
        return run if same else None

    @property
    def cuts(self) -> dict[str, int] | None:
        """Where train and valid end, epoch microseconds; empty where times cut nothing; None: it was not noted."""
        run = self.featurized
        return None if run is None else dict(zip(Splits.ALL[:2], json.loads(run.details["cuts"]), strict=False))

    def read(self, table: str) -> DataFrame:
        """A table at the version that goes with the sequences, as far as it is known."""
        run = self.featurized
        made = {} if run is None else {**run.inputs, **run.outputs}
        return self.context.lake.read(table, self.inputs.get(table, made.get(table)))

    def same_config(self, stage: Stage) -> Row | None:
        """The newest run of a stage, if it obeyed the config of today."""
        run = self.runs.get(stage.name)
        digest = self.context.config.digest("name", "seed", *stage.sections)
        return run if run is not None and run.config_digest == digest else None

    def sampled(self, frame: DataFrame, key: str) -> DataFrame:
        """Rows of about `SAMPLE` users or items and `MOST` events, by a digest of their id; all where there are no more."""
        number = self.num_items if key == C.ITEM_ID else len(self.whole.ids)
        parts = max(1, -(-number // SAMPLE), -(-len(self.whole.histories.items) // MOST) if key == C.ITEM_ID else 0)
        return frame.where(F.pmod(F.xxhash64(key), F.lit(parts)) == 0)

    def models(self) -> Iterator[Path]:
        """Folders of the models that have weights."""
        return (path.parent for path in sorted(self.folder.glob(f"*/{storage.WEIGHTS}")))


def split_number() -> Column:
    """0, 1, 2: train, valid, test."""
    return F.array_position(F.array(*[F.lit(name) for name in Splits.ALL]), F.col(C.SPLIT)) - 1


def first(histories: Histories, lengths: np.ndarray) -> np.ndarray:
    """Which events are among the first `lengths` of their history, bool [total]."""
    found: np.ndarray = histories.ago >= np.repeat(histories.lengths - lengths, histories.lengths)
    return found


def some(histories: Histories, seed: int) -> np.ndarray:
    """Places of `SAMPLE` histories, in their order; all where there are no more."""
    chosen = np.random.default_rng(seed).permutation(len(histories))[:SAMPLE]
    return np.sort(chosen)
