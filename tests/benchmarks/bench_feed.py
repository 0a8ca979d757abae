"""Our feed against petastorm's BatchedDataLoader on the same Parquet files, in rows a second over one training run.

Files: 400,000 rows with the columns of gold/sequences, `items` a list of 50 (petastorm stacks equal lengths only). A run
is EPOCHS epochs (the default schedule) of shuffled int64 batches of 64 rows (the default batch size). Ours decodes
Parquet once, cuts histories into windows of 51 and deals them out of a mapped file; its figure includes that reading.
The peer reads anew each epoch, as its documentation shows, so its rate does not depend on their number and is taken over
one epoch. `first_epoch_ratio` is ours with one epoch only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lakerec.training.batches import WindowBatches
from lakerec.training.feed import read_windows

from tests.benchmarks.common import seconds, write

ROWS, LENGTH, BATCH, BUFFER, EPOCHS = 400_000, 50, 64, 100_000, 12
CATALOGUE = 50_000


def make_files(folder: Path, files: int = 4) -> list[str]:
    """gold/sequences whose histories all have LENGTH events."""
    rng = np.random.default_rng(1)
    uris = []
    for number in range(files):
        rows = ROWS // files
        items = pa.ListArray.from_arrays(
            np.arange(rows + 1, dtype=np.int32) * LENGTH, rng.integers(0, CATALOGUE, rows * LENGTH).astype(np.int32)
        )
        past = pa.ListArray.from_arrays(np.zeros(rows + 1, dtype=np.int32), pa.array([], pa.int32()))
        table = pa.table(
            {"items": items, "past": past, "split": ["train"] * rows, "next_split": pa.nulls(rows, pa.string())}
        )
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path, row_group_size=25_000)
        uris.append(path.as_uri())
    return uris


def peer_epoch(uris: list[str]) -> int:
    from petastorm import make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

    with make_batch_reader(uris, schema_fields=["^items$"], num_epochs=1, workers_count=2) as reader:
        loader = BatchedDataLoader(reader, batch_size=BATCH, shuffling_queue_capacity=BUFFER)
        return sum(len(batch["items"].to(torch.int64)) for batch in loader)


def main() -> None:
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        uris = make_files(Path(folder))

        def ours(epochs: int) -> None:
            blocks = read_windows(uris, "train", LENGTH + 1, CATALOGUE)
            batches = WindowBatches(blocks, CATALOGUE, BATCH, seed=1)
            for epoch in range(epochs):
                assert sum(len(batch) for batch in batches.epoch(epoch)) == ROWS

        run, first = EPOCHS * ROWS / seconds(lambda: ours(EPOCHS)), ROWS / seconds(lambda: ours(1))
        peer = ROWS / seconds(lambda: peer_epoch(uris))
    more = {"rows": ROWS, "length": LENGTH, "batch": BATCH, "epochs": EPOCHS, "first_epoch_ratio": first / peer}
    write("feed", run, peer, "rows/s", ["petastorm", "pyarrow", "torch"], **more)


if __name__ == "__main__":
    main()
