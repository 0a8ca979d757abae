"""The peer of bench_train: RecTools' SASRec with full softmax on the split files of bench_quality.

    python peer_speed.py FOLDER SIZES    in the environment of peer_rectools.py; SIZES: JSON, arguments of SASRecModel

writes speed.json: seconds until the end of each epoch, validation NDCG@10 after it, targets of an epoch.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peer_rectools import PERSONAL, SHAPE, Dataset, dataset, ndcg, ranked, table, transformer

PATIENCE, MOST = 15, 150
FEW, MANY = 3, 13
"""Epochs of two fits whose difference tells what an epoch takes: fit and fit_partial prepare the data first."""


def timed(known: Dataset, settings: dict[str, Any], epochs: int) -> float:
    """Seconds of a whole fit."""
    model = transformer(1, **settings, epochs=epochs)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    start = time.perf_counter()
    model.fit(known)
    return time.perf_counter() - start


def curve(folder: str, known: Dataset, settings: dict[str, Any]) -> list[float]:
    """Validation NDCG@10 after each epoch, until it has not risen for a while."""
    peer, taken, values = PERSONAL["sasrec_softmax"], table(folder, "valid"), [0.0]
    model = transformer(1, **settings)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    while len(values) <= MOST and len(values) - values.index(max(values)) <= PATIENCE:
        model.fit_partial(known, min_epochs=1, max_epochs=1)
        values.append(ndcg(ranked(peer, model, known, taken), taken))
        print(f"[peer] epoch {len(values) - 1}: validation {values[-1]:.4f}", flush=True)
    return values[1:]


def main(folder: str, sizes: dict[str, int]) -> None:
    SHAPE.update(sizes)
    known, settings = dataset(folder, "train", True), PERSONAL["sasrec_softmax"].grid[0]
    timed(known, settings, 1)
    few, many = timed(known, settings, FEW), timed(known, settings, MANY)
    values, epoch = curve(folder, known, settings), (many - few) / (MANY - FEW)
    lengths = table(folder, "train").groupby("user").size()
    report = {
        "seconds": [epoch * (place + 1) for place in range(len(values))], "values": values, "settings": settings,
        "targets": int((lengths - 1).clip(upper=SHAPE["session_max_len"]).sum()),
        "versions": {name: version(name) for name in ("rectools", "torch", "pytorch-lightning")},
    }  # fmt: skip
    Path(folder, "speed.json").write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
