"""What does not fit in memory is done in halves, on processors too; other failures are no matter of size."""

import numpy as np
import pytest
import torch
from lakerec.language.halving import halving


def failing(message, kind=RuntimeError, most=2):
    def work(rows):
        if len(rows) > most:
            raise kind(message)
        return rows.tolist()

    return work


def test_halves_come_in_order_wherever_memory_ends():
    full = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
    for work in (failing(full), failing("CUDA out of memory", torch.OutOfMemoryError)):
        assert halving(work, np.arange(5)) == [[0, 1], [2], [3, 4]]


def test_a_single_row_that_is_too_much_and_other_failures_are_raised():
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        halving(failing("DefaultCPUAllocator: not enough memory", most=0), np.arange(3))
    with pytest.raises(RuntimeError, match="sizes must match"):
        halving(failing("sizes must match"), np.arange(5))


def test_what_torch_says_of_a_processor_s_full_memory_is_known():
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        torch.empty(1 << 60, dtype=torch.uint8)
