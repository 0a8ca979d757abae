"""Our feed against petastorm's loaders on the same Parquet files, in rows a second over one training run.

Files: 400,000 rows with the columns of gold/sequences. A run is EPOCHS epochs (the default schedule) of shuffled batches of
64 rows (the default batch size). Ours decodes Parquet once, cuts histories into windows of 51 and deals them out of a
mapped file; its figure includes that reading.

ratio              to BatchedDataLoader, which reads anew each epoch, as its documentation shows: its rate does not depend
                   on their number and is taken over one. Histories have 2 to 50 events, as logs have them; the peer stacks
                   equal lengths only, so it pads them by a TransformSpec.
equal_ratio        the same where all histories have 50 events, and the peer need not pad: its best case.
in_memory_ratio    to InMemBatchedDataLoader, equal lengths, the same epochs: it too decodes once, and holds all rows
                   in memory.
first_epoch_ratio  ours over one epoch only, to BatchedDataLoader.

Torch threads: the peer gets the better of 1 and 2. Its pool of threads ends an epoch early now and then: such an epoch is
counted (`peer_epochs_cut_short`) and measured again.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lakerec.training.batches import WindowBatches
from lakerec.training.feed import read_windows

from tests.benchmarks.common import seconds, write

ROWS, LENGTH, BATCH, BUFFER, EPOCHS, RUNS = 400_000, 50, 64, 100_000, 12, 3
CATALOGUE = 50_000
cut_short = 0


def make_files(folder: Path, shortest: int, files: int = 4) -> list[str]:
    """gold/sequences whose histories have from `shortest` to LENGTH events."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    uris = []
    for number in range(files):
        rows = ROWS // files
        lengths = rng.integers(shortest, LENGTH + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        items = pa.ListArray.from_arrays(offsets, rng.integers(0, CATALOGUE, offsets[-1]).astype(np.int32))
        past = pa.ListArray.from_arrays(np.zeros(rows + 1, dtype=np.int32), pa.array([], pa.int32()))
        table = pa.table(
            {"items": items, "past": past, "split": ["train"] * rows, "next_split": pa.nulls(rows, pa.string())}
        )
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path, row_group_size=25_000)
        uris.append(path.as_uri())
    return uris


def padded(rows: pd.DataFrame) -> pd.DataFrame:
    """What a user of petastorm writes to make lists stack."""
    lists = rows["items"].to_numpy()
    lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
    block = np.full((len(lists), LENGTH), CATALOGUE, dtype=np.int32)
    block[np.arange(LENGTH)[None, :] < lengths[:, None]] = np.concatenate(lists)
    return pd.DataFrame({"items": list(block)})


def peer_epoch(uris: list[str], ragged: bool) -> int:
    from petastorm import TransformSpec, make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

    pad = TransformSpec(padded, edit_fields=[("items", np.int32, (LENGTH,), False)], selected_fields=["items"])
    fields = {"schema_fields": ["^items$"], "num_epochs": 1, "workers_count": 2, "transform_spec": pad if ragged else None}
    with redirect_stdout(StringIO()), make_batch_reader(uris, **fields) as reader:
        loader = BatchedDataLoader(reader, batch_size=BATCH, shuffling_queue_capacity=BUFFER)
        return sum(len(batch["items"]) for batch in loader)


def peer_in_memory(uris: list[str]) -> int:
    from petastorm import make_batch_reader
    from petastorm.pytorch import InMemBatchedDataLoader

    with redirect_stdout(StringIO()), make_batch_reader(uris, schema_fields=["^items$"], num_epochs=1) as reader:
        loader = InMemBatchedDataLoader(
            reader, batch_size=BATCH, num_epochs=EPOCHS, rows_capacity=ROWS, shuffle=True, seed=1
        )
        return sum(len(batch["items"]) for batch in loader)


def peer_rate(run: Callable[[], int], rows: int) -> float:
    """Rows a second: median of RUNS whole runs after one to warm up, with the better of 1 and 2 torch threads."""
    global cut_short
    rates = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found: list[float] = []
        while len(found) < RUNS + 1:
            start = time.perf_counter()
            whole = run() == rows
            found += [rows / (time.perf_counter() - start)] if whole else []
            cut_short += not whole
        rates.append(statistics.median(found[1:]))
    torch.set_num_threads(2)
    return max(rates)


def our_rate(uris: list[str], epochs: int) -> float:
    def run() -> None:
        batches = WindowBatches(read_windows(uris, "train", LENGTH + 1, CATALOGUE)[0], CATALOGUE, BATCH, seed=1)
        for epoch in range(epochs):
            assert sum(len(batch) for batch in batches.epoch(epoch)) == ROWS

    return epochs * ROWS / seconds(run, RUNS)


def main() -> None:
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        equal, ragged = make_files(Path(folder) / "equal", LENGTH), make_files(Path(folder) / "ragged", 2)
        ours, first = our_rate(ragged, EPOCHS), our_rate(ragged, 1)
        peer = peer_rate(lambda: peer_epoch(ragged, True), ROWS)
        ours_equal, peer_equal = our_rate(equal, EPOCHS), peer_rate(lambda: peer_epoch(equal, False), ROWS)
        in_memory = peer_rate(lambda: peer_in_memory(equal), ROWS * EPOCHS)
    more = {
        "rows": ROWS, "length": LENGTH, "batch": BATCH, "epochs": EPOCHS, "first_epoch_ratio": first / peer,
        "equal_ratio": ours_equal / peer_equal, "equal_ours": ours_equal, "equal_peer": peer_equal,
        "in_memory_ratio": ours_equal / in_memory, "in_memory_peer": in_memory, "peer_epochs_cut_short": cut_short,
    }  # fmt: skip
    write("feed", ours, peer, "rows/s", ["petastorm", "pyarrow", "torch"], **more)


if __name__ == "__main__":
    main()
