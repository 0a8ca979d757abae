"""Batches of rows through a model: side by side on a processor, queued one behind the other on a GPU."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lakerec.language.halving import halving

QUEUED = 1
"""Batches that a GPU has before it besides the one at work."""
Forward = Callable[[np.ndarray], Tensor]
"""What is read of the model's output for some rows."""


def run(forward: Forward, batches: list[np.ndarray], device: str) -> Iterator[tuple[np.ndarray, float]]:
    """What is read of each batch of rows, in order, and the seconds that the model took for it."""
    run_batch, threads = partial(_run_batch, forward), torch.get_num_threads()
    if device.startswith("cuda"):
        yield from _run_queued(forward, batches)
    elif device != "cpu" or threads == 1:
        yield from map(run_batch, batches)
    else:
        # As many batches at a time as torch may use threads, each with one: threads that share a batch wait for each
        # other after every layer's every part, 12 % slower on two cores.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(run_batch, batches)


def _run_batch(forward: Forward, rows: np.ndarray) -> tuple[np.ndarray, float]:
    clock = time.perf_counter()
    vectors = torch.cat(halving(forward, rows)).cpu().numpy()
    return vectors, time.perf_counter() - clock


def _run_queued(forward: Forward, batches: list[np.ndarray]) -> Iterator[tuple[np.ndarray, float]]:
    """On a GPU: while it works on one batch, the next is laid out, copied from pinned memory and queued behind it."""
    queued: deque[tuple[Tensor, torch.cuda.Event, torch.cuda.Event]] = deque()
    for number, rows in enumerate(batches):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        found = torch.cat(halving(forward, rows))
        host = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        host.copy_(found, non_blocking=True)
        end.record()
        queued.append((host, begin, end))
        while queued and (len(queued) > QUEUED or number == len(batches) - 1):
            host, begin, end = queued.popleft()
            end.synchronize()
            yield host.numpy(), begin.elapsed_time(end) / 1_000
