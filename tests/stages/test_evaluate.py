"""Users judged some at a time, without Spark: a model that knows the answers of half of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.lists import evaluate_lists
from lakerec.models.data import Histories, Holdout
from lakerec.models.slices import Categories
from lakerec.stages import evaluate
from lakerec.stages.slices import Slices, catalogue_of, mean_popularity

USERS, ITEMS, DEPTH = 60, 12, 10
HISTORIES = Histories.from_lists([[user % 5, 5 + user % 2] for user in range(USERS)])
TARGETS = Histories.from_lists([[7 + user % 5] for user in range(USERS)])
CATEGORIES = Categories.of_items([["tea"], ["lamp"]] * (ITEMS // 2))
CONFIG = SimpleNamespace(seed=1, evaluate=SimpleNamespace(k=[3], depth=DEPTH, bootstrap=100))


class HalfRight:
    """Puts the target first for users with item 5 in their history, last for the others."""

    name = "half_right"

    def score(self, histories):
        scores = np.tile(-np.arange(ITEMS, dtype=np.float32), (len(histories), 1))
        for row in range(len(histories)):
            first, second = histories.row(row)
            scores[row, 7 + first] = 100 if second == 5 else -100
        return scores


@pytest.fixture
def held_out():
    catalogue = catalogue_of(HISTORIES, None, CATEGORIES)
    halves = {f"side:{side}": np.arange(USERS) % 2 == side for side in (0, 1)}
    slices = Slices({"first": np.arange(USERS) < 30}, {"side": halves}, {"tail": np.arange(ITEMS) >= 10})
    ids, users = np.arange(ITEMS).astype(str), np.arange(USERS).astype(str)
    met = mean_popularity(HISTORIES, catalogue)
    return evaluate.EvaluationSet(ids, users, Holdout(HISTORIES, TARGETS), HISTORIES, CATEGORIES, slices, catalogue, met)


@pytest.fixture
def written(monkeypatch):
    """What would be appended: number of the block, users, items."""
    blocks = []

    def write(_context, _name, number, users, _ids, items, _scores):
        blocks.append((number, users, items))
        return items.size

    monkeypatch.setattr(evaluate, "_write_lists", write)
    monkeypatch.setattr(evaluate, "ROWS_AT_ONCE", 170)
    return blocks


def test_blocks_are_written_and_judged_as_all_lists_at_once_would_be(held_out, written):
    context = SimpleNamespace(config=CONFIG)
    rows, lines = evaluate._judged(context, held_out, "half_right", HalfRight())
    assert [number for number, *_ in written] == [1, 2, 3, 4] and lines == USERS * DEPTH
    np.testing.assert_array_equal(np.concatenate([users for _, users, _ in written]), held_out.users)
    items, _ = evaluate.lists(HalfRight(), HISTORIES, DEPTH, ITEMS)
    np.testing.assert_array_equal(np.concatenate([block for *_, block in written]), items)
    expected = evaluate_lists(
        "half_right", items, TARGETS.offsets, TARGETS.items, ITEMS, [3], 100, 1, held_out.slices.of_users
    )
    assert set(expected) <= set(rows)

    found = {(row.slice, row.metric): row for row in rows}
    assert found["side:0", "mrr"].value == 1 and found["side:1", "mrr"].value == 0
    gap = found["gap:side", "mrr"]
    assert (gap.value, gap.ci_low, gap.ci_high, gap.n) == (1, 1, 1, 2), "all of a side fare alike: nothing is left to chance"
    assert found["tail", "hit_rate"].n == int((TARGETS.items >= 10).sum())
    assert {metric for part, metric in found if part == "all"} == set(Metrics.ALL)


def test_a_further_seed_is_judged_on_all_users_and_its_lists_are_not_written(held_out, written):
    rows, lines = evaluate._judged(SimpleNamespace(config=CONFIG), held_out, "half_right#2", HalfRight())
    assert {row.slice for row in rows} == {"all"} and lines == 0 and not written
