"""How good the lists are, beside RecTools' models trained in the same run on the same split files.

The pipeline runs as `make demo` runs it, in a lake of its own. Its splits are exported and the peers tuned and fitted on
them in their own environment, see peer_rectools.py. The whole catalogue is ranked for the same test users, what they met
left out, and our metric code judges both sides' lists. --folder keeps it all: what is up to date there is not done again.

ndcg     mean over three seeds of NDCG@10 over the test users, with a 95 % t interval; one fit where chance has no part
cold     the same of the targets with at most five earlier events alone, over the users who have any

Ours: the model that validation likes best. Peer: the one with the best mean on the test, of the cold targets the best
personalised one. `make bench-quality` makes the environment that the peers need; --peers none leaves them out.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.evaluation.intervals import interval_over_seeds
from lakerec.evaluation.lists import hit_matrix
from lakerec.evaluation.metrics import ndcg
from lakerec.loading import load_config
from lakerec.models.catalog import load, seeded
from lakerec.models.cold import cold_items
from lakerec.models.data import Histories
from lakerec.stages import arrays, pipeline
from lakerec.stages.base import Context, last_run
from lakerec.stages.evaluate import lists
from lakerec.stages.offering import best_by_validation
from lakerec.stages.train import SEEDS, validation_users

from tests.benchmarks.common import parser_of, write

K, DEPTH = 10, 100
STAGES = ("ingest", "clean", "featurize", "embed", "train")
RECTOOLS = Path("build/peers/rectools/bin/python")
PACKAGES = ["torch", "numpy", "scipy", "pyspark"]


@dataclass(frozen=True)
class Judge:
    """What the test users are to be shown."""

    histories: Histories
    targets: Histories
    cold: Histories
    num_items: int

    @classmethod
    def of(cls, context: Context) -> Judge:
        num_items = len(arrays.item_ids(context, {}))
        holdout = arrays.holdout(context, {}, Splits.TEST)[1]
        cold = cold_items(arrays.known_until(context, {}, Splits.VALID).histories, num_items)
        return cls(holdout.histories, holdout.targets, holdout.targets.only(cold, num_items), num_items)

    def figures(self, per_seed: list[np.ndarray]) -> dict[str, Any]:
        """Of one model's lists, int [users, depth] a seed."""
        found = {}
        for name, targets in (("ndcg", self.targets), ("cold", self.cold)):
            seeds = [self._ndcg(items, targets) for items in per_seed]
            mean, low, high = interval_over_seeds(np.array(seeds))
            found[name] = {"mean": mean, "low": low, "high": high, "seeds": seeds}
        return found

    def _ndcg(self, items: np.ndarray, targets: Histories) -> float:
        users = np.flatnonzero(targets.lengths)
        part = targets.take(users)
        hits = hit_matrix(items[users], part.offsets, part.items, self.num_items)
        return float(ndcg(hits, part.lengths, K).mean()) if len(users) else 0.0


def our_figures(judge: Judge, details: dict[str, str]) -> dict[str, Any]:
    """Every model of the train run, with as many seeds as it was fitted with."""
    folder, seeds = Path(details["folder"]), json.loads(details[SEEDS])
    names = sorted(path.parent.name for path in folder.glob("*/model.json") if "#" not in path.parent.name)
    found = {}
    for name in names:
        places = [folder / seeded(name, seed, seeds) for seed in seeds]
        models = (load(place) for place in places if place.is_dir())
        found[name] = judge.figures([lists(model, judge.histories, DEPTH, judge.num_items)[0] for model in models])
    return found


def came(context: Context, split: str) -> dict[str, int]:
    """When each user's events of a split begin, epoch seconds."""
    rows = context.lake.read(Tables.SEQUENCES).where(f"{C.SPLIT} = '{split}'").selectExpr(C.USER_ID, f"{C.TIMES}[0] as time")
    return {row[C.USER_ID]: row.time for row in rows.collect()}


