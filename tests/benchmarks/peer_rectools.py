"""The peers of bench_quality: RecTools' models and those it wraps, tuned and fitted on the split files of a run of ours.

    python peer_rectools.py FOLDER [PEER ...]    in an environment of its own, since it wants another pyarrow

reads    train.parquet   user, item, time    what is known before the validation targets; each user's events in their order
         both.parquet    user, item, time    what is known before the test
         valid.parquet   user, item, time    what validation users took next, and when they came
         test.parquet    user, time          whom to rank for, and when they came; what they took is not told
writes   <peer>_<seed>.npy    items in rank order, int32 [test users, 100], -1 where a list is shorter
         peers.json           what was tried, chosen and left out, in what time, by which versions

Each peer is fitted on train with every setting of its grid; the one with the best validation NDCG@10 is fitted on train +
valid, once a seed where chance has a part. Transformers look at validation every few epochs and are refitted for the best
number of them. Nothing met before is shown. Whom a model cannot rank for, a stranger say, gets the popular list that
validation likes best. Models that count pairs see each pair once, sequence models see repeats. A process a
core, a thread each.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context as processes
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1") | {"PYTHONWARNINGS": "ignore"})

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from rectools import Columns  # noqa: E402
from rectools.dataset import Dataset  # noqa: E402

DEPTH, K, SEEDS = 100, 10, (1, 2, 3)
STEP, PATIENCE, MOST = 5, 20, 200
"""Epochs between two looks at validation, without a gain until a fit ends, and in all."""
LONGEST = 600
"""Processor seconds after which a fit that looks at validation ends in any case."""
EASE_ITEMS = 15_000
SHAPE = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "session_max_len": 50, "batch_size": 128, "lr": 1e-3}
Settings = dict[str, Any]


def popular(seed: int, days: int | None) -> Any:
    from rectools.models import PopularModel

    return PopularModel(period=timedelta(days=days) if days else None)


def item_cf(seed: int, weighting: str, neighbours: int) -> Any:
    from implicit import nearest_neighbours
    from rectools.models import ImplicitItemKNNWrapperModel

    return ImplicitItemKNNWrapperModel(getattr(nearest_neighbours, f"{weighting}Recommender")(K=neighbours, num_threads=1))


def ease(seed: int, regularization: float) -> Any:
    from rectools.models import EASEModel

    return EASEModel(regularization=regularization)


def als(seed: int, factors: int, alpha: float, regularization: float) -> Any:
    from implicit.als import AlternatingLeastSquares
    from rectools.models import ImplicitALSWrapperModel

    shape = {"factors": factors, "alpha": alpha, "regularization": regularization, "iterations": 15}
    return ImplicitALSWrapperModel(AlternatingLeastSquares(**shape, num_threads=1, random_state=seed))


def transformer(seed: int, kind: str, **settings: Any) -> Any:
    import rectools.models
    import torch
    from pytorch_lightning import seed_everything
    from rectools.models.nn.item_net import IdEmbeddingsItemNet

    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seed_everything(seed, workers=True, verbose=False)
    return getattr(rectools.models, kind)(**SHAPE, **settings, item_net_block_types=(IdEmbeddingsItemNet,))


def grid(**values: list[Any]) -> list[Settings]:
    """Every combination of the values."""
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


@dataclass(frozen=True)
class Peer:
    """How a peer is made, and what is tried."""

    build: Callable[..., Any]
    grid: list[Settings]
    seeds: tuple[int, ...] = SEEDS[:1]
    timed: bool = False
    """Whether it is told when it is asked."""

    @property
    def by_epochs(self) -> bool:
        return self.build is transformer


HSTU = {"kind": ["HSTUModel"], "loss": ["softmax"], "lightning_module_kwargs": [{"logits_t": 0.05}], "dropout_rate": [0.2]}
POPULAR = {
    "popular": Peer(popular, grid(days=[None])),
    "recent_popular": Peer(popular, grid(days=[1, 3, 7, 14, 30, 90])),
}
PERSONAL = {
    "sasrec_softmax": Peer(transformer, grid(kind=["SASRecModel"], loss=["softmax"], dropout_rate=[0.2, 0.5]), SEEDS),
    "sasrec_sampled": Peer(
        transformer,
        grid(kind=["SASRecModel"], loss=["sampled_softmax"], n_negatives=[256], dropout_rate=[0.2, 0.5]),
        SEEDS,
    ),
    "hstu": Peer(transformer, grid(**HSTU, relative_time_attention=[False]), SEEDS),
    "hstu_time": Peer(transformer, grid(**HSTU, relative_time_attention=[True]), SEEDS, timed=True),
    "ease": Peer(ease, grid(regularization=[50.0, 100.0, 200.0, 400.0, 800.0, 1600.0])),
    "als": Peer(als, grid(factors=[32, 64, 128], alpha=[1, 10, 40], regularization=[0.01, 0.1, 1.0]), SEEDS),
    "item_cf": Peer(item_cf, grid(weighting=["Cosine", "TFIDF", "BM25"], neighbours=[20, 100, 400])),
}
PEERS = POPULAR | PERSONAL


@cache
def table(folder: str, name: str) -> pd.DataFrame:
    return pd.read_parquet(f"{folder}/{name}.parquet")


@cache
def dataset(folder: str, name: str, repeats: bool) -> Dataset:
    """What is known, as RecTools takes it."""
    rows = table(folder, name)
    rows = rows if repeats else rows.drop_duplicates(["user", "item"], keep="last")
    stamps = pd.to_datetime(rows["time"], unit="s")
    columns = {Columns.User: rows["user"], Columns.Item: rows["item"], Columns.Weight: 1.0, Columns.Datetime: stamps}
    return Dataset.construct(pd.DataFrame(columns))


def ranked(peer: Peer, model: Any, known: Dataset, asked: pd.DataFrame) -> np.ndarray:
    """Lists for the users of `asked`, a row for each of them in the order of their first rows."""
    first = asked.drop_duplicates("user")
    users = first["user"].to_numpy()
    more = {}
    if peer.timed:
        from rectools.dataset.context import get_context

        stamps = pd.to_datetime(first["time"], unit="s")
        more = {"context": get_context(pd.DataFrame({Columns.User: users, Columns.Datetime: stamps}))}
    found = model.recommend(users, known, DEPTH, filter_viewed=True, on_unsupported_targets="ignore", **more)
    lists = np.full((len(users), DEPTH), -1, dtype=np.int32)
    lists[pd.Index(users).get_indexer(found[Columns.User]), found[Columns.Rank] - 1] = found[Columns.Item]
    return lists


def filled(lists: np.ndarray, folder: str, known: str, asked: pd.DataFrame, fallback: Settings | None) -> np.ndarray:
    """The lists, empty ones replaced by the popular one."""
    if fallback is None:
        return lists
    peer, data = PEERS["popular"], dataset(folder, known, False)
    instead = ranked(peer, popular(0, **fallback).fit(data), data, asked)
    return np.where((lists < 0).all(axis=1, keepdims=True), instead, lists)


def ndcg(lists: np.ndarray, taken: pd.DataFrame) -> float:
    """Mean NDCG@10 over users; the ideal list begins with all that a user took."""
    wanted = taken.groupby("user", sort=False)["item"].agg(set)
    gains = 1 / np.log2(np.arange(2, K + 2))
    hits = np.array([[item in own for item in row[:K]] for row, own in zip(lists, wanted, strict=True)])
    return float((hits @ gains / np.cumsum(gains)[[min(K, len(own)) - 1 for own in wanted]]).mean())


def trial(folder: str, name: str, settings: Settings, fallback: Settings | None) -> dict[str, Any]:
    """Validation NDCG@10 of one setting, of a transformer at its best epoch."""
    peer, start, taken = PEERS[name], time.process_time(), table(folder, "valid")
    known = dataset(folder, "train", peer.by_epochs)
    model = peer.build(SEEDS[0], **settings)

    def value() -> float:
        return ndcg(filled(ranked(peer, model, known, taken), folder, "train", taken, fallback), taken)

    curve: dict[int, float] = {}
    if not peer.by_epochs:
        model.fit(known)
        curve[0] = value()
    while peer.by_epochs and len(curve) * STEP < MOST and time.process_time() - start < LONGEST:
        model.fit_partial(known, min_epochs=STEP, max_epochs=STEP)
        curve[(len(curve) + 1) * STEP] = value()
        if max(curve) - best(curve) >= PATIENCE:
            break
    epochs = best(curve)
    took = round(time.process_time() - start, 1)
    return {"settings": settings, "valid": curve[epochs], "epochs": epochs, "curve": curve, "seconds": took}


def best(curve: dict[int, float]) -> int:
    return max(curve, key=curve.__getitem__)


def final(folder: str, name: str, chosen: dict[str, Any], seed: int, fallback: Settings | None) -> float:
    """Fit on train + valid, write the test users' lists; processor seconds."""
    peer, start, asked = PEERS[name], time.process_time(), table(folder, "test")
    known = dataset(folder, "both", peer.by_epochs)
    more = {"epochs": chosen["epochs"]} if peer.by_epochs else {}
    model = peer.build(seed, **chosen["settings"], **more).fit(known)
    np.save(f"{folder}/{name}_{seed}.npy", filled(ranked(peer, model, known, asked), folder, "both", asked, fallback))
    return round(time.process_time() - start, 1)


