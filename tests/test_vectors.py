"""Vectors between Arrow and numpy: there and back, chunks, none at all, and rows of zeros."""

import numpy as np
import pyarrow as pa
from lakerec.vectors import block, lists, unit

ROWS = np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32)


def test_rows_become_lists_and_lists_rows():
    np.testing.assert_array_equal(block(lists(ROWS)), ROWS)
    np.testing.assert_array_equal(block(pa.chunked_array([lists(ROWS[:1]), lists(ROWS[1:])])), ROWS)
    np.testing.assert_array_equal(block(lists(ROWS).slice(1, 2)), ROWS[1:])
    assert block(pa.chunked_array([], pa.list_(pa.float32()))).shape == (0, 0)


def test_rows_have_unit_length_but_zeros_stay():
    np.testing.assert_allclose(unit(ROWS), [[0.6, 0.8], [0, 0], [0, 1]], atol=1e-7)
