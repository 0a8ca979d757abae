"""How the learning rate goes over the steps."""

from __future__ import annotations

import math


def schedule(step: int, total: int, warm_up: float, final_rate: float) -> float:
    """Share of the highest learning rate at a step, from 0: linear warm-up, then a cosine down to `final_rate`.

    Args:
        warm_up: share of all steps over which it rises.
    """
    rising = max(1, int(total * warm_up))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, total - rising)
    return final_rate + (1 - final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
