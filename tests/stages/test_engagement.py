"""Single events of at most so many users, drawn alike on every run."""

from types import SimpleNamespace

import numpy as np
from lakerec.models.data import Histories, Holdout
from lakerec.stages import engagement

HOLDOUT = Holdout(Histories.from_lists([[0, 1]] * 30), Histories.from_lists([[user % 3 + 2] for user in range(30)]))
CONFIG = SimpleNamespace(
    seed=1, evaluate=SimpleNamespace(bootstrap=100), train=SimpleNamespace(behaviour=SimpleNamespace(rated=[]))
)


class Fives:
    """Says that everybody engages with items 5 and above."""

    name = "behaviour"

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def predict(self, histories, asked, values):
        self.asked.append(asked.items)
        return np.where(asked.items >= 5, 1.0, -1.0), np.zeros(len(asked.items))


def test_of_more_users_than_are_judged_the_same_ones_are_drawn_by_the_seed(monkeypatch):
    users, context, model = np.arange(30).astype(str), SimpleNamespace(config=CONFIG), Fives()
    rows = engagement.figures(context, {}, model, users, HOLDOUT, 9)
    assert {row.metric: row.n for row in rows} == dict.fromkeys(("auc", "accuracy", "log_loss", "calibration"), 30)
    assert next(row.value for row in rows if row.metric == "auc") < 0.5, "all targets are below five"
    monkeypatch.setattr(engagement, "MOST_USERS", 12)
    fewer = [engagement.figures(context, {}, model, users, HOLDOUT, 9) for _ in range(2)]
    assert fewer[0] == fewer[1] and {row.n for row in fewer[0]} == {12}
    assert len(model.asked[0]) > len(model.asked[1]) == len(model.asked[2])
