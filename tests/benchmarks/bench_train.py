"""How fast the sequence model learns, beside RecTools' SASRec of the same width, depth and length on the same split files.

    python -m tests.benchmarks.bench_train --folder FOLDER    after bench_quality --folder FOLDER: its split files and lake

events/s    targets that a fit took its gradients from, by the seconds of its epochs without the looks at validation. Ours
            cuts a history into windows and learns from all of it; the peer takes the newest events of each user alone
catch_up    our seconds until validation NDCG@10 is what the peer's best epoch has, by the peer's seconds until then; the
            item table of ours begins with the texts. None: it was not reached

Full softmax on both sides, each with its own defaults otherwise; both use all cores, one after the other, warmed.
`make bench-quality` makes the environment of the peer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lakerec.columns import Splits
from lakerec.config import Config
from lakerec.loading import load_config
from lakerec.models.catalog import shape_of
from lakerec.models.data import Holdout, TrainingData
from lakerec.models.network import SequenceNetwork
from lakerec.models.sequence import Sequence
from lakerec.models.windows import windows
from lakerec.stages import arrays, pipeline
from lakerec.stages.train import validation_users
from lakerec.training.batches import WindowBatches, items_in
from lakerec.training.fit import validation_value
from lakerec.training.loop import fit_sequence, recipe_of

from tests.benchmarks.bench_quality import RECTOOLS
from tests.benchmarks.common import write


class Clock:
    """Seconds of training, validation left out."""

    def __init__(self, model: Sequence, holdout: Holdout) -> None:
        self.model, self.holdout = model, holdout
        self.since, self.spent = time.perf_counter(), 0.0
        self.seconds: list[float] = []
        """Until the end of each epoch."""
        self.values: list[float] = []

    def look(self, network: SequenceNetwork) -> float:
        self.spent += time.perf_counter() - self.since
        self.seconds.append(self.spent)
        self.values.append(validation_value(Sequence.of(self.model.shape, network), self.holdout, network.num_items))
        self.since = time.perf_counter()
        return self.values[-1]


def fitted(config: Config, data: TrainingData, holdout: Holdout, epochs: int | None = None) -> tuple[Clock, int]:
    """Fit as the train stage does; its clock, and the targets of an epoch."""
    train, width = config.train, config.train.max_length + 1
    known, times = data.histories, data.histories.times if train.times else None
    blocks = windows(known.offsets, known.items, width, data.num_items, times)
    model = Sequence.fresh(shape_of(train), data, train.seeds[0])
    model.network.mark_met(items_in(blocks[:, :width], data.num_items))
    batches = WindowBatches(blocks, data.num_items, train.batch_size, train.seeds[0])
    torch.manual_seed(train.seeds[0] * 1000)
    clock = Clock(model, holdout)
    fit_sequence(model.network, batches, recipe_of(train, data.num_items), clock.look, stop_after=epochs)
    return clock, int((blocks[:, 1:width] < data.num_items).sum())


def ours(config: Config) -> dict[str, Any]:
    """Curve and rate on the data of the lake."""
    with pipeline.opened(config) as context:
        num_items = len(arrays.item_ids(context, {}))
        train = arrays.known_until(context, {}, Splits.TRAIN).histories
        vectors = arrays.item_vectors(context, {}, num_items)
        holdout = arrays.holdout(context, {}, Splits.VALID, validation_users(config.train, num_items))[1]
    data = TrainingData(train, num_items, vectors)
    fitted(config, data, holdout, epochs=1)
    clock, targets = fitted(config, data, holdout)
    return {"seconds": clock.seconds, "values": clock.values, "targets": targets}


def rate(curve: dict[str, Any]) -> float:
    """Targets a second in the median epoch."""
    return curve["targets"] / statistics.median(np.diff(curve["seconds"], prepend=0.0))


def reached(curve: dict[str, Any], value: float) -> float | None:
    """Seconds until the value."""
    return next((at for at, found in zip(curve["seconds"], curve["values"], strict=True) if found >= value), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", default="conf/demo.yaml")
    parser.add_argument("--folder", type=Path, default=Path("build/quality"))
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    if not (folder / "train.parquet").is_file():
        raise SystemExit(
            f"error: {folder} has no split files: bench_quality --folder {asked.folder} --peers none makes them"
        )
    if not RECTOOLS.is_file():
        raise SystemExit(f"error: {RECTOOLS} is not there: `make bench-quality` makes it")
    config = load_config(asked.conf, [f"lake.root={folder}/lake", f"tracking.uri=sqlite:///{folder}/mlflow.db"])
    train = config.train
    sizes = {"n_factors": train.dims, "n_blocks": train.blocks, "n_heads": train.heads, "session_max_len": train.max_length}
    mine = ours(config)
    command = [str(RECTOOLS), str(Path(__file__).with_name("peer_speed.py")), str(folder), json.dumps(sizes)]
    subprocess.run(command, check=True)
    theirs = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    best = max(theirs["values"])
    until, peer_until = reached(mine, best), reached(theirs, best)
    more = {
        "peer_ndcg": best, "our_ndcg": max(mine["values"]), "our_seconds": until, "peer_seconds": peer_until,
        "catch_up": None if until is None or peer_until is None else until / peer_until,
        "curves": {"ours": mine, "peer": theirs}, "sizes": sizes, "peer_versions": theirs.pop("versions"),
    }  # fmt: skip
    write("train", rate(mine), rate(theirs), "events/s", ["torch", "numpy"], **more)


if __name__ == "__main__":
    main()