def export(context: Context, folder: Path, num_items: int) -> None:
    """The split files that peer_rectools.py reads."""
    for name, until in (("train", Splits.TRAIN), ("both", Splits.VALID)):
        known = arrays.known_until(context, {}, until)
        events = known.histories
        rows = {"user": known.ids[events.rows].astype(str), "item": events.items, "time": events.times}
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")
    users, holdout = arrays.holdout(context, {}, Splits.VALID, validation_users(context.config.train, num_items))
    times = came(context, Splits.VALID)
    owners = users[holdout.targets.rows].astype(str)
    rows = {"user": owners, "item": holdout.targets.items, "time": [times[user] for user in owners]}
    pd.DataFrame(rows).to_parquet(folder / "valid.parquet")
    users, times = arrays.holdout(context, {}, Splits.TEST)[0].astype(str), came(context, Splits.TEST)
    pd.DataFrame({"user": users, "time": [times[user] for user in users]}).to_parquet(folder / "test.parquet")


def peer_figures(judge: Judge, folder: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tune and fit the peers; each one's figures and settings, and what else they report."""
    if not RECTOOLS.is_file():
        raise SystemExit(f"error: {RECTOOLS} is not there: `make bench-quality` makes it, --peers none does without")
    subprocess.run([str(RECTOOLS), str(Path(__file__).with_name("peer_rectools.py")), str(folder), *names], check=True)
    report = json.loads((folder / "peers.json").read_text(encoding="utf-8"))
    fitted = {name: one for name, one in report.pop("peers").items() if one.get("seconds")}
    for name, one in fitted.items():
        one |= judge.figures([np.load(folder / f"{name}_{seed}.npy") for seed in one["seconds"]])
    return fitted, report


def best(models: dict[str, Any], names: list[str], figure: str) -> tuple[str | None, float | None]:
    """The model with the highest mean, and that; nothing where there is no model."""
    values = {name: models[name][figure]["mean"] for name in names}
    return max(values.items(), key=lambda pair: pair[1]) if values else (None, None)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--dataset", default="ml100k")
    parser.add_argument("--peers", nargs="*", default=[], help="some of the peers, or none")
    parser.add_argument("--folder", type=Path, help="where lake and split files stay")
    asked = parser.parse_args()
    with nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        places = [f"lake.root={folder}/lake", f"tracking.uri=sqlite:///{folder}/mlflow.db", "train.seeds=[1,2,3]"]
        config = load_config(asked.conf, [*places, *asked.overrides])
        with pipeline.opened(config) as context:
            pipeline.run(context, STAGES)
            trained = last_run(context.lake, "train")
            assert trained is not None
            details = dict(trained.details)
            judge = Judge.of(context)
            export(context, folder, judge.num_items)
        models = our_figures(judge, details)
        peers, report = ({}, {}) if asked.peers == ["none"] else peer_figures(judge, folder, asked.peers)
    chosen = best_by_validation(details)
    ours, cold = models[chosen]["ndcg"], models[chosen]["cold"]["mean"]
    rival, peer = best(peers, list(peers), "ndcg")
    cold_rival, cold_peer = best(peers, report.get("personalised", []), "cold")
    validation = {name: float(details[f"valid_ndcg_{name}"]) for name in models}
    more: dict[str, Any] = {
        "best_by_validation": chosen, "interval": [ours["low"], ours["high"]], "best_peer": rival,
        "test_users": len(judge.targets), "items": judge.num_items,
        "cold_items": {
            "ours": cold, "peer": cold_peer, "ratio": cold / cold_peer if cold_peer else None, "best_peer": cold_rival,
            "users": int((judge.cold.lengths > 0).sum()), "targets": len(judge.cold.items),
        },
        "models": models, "validation": validation, "peers": peers, "peers_report": report,
    }  # fmt: skip
    write(f"quality_{asked.dataset}_{config.split.protocol}", ours["mean"], peer, f"ndcg@{K}", PACKAGES, **more)


if __name__ == "__main__":
    main()
