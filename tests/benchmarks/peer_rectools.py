"""The peers of bench_quality: RecTools' models and those it wraps, tuned and fitted on the split files of a run of ours.

    python peer_rectools.py FOLDER [PEER ...]    in an environment of its own, since it wants another pyarrow

reads    train.parquet   user, item, time    what is known before the validation targets; each user's events in their order
         both.parquet    user, item, time    what is known before the test
         valid.parquet   user, item, time    what validation users took next, and when they came
         test.parquet    user, time          whom to rank for, and when they came; what they took is not told
writes   <peer>_<seed>.npy    items in rank order, int32 [test users, 100], -1 where a list is shorter
         peers.json           what was tried, chosen and left out, in what time, by which versions

Each peer is fitted on train with every setting of its grid; the one with the best validation NDCG@10 is fitted on train +
valid, once a seed where chance has a part and it comes near the best one. Transformers look at validation every few epochs
and are refitted for the best number of them. Nothing met before is shown. Whom a model cannot rank for, a stranger say,
gets the popular list that validation likes best. Models that count pairs see each pair once, sequence models see repeats.
A process a core, a thread each. peers.json is written after each fit: on the same split files, with the same versions and
grid, a later run goes on from there.
"""

import hashlib
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
from math import ceil
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
STEP, PATIENCE, BATCHES, MOST = 5, 20, 400, 300
"""Epochs between two looks at validation, without a gain until a fit ends, which takes as many batches too, and in all: of
few users a transformer learns nothing but what is popular for its first two hundred batches.
"""
LONGEST = 3_600
"""Processor seconds after which a fit that looks at validation ends in any case, and says so."""
NEAR = 0.75
"""A peer whose validation is below this share of the best one's is fitted once, not once a seed."""
EASE_ITEMS = 15_000
SHAPE = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "session_max_len": 50, "batch_size": 128, "lr": 1e-3}
PACKAGES = ("rectools", "pm-implicit", "torch", "pytorch-lightning", "numpy")
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

    patience = max(PATIENCE, BATCHES / ceil(table(folder, "train")["user"].nunique() / SHAPE["batch_size"]))
    curve: dict[int, float] = {}
    if not peer.by_epochs:
        model.fit(known)
        curve[0] = value()
    while peer.by_epochs and len(curve) * STEP < MOST and time.process_time() - start < LONGEST:
        model.fit_partial(known, min_epochs=STEP, max_epochs=STEP)
        curve[(len(curve) + 1) * STEP] = value()
        if max(curve) - best(curve) >= patience:
            break
    epochs = best(curve)
    took = round(time.process_time() - start, 1)
    cut = peer.by_epochs and took >= LONGEST
    return {"settings": settings, "valid": curve[epochs], "epochs": epochs, "cut": cut, "curve": curve, "seconds": took}


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


def as_asked(name: str, one: dict[str, Any]) -> bool:
    """Whether all that was tried for a peer is in today's grid."""
    return name in PEERS and all(trial["settings"] in PEERS[name].grid for trial in one["tried"])


class Found:
    """What was tried, chosen and fitted of each peer, in peers.json as soon as it is known."""

    def __init__(self, folder: str) -> None:
        self.path, self.begun = Path(folder, "peers.json"), time.monotonic()
        digest = hashlib.sha256()
        for name in ("train", "both", "valid", "test"):
            digest.update(Path(folder, f"{name}.parquet").read_bytes())
        self.same = {
            "split_files": digest.hexdigest(),
            "versions": {package: version(package) for package in PACKAGES},
            "stops": [STEP, PATIENCE, BATCHES, MOST, LONGEST],
        }
        report = json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        before = report if {key: report.get(key) for key in self.same} == self.same else {"peers": {}, "seconds": 0}
        self.earlier = before["seconds"]
        self.peers: dict[str, Any] = {name: one for name, one in before["peers"].items() if as_asked(name, one)}

    def write(self, **more: Any) -> None:
        report = {"peers": self.peers, "seconds": self.earlier + round(time.monotonic() - self.begun), **self.same, **more}
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        beside.replace(self.path)

    def said(self, what: str) -> None:
        print(f"[peers {time.monotonic() - self.begun:6.0f} s] {what}", flush=True)


def tune(pool: ProcessPoolExecutor, folder: str, names: list[str], fallback: Settings | None, found: Found) -> None:
    """Try every setting of the peers that was not tried before, and choose."""
    waiting: dict[str, list[Future[dict[str, Any]]]] = {}
    for name in names:
        done = [one["settings"] for one in found.peers.setdefault(name, {"tried": []})["tried"]]
        left = [settings for settings in PEERS[name].grid if settings not in done]
        if left:
            found.peers[name] = {"tried": found.peers[name]["tried"]}
            waiting[name] = [pool.submit(trial, folder, name, settings, fallback) for settings in left]
    for name, futures in waiting.items():
        tried = found.peers[name]["tried"]
        for future in futures:
            tried.append(future.result())
            found.write()
        chosen = max(tried, key=lambda one: one["valid"])
        found.peers[name] |= {key: chosen[key] for key in ("settings", "epochs", "valid")}
        found.write()
        found.said(f"{name}: validation {chosen['valid']:.4f} with {chosen['settings']}, {chosen['epochs'] or 'no'} epochs")


def finish(pool: ProcessPoolExecutor, folder: str, names: list[str], fallback: Settings | None, found: Found) -> None:
    """Lists of the chosen settings, and how long each fit took."""
    near = NEAR * max(one["valid"] for one in found.peers.values() if "valid" in one)
    waiting: dict[str, dict[int, Future[float]]] = {}
    for name in names:
        one = found.peers[name]
        seeds = PEERS[name].seeds[: None if one["valid"] >= near else 1]
        left = [seed for seed in seeds if str(seed) not in one.setdefault("seconds", {})]
        waiting[name] = {seed: pool.submit(final, folder, name, one, seed, fallback) for seed in left}
    for name, fits in waiting.items():
        for seed, future in fits.items():
            found.peers[name]["seconds"][str(seed)] = future.result()
            found.write()
        if fits:
            found.said(f"{name}: fitted on train + valid in {found.peers[name]['seconds']} processor seconds")


def main(folder: str, asked: list[str]) -> None:
    found, items = Found(folder), table(folder, "both")["item"].nunique()
    names, left_out = [name for name in PERSONAL if not asked or name in asked], {}
    if items > EASE_ITEMS and "ease" in names:
        names.remove("ease")
        left_out["ease"] = f"{items} items: RecTools' EASE inverts a dense matrix of them; it is fitted up to {EASE_ITEMS}"
        found.said(f"ease is left out: {left_out['ease']}")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=processes("spawn")) as pool:
        tune(pool, folder, list(POPULAR), None, found)
        fallback = max((found.peers[name] for name in POPULAR), key=lambda one: one["valid"])["settings"]
        tune(pool, folder, names, fallback, found)
        finish(pool, folder, [*POPULAR, *names], fallback, found)
    personalised = [name for name in PERSONAL if found.peers.get(name, {}).get("seconds")]
    found.write(left_out=left_out, fallback=fallback, personalised=personalised)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
