"""The k-core equals taking away one user or item at a time."""

import random

import pytest
from lakerec.features.core import k_core

pytestmark = pytest.mark.spark


def rows(spark, pairs):
    return spark.createDataFrame(pairs, "user_id string, item_id string")


def by_hand(pairs, k_user, k_item):
    left = {pair for pair in pairs if pair[0] is not None}
    while True:
        users, items = {u for u, _ in left}, {i for _, i in left}
        gone_user = next((u for u in sorted(users) if sum(p[0] == u for p in left) < k_user), None)
        gone_item = next((i for i in sorted(items) if sum(p[1] == i for p in left) < k_item), None)
        if gone_user is None and gone_item is None:
            return left
        left = {p for p in left if p[0] != gone_user and (gone_user is not None or p[1] != gone_item)}


def test_one_user_takes_the_whole_chain_along(spark):
    chain = [("u1", "a"), ("u1", "b"), ("u2", "b"), ("u2", "c"), ("u3", "c"), ("u3", "d"), ("u4", "d")]
    whole = [(user, item) for user in "xy" for item in "pq"]
    frame = rows(spark, chain + whole + [("x", "p"), (None, "p")])
    found = sorted(map(tuple, k_core(frame, 2, 2).collect()))
    assert found == sorted([*whole, ("x", "p")]), "a repeat of a kept pair stays, and makes no item more frequent"


@pytest.mark.parametrize(("k_user", "k_item"), [(2, 3), (3, 2), (1, 1)])
def test_it_is_that_of_brute_force(spark, k_user, k_item):
    rng = random.Random(k_user)
    pairs = [(rng.choice("uvwxyz"), rng.choice("abcdefgh")) for _ in range(26)]
    found = {tuple(row) for row in k_core(rows(spark, pairs), k_user, k_item).collect()}
    assert found == by_hand(pairs, k_user, k_item) != set()


def test_too_high_a_number_leaves_nothing(spark):
    assert k_core(rows(spark, [("u", "a"), ("v", "b")]), 5, 5).count() == 0
