"""Items that occur together: by hand, against brute force, and nothing of later splits."""

import math
import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from lakerec.features.pairs import item_pairs

pytestmark = pytest.mark.spark
START = datetime(2024, 1, 1, 12)


def interactions(spark, rows):
    """Rows (user, item, split), in the order of each history, a day apart."""
    filled = [(u, i, START + timedelta(days=n), split, n) for n, (u, i, split) in enumerate(rows)]
    return spark.createDataFrame(filled, "user_id string, item_id string, event_time timestamp, split string, position int")


def test_pairs_by_hand(spark):
    frame = interactions(
        spark,
        [("u", "a", "train"), ("u", "b", "train"), ("u", "a", "train"), ("v", "a", "train"), ("v", "b", "train"),
         ("w", "a", "train"), ("x", "c", "train"), ("w", "c", "valid"), ("x", "a", "test")],
    )  # fmt: skip
    found = item_pairs(frame, "user_id", 10, 10).orderBy("item_id").collect()
    assert [(r.item_id, r.other_item_id, r.together) for r in found] == [("a", "b", 2), ("b", "a", 2)]
    assert found[0].cosine == pytest.approx(2 / math.sqrt(3 * 2))
    assert found[0].lift == pytest.approx(2 * 4 / (3 * 2))
    assert {r.knowable_at for r in found} == {datetime(2024, 1, 8)}


def test_only_the_last_distinct_items_of_a_group_make_pairs(spark):
    frame = interactions(spark, [("u", item, "train") for item in "abcbd"])
    found = {(r.item_id, r.other_item_id) for r in item_pairs(frame, "user_id", 3, 10).collect()}
    assert found == set(permutations("bcd", 2))


def test_the_nearest_of_each_item_are_those_of_brute_force(spark):
    rng = random.Random(5)
    rows = [(rng.choice("uvwxyz"), rng.choice("abcdefgh"), "train") for _ in range(60)]
    baskets = [{i for u, i, _ in rows if u == user} for user in "uvwxyz"]
    sizes = Counter(item for basket in baskets for item in basket)
    both = Counter(pair for basket in baskets for pair in permutations(basket, 2))
    ranked = {
        item: sorted((-n / math.sqrt(sizes[a] * sizes[b]), -n, b) for (a, b), n in both.items() if a == item)[:2]
        for item in sizes
    }
    expected = {(item, other, -n) for item, others in ranked.items() for _, n, other in others}
    found = item_pairs(interactions(spark, rows), "user_id", 50, 2).collect()
    assert {(r.item_id, r.other_item_id, r.together) for r in found} == expected
