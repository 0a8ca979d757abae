"""Texts to measure encoders with; nothing but the standard library, so that a GPU box may import it."""

from __future__ import annotations

import random

WORDS = """small large red blue green wooden metal soft bright lamp chair table mug tea coffee garden kitchen travel
story film music history modern classic family gift set of four with and for the original limited edition""".split()  # noqa: SIM905


def make_texts(count: int, seed: int = 7) -> list[str]:
    """Distinct texts of mixed length: mostly titles, some paragraphs; log-normal, mean near 46 tokens, at most 256."""
    rng = random.Random(seed)
    lengths = [min(250, max(2, int(rng.lognormvariate(3.4, 0.85)))) for _ in range(count)]
    return [f"{number} " + " ".join(rng.choices(WORDS, k=length)) for number, length in enumerate(lengths)]
