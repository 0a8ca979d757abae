"""Reasons name evidence that is there."""

import numpy as np
from lakerec.serving.reasons import reasons

TITLES = ["Alien", "Aliens", "Heat", "Casino", "Tea"]
CATEGORIES = [["Horror", "Sci-Fi"], ["Sci-Fi", "Action"], ["Crime"], ["Crime"], []]
VECTORS = np.array([[1, 0, 0], [0.9, 0.436, 0], [0, 1, 0], [0, 0.8, 0.6], [0, 0, 0]], dtype=np.float32)


def test_near_items_of_the_history_are_named_with_what_they_share():
    found = reasons(np.array([0, 2, -1]), np.array([1, 3]), VECTORS, TITLES, CATEGORIES)
    assert found == ["because of “Aliens” (all Sci-Fi)", "because of “Casino” and “Aliens”"]


def test_without_likeness_the_category_counts_then_the_crowd():
    found = reasons(np.array([2, 4]), np.array([3, 0]), None, TITLES, CATEGORIES)
    assert found == ["1 of your 2 items are Crime", "people with a like history chose it"]
    assert reasons(np.array([4]), np.array([], dtype=int), VECTORS, TITLES, CATEGORIES) == [
        "people with a like history chose it"
    ]
