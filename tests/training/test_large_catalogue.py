"""A million items are learned from within the memory of a small machine."""

import pytest

from tests.benchmarks.bench_catalogue import ALLOWED, ITEMS, measure


@pytest.mark.long
def test_a_million_items_fit_into_eight_gibibytes(tmp_path):
    found = measure(tmp_path, ITEMS, steps=4)
    assert found["gib"] < ALLOWED
    assert found["steps"] == 4 and found["loss"] < 16, "that of chance is log 1,000,000 = 13.8, and a little estimate"
    assert found["value"] is not None
