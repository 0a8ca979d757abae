"""Work that a thread does ahead of whoever needs it, such as tokenizing while the model is at work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[tuple[Given, Made]]:
    """Each with what is made of it, in order; that of the next one is made meanwhile, in another thread.

    >>> list(made_ahead(str.upper, ["a", "b"]))
    [('a', 'A'), ('b', 'B')]
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[tuple[Given, Future[Made]]] = deque()
        for each in given:
            waiting.append((each, pool.submit(make, each)))
            if len(waiting) > 1:
                this, made = waiting.popleft()
                yield this, made.result()
        for this, made in waiting:
            yield this, made.result()
