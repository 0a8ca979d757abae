"""What Spark takes of memory and time to judge 1,000,000 users × 100 ranks: every user's figures out of eval/predictions.

The tables are drawn and written first, in a lake of their own: eval/predictions with a row a user and rank, gold/sequences
with one to five targets a user. Then `lakerec.stages.user_figures` @100, and the means. Memory is the largest resident set
of Spark's one process, whose heap is `--set spark.conf.spark.driver.memory` (2 GB unless told), and the largest sum over
the Python workers, looked at twice a second (Linux).
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.evaluation.metrics import PER_USER
from lakerec.loading import load_config
from lakerec.stages import pipeline
from lakerec.stages.base import Context
from lakerec.stages.user_figures import figures
from pyspark.sql import functions as F

from tests.benchmarks.common import mib, parser_of, write

USERS, ITEMS, DEPTH, RUN = 1_000_000, 100_000, 100, "evaluate-1"
WORKER = "pyspark.daemon"


class Workers:
    """Watches the Python workers of this machine's Spark until it is left."""

    def __init__(self) -> None:
        self.most, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Workers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.most = max(self.most, sum(map(self._held, Path("/proc").glob("[0-9]*"))))

    @staticmethod
    def _held(process: Path) -> float:
        try:
            return mib("VmRSS", process.name) if WORKER in (process / "cmdline").read_text() else 0.0
        except (OSError, AssertionError):  # it ended
            return 0.0


def drawn() -> F.Column:
    """An item, popular ones more often."""
    return (F.pow(F.rand(1), 3) * ITEMS).cast("int")


def tables(context: Context, users: int) -> None:
    """Write them."""
    lake, each = context.lake, context.spark.range(users)
    user_id, number = F.concat(F.lit("u"), F.col("id")).alias(C.USER_ID), F.col("id").cast("int").alias(C.USER)
    index = context.spark.range(ITEMS).select(
        F.concat(F.lit("i"), "id").alias(C.ITEM_ID), F.col("id").cast("int").alias(C.ITEM)
    )
    lake.overwrite(index, Tables.ITEM_INDEX)
    rank = F.explode(F.sequence(F.lit(1), F.lit(DEPTH))).alias(C.RANK)
    ranks = each.select(F.lit(RUN).alias(C.RUN_ID), F.lit("drawn").alias(C.MODEL), user_id, rank)
    shown = {C.ITEM_ID: F.concat(F.lit("i"), drawn()), C.SCORE: -F.col(C.RANK).cast("double")}
    lake.overwrite(ranks.withColumns(shown), Tables.PREDICTIONS)
    numbers = F.sequence(F.lit(0), (F.col("id") % 5).cast("int"))
    wanted = F.transform(numbers, lambda place: F.pmod(F.xxhash64("id", place), F.lit(ITEMS)).cast("int")).alias(C.ITEMS)
    times, nothing = F.transform(numbers, F.abs), F.array().cast("array<int>")
    rows = each.select(
        user_id, number, wanted, times.alias(C.TIMES), F.lit(Splits.TEST).alias(C.SPLIT), nothing.alias(C.PAST),
        nothing.alias(C.PAST_TIMES), F.lit(None).cast("string").alias(C.NEXT_SPLIT),
    )  # fmt: skip
    lake.overwrite(rows, Tables.SEQUENCES)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            asked.conf, [f"lake.root={folder}/lake", f"tracking.uri=sqlite:///{folder}/mlflow.db", *asked.overrides]
        )
        with pipeline.opened(config) as context:
            tables(context, asked.users)
            start = time.perf_counter()
            with Workers() as workers:
                names = {name: F.avg(f"{name}_at_{DEPTH}").alias(name) for name in PER_USER}
                found = (
                    figures(context, {}, RUN, [DEPTH])
                    .agg(F.count("*").alias("users"), *names.values())
                    .collect()[0]
                    .asDict()
                )
            seconds = time.perf_counter() - start
            spark = str(context.spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
            assert found.pop("users") == asked.users
            write(
                "user_figures", round(asked.users / seconds), None, "users judged a second", ["pyspark", "delta-spark"],
                users=asked.users, items=ITEMS, depth=DEPTH, seconds=round(seconds, 1), spark_mib=round(mib("VmHWM", spark)),
                workers_mib=round(workers.most), means=found,
            )  # fmt: skip


if __name__ == "__main__":
    main()
