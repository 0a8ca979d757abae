"""Into how many parts rows are shuffled, by how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakerec.lake.session import runs_here
from lakerec.stages.base import Context

PARTITIONS = "spark.sql.shuffle.partitions"
RAW_BYTES, TABLE_BYTES = 16 << 20, 64 << 20
"""Bytes of raw files, which tell more rows, and of a table that make a part; two of them are sorted in memory at a time."""
MOST = 2_000


@contextmanager
def spread(context: Context, size: int, part: int = TABLE_BYTES) -> Iterator[None]:
    """Shuffle in as many parts as so many bytes want, where Spark runs here: in the few that suit a small log, the rows of a
    large one do not fit in memory. A cluster's number, and one that the config gives, stay as they are.
    """
    conf = context.spark.conf
    if PARTITIONS in context.config.spark.conf or not runs_here(context.config.spark):
        yield
        return
    before = str(conf.get(PARTITIONS))
    conf.set(PARTITIONS, str(max(int(before), min(MOST, -(-size // part)))))
    try:
        yield
    finally:
        conf.set(PARTITIONS, before)
