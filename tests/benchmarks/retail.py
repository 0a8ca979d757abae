"""Online Retail amplified: as many events as asked for, each copy of the log with customers, goods and invoices of its own.

Files are cut by time, as they would have arrived: file n holds every copy's n-th part of the period. What is dirty in the
original (missing customers, cancellations, exact repeats, blank descriptions) is dirty in each copy.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

DATA = Path(os.environ.get("LAKEREC_DATA", "../shared/data")) / "online-retail"
FRESH = ("InvoiceNo", "StockCode", "CustomerID")
CUSTOMER = "CustomerID"


def original() -> pa.Table:
    """The whole log in file order, all columns as text, without a customer: null.

    Raises:
        SystemExit: the data are not there.
    """
    files = sorted(DATA.glob("*.csv"))
    if not files:
        raise SystemExit(f"Online Retail is not at {DATA}: set LAKEREC_DATA to the folder that holds online-retail/")
    names = files[0].read_text(encoding="utf-8").splitlines()[0].split(",")
    as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return pa.concat_tables(pyarrow.csv.read_csv(file, convert_options=as_text) for file in files)


def write(folder: Path, events: int, files: int = 20, last: float = 0.0, skewed: float | None = None) -> Path:
    """Parquet files of at least `events` rows in `folder`; gives the folder.

    Args:
        last: share of the rows, the newest ones, that goes to a folder `<folder>-last` instead.
        skewed: share of the rows that 1 % of the customers own, the others' owners being drawn evenly (0: all evenly);
            None: owners as they are.
    """
    log = original()
    copies = -(-events // len(log))
    cut = len(log) - round(last * len(log))
    edges = np.linspace(0, cut, files + 1).astype(int)
    parts = [(folder, number, log.slice(a, b - a)) for number, (a, b) in enumerate(itertools.pairwise(edges))]
    parts += [(folder.with_name(f"{folder.name}-last"), 0, log.slice(cut))] if last else []
    rng = np.random.default_rng(1)
    for target, number, part in parts:
        target.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(target / f"part-{number:03d}.parquet", part.schema) as writer:
            for copy in range(copies):
                fresh = _fresh(part, copy)
                writer.write_table(fresh if skewed is None else _owned(fresh, rng, copies, skewed))
    return folder


def _fresh(part: pa.Table, copy: int) -> pa.Table:
    for name in FRESH:
        named = pc.binary_join_element_wise(part[name], str(copy), "-")
        part = part.set_column(part.column_names.index(name), name, named)
    return part


def _owned(part: pa.Table, rng: np.random.Generator, copies: int, share: float) -> pa.Table:
    """Rows with owners drawn anew: `share` of them from the first hundredth of the customers."""
    users = 4_372 * copies
    few = max(1, users // 100)
    owner = np.where(rng.random(len(part)) < share, rng.integers(0, few, len(part)), rng.integers(0, users, len(part)))
    names = pc.binary_join_element_wise("u", pc.cast(pa.array(owner), pa.string()), "-")
    missing = pc.if_else(pc.is_null(part[CUSTOMER]), pa.scalar(None, pa.string()), names)
    return part.set_column(part.column_names.index(CUSTOMER), CUSTOMER, missing)
