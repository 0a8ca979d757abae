"""What judging 1,000,000 users × 100 ranks takes of memory and time: a model's lists, as evaluate judges them.

Lists come in evaluate's blocks and are drawn as they come, so that the figure is of the judging and not of a model: every
metric @10, the slices of items and two kinds of groups of users, with the intervals of 1,000 bootstrap samples. Memory is
the largest resident set from the first list on, less what it was before, with targets and item vectors loaded (Linux).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from lakerec.columns import Metrics
from lakerec.evaluation.beyond import Catalogue
from lakerec.evaluation.lists import Figures
from lakerec.evaluation.slices import by_popularity, gap_rows
from lakerec.stages.evaluate import ROWS_AT_ONCE
from lakerec.vectors import unit

from tests.benchmarks.common import mib, write

USERS, ITEMS, DEPTH, WIDTH, K = 1_000_000, 100_000, 100, 384, 10


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Items, popular ones more often."""
    return (ITEMS * rng.random(shape, dtype=np.float32) ** 3).astype(np.int32)


def main(users: int, resamples: int) -> None:
    rng = np.random.default_rng(1)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 6, users))])
    targets = drawn(rng, (int(offsets[-1]),)).astype(np.int64)
    popularity = np.bincount(drawn(rng, (20 * users,)), minlength=ITEMS)
    vectors = unit(rng.standard_normal((ITEMS, WIDTH), dtype=np.float32))
    figures = Figures(
        offsets, targets, ITEMS, [K], Catalogue(popularity, users, vectors), by_popularity(popularity),
        rng.uniform(1, 1000, users),
    )  # fmt: skip
    kinds = [rng.integers(0, 5, users) for _ in range(2)]
    groups = [[kind == number for number in range(5)] for kind in kinds]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew: see proc(5)
    before, start = mib("VmRSS"), time.perf_counter()
    at_once = ROWS_AT_ONCE // DEPTH
    for first in range(0, users, at_once):
        figures.add(first, drawn(rng, (min(at_once, users - first), DEPTH)))
    judged, held = time.perf_counter() - start, mib("VmHWM") - before
    named = {f"{kind}:{number}": each for kind, own in enumerate(groups) for number, each in enumerate(own)}
    rows = figures.rows("drawn", resamples, 1, named)
    for kind, own in enumerate(groups):
        rows += gap_rows("drawn", str(kind), own, figures.per_user(), resamples, 1)
    write(
        "metrics", round(users / judged), None, "users judged a second, without intervals", ["numpy", "scipy"],
        users=users, items=ITEMS, depth=DEPTH, judging_seconds=round(judged, 1), judging_mib=round(held),
        seconds=round(time.perf_counter() - start, 1), mib=round(mib("VmHWM") - before), process_mib=round(mib("VmHWM")),
        rows=len(rows), resamples=resamples, ndcg=next(row.value for row in rows if row.metric == Metrics.NDCG),
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--resamples", type=int, default=1000)
    asked = parser.parse_args()
    main(asked.users, asked.resamples)
