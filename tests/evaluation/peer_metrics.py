"""RecTools' figures a user of the lists in an .npz file: what test_independent compares ours with.

    python peer_metrics.py QUESTIONS.npz ANSWERS.npz      in an environment of its own (tests/benchmarks/peer_rectools.txt)

Options are those that give our definitions: NDCG over what is achievable, average precision over all targets.
"""

import sys

import numpy as np
import pandas as pd
from rectools import Columns
from rectools import metrics as m
from rectools.metrics.distances import PairwiseDistanceCalculator


class Cosine(PairwiseDistanceCalculator):
    """1 − cosine of the items' vectors."""

    def __init__(self, vectors):
        self.unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _get_distances_for_item_pairs(self, items_0, items_1):
        return 1 - np.einsum("nd,nd->n", self.unit[items_0.astype(int)], self.unit[items_1.astype(int)])


def pairs(offsets, items):
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return pd.DataFrame({Columns.User: users, Columns.Item: items})


def main(questions, answers):
    asked = np.load(questions)
    lists, num_items = asked["lists"], int(asked["num_items"])
    users, places = np.nonzero(lists >= 0)
    reco = pd.DataFrame({Columns.User: users, Columns.Item: lists[users, places], Columns.Rank: places + 1})
    targets = pairs(asked["target_offsets"], asked["targets"])
    met = pairs(asked["met_offsets"], asked["met"])
    catalog, found = np.arange(num_items), {}
    for k in asked["ks"].tolist():
        of_hits = {
            "precision": m.Precision(k), "recall": m.Recall(k), "f1": m.F1Beta(k), "hit_rate": m.HitRate(k),
            "mrr": m.MRR(k), "map": m.MAP(k), "ndcg": m.NDCG(k, divide_by_achievable=True),
        }  # fmt: skip
        told = {name: metric.calc_per_user(reco, targets) for name, metric in of_hits.items()}
        told["novelty"] = m.MeanInvUserFreq(k).calc_per_user(reco, met)
        told["popularity"] = m.AvgRecPopularity(k).calc_per_user(reco, met)
        told["serendipity"] = m.Serendipity(k).calc_per_user(reco, targets, met, catalog)
        if k > 1:
            told["diversity"] = m.IntraListDiversity(k, Cosine(asked["vectors"])).calc_per_user(reco)
        found |= {f"{name}@{k}": each.reindex(np.arange(len(lists))).to_numpy() for name, each in told.items()}
        found[f"coverage@{k}"] = np.array(m.CatalogCoverage(k, normalize=True).calc(reco, catalog))
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