def said(begun: float, what: str) -> None:
    print(f"[peers {time.monotonic() - begun:6.0f} s] {what}", flush=True)


def tuned(
    pool: ProcessPoolExecutor, folder: str, names: list[str], fallback: Settings | None, begun: float
) -> dict[str, Any]:
    """What was tried for each peer, and the best of it."""
    waiting: dict[str, list[Future[dict[str, Any]]]] = {
        name: [pool.submit(trial, folder, name, settings, fallback) for settings in PEERS[name].grid] for name in names
    }
    found = {}
    for name, futures in waiting.items():
        tried = [future.result() for future in futures]
        chosen = max(tried, key=lambda one: one["valid"])
        found[name] = {key: chosen[key] for key in ("settings", "epochs", "valid")} | {"tried": tried}
        said(begun, f"{name}: validation {chosen['valid']:.4f} with {chosen['settings']}, {chosen['epochs'] or 'no'} epochs")
    return found


def finished(pool: ProcessPoolExecutor, folder: str, found: dict[str, Any], fallback: Settings | None, begun: float) -> None:
    """Lists of the chosen settings, and how long each fit took."""
    waiting = {
        name: {seed: pool.submit(final, folder, name, one, seed, fallback) for seed in PEERS[name].seeds}
        for name, one in found.items()
    }
    for name, futures in waiting.items():
        found[name]["seconds"] = {seed: future.result() for seed, future in futures.items()}
        said(begun, f"{name}: fitted on train + valid in {found[name]['seconds']} processor seconds")


def main(folder: str, asked: list[str]) -> None:
    begun, items = time.monotonic(), table(folder, "both")["item"].nunique()
    names, left_out = [name for name in PERSONAL if not asked or name in asked], {}
    if items > EASE_ITEMS and "ease" in names:
        names.remove("ease")
        left_out["ease"] = f"{items} items: RecTools' EASE inverts a dense matrix of them; it is fitted up to {EASE_ITEMS}"
        said(begun, f"ease is left out: {left_out['ease']}")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=processes("spawn")) as pool:
        found = tuned(pool, folder, list(POPULAR), None, begun)
        fallback = max(found.values(), key=lambda one: one["valid"])["settings"]
        found |= tuned(pool, folder, names, fallback, begun)
        finished(pool, folder, found, fallback, begun)
    packages = ("rectools", "pm-implicit", "torch", "pytorch-lightning", "numpy")
    report = {
        "peers": found, "left_out": left_out, "fallback": fallback, "personalised": names,
        "seconds": round(time.monotonic() - begun), "versions": {package: version(package) for package in packages},
    }  # fmt: skip
    Path(folder, "peers.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
