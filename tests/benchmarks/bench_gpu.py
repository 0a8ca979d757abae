"""Encoding on one GPU against sentence-transformers, same texts, same precision (bf16), one run; no Spark needed.

one       a process for the GPU
several   four processes that share it, as tasks do with encoder.gpus_per_task 0.25; each has a quarter of the texts

Ours: Encoder.encode, texts in memory → vectors in memory, tokenizing included. Peer: SentenceTransformer.encode with bf16
weights and a batch size of 512, which suits a GPU better than its default. Both warmed on a tenth, timed in turn, three
times, each time with numbers before the texts that neither met before; medians. `busy`: the share of our wall time in which
the GPU ran kernels and copies, by the profiler over a tenth of the texts; `model_share`: the same from where a batch is laid
out to its last kernel, which is what a run's figures have.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from lakerec.config import EncoderConfig
from lakerec.language.encoder import Encoded, Encoder
from lakerec.language.files import resolve_model

from tests.benchmarks.common import write
from tests.benchmarks.texts import make_texts

TEXTS, RUNS, PROCESSES, BATCH = 100_000, 3, 4, 512
PACKAGES = ["torch", "transformers", "tokenizers", "sentence-transformers"]
_held: dict[str, Callable[[list[str]], Any]] = {}
"""What a process that shares the GPU encodes with."""


def ours() -> Callable[[list[str]], Encoded]:
    return Encoder(EncoderConfig(precision="bf16"), "cuda").encode


def peer() -> Callable[[list[str]], Any]:
    from sentence_transformers import SentenceTransformer

    folder = str(resolve_model(EncoderConfig().model))
    model = SentenceTransformer(folder, device="cuda", model_kwargs={"dtype": torch.bfloat16})
    return lambda texts: model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


SIDES: dict[str, Callable[[], Callable[[list[str]], Any]]] = {"ours": ours, "peer": peer}


def encode_quarter(side: str, texts: list[str]) -> int:
    """In a process of the pool; it keeps its vectors, as a task does."""
    if side not in _held:
        _held[side] = SIDES[side]()
    _held[side](texts)
    return len(texts)


def numbered(texts: list[str], run: int) -> list[str]:
    """The texts with other numbers before them, none of which an earlier run had."""
    return [f"{run}000000{text}" for text in texts]


def in_turn(work: dict[str, Callable[[list[str]], Any]], texts: list[str]) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each side's runs, and what the last one gave."""
    found: dict[str, Any] = {side: encode(texts[: len(texts) // 10]) for side, encode in work.items()}
    times: dict[str, list[float]] = {side: [] for side in work}
    for run in range(1, RUNS + 1):
        new = numbered(texts, run)
        for side, encode in work.items():
            start = time.perf_counter()
            found[side] = encode(new)
            times[side].append(time.perf_counter() - start)
    return times, found


def several(texts: list[str]) -> dict[str, list[float]]:
    """Seconds of each side's runs, by processes that share the GPU, each warmed on its quarter."""
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        pools = [stack.enter_context(ProcessPoolExecutor(1, spawn)) for _ in range(PROCESSES)]

        def shared(side: str) -> Callable[[list[str]], int]:
            def encode(some: list[str]) -> int:
                parts = [pool.submit(encode_quarter, side, some[n::PROCESSES]) for n, pool in enumerate(pools)]
                return sum(part.result() for part in parts)

            encode(numbered(texts, 9))
            return encode

        return in_turn({side: shared(side) for side in SIDES}, texts)[0]


def kernels(encode: Callable[[list[str]], Any], texts: list[str]) -> float:
    """Seconds in which the GPU ran kernels and copies."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        encode(texts)
    return sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("bench_gpu needs a CUDA device")
    texts = make_texts(TEXTS)
    work = {side: load() for side, load in SIDES.items()}
    one, found = in_turn(work, texts)
    encoded, last = found["ours"], one["ours"][-1]
    tokens = int(encoded.tokens.sum())
    cosines = (encoded.vectors * np.asarray(found["peer"], dtype=np.float32)).sum(axis=1)
    busy = kernels(work["ours"], texts[: TEXTS // 10]) * 10 / last
    more = {
        "texts": TEXTS, "device": torch.cuda.get_device_name(), "busy": busy,
        "model_share": float(encoded.seconds.sum()) / last, "padding_ratio": int(encoded.padded.sum()) / tokens,
        "cosine_mean": float(cosines.mean()),
    }  # fmt: skip
    for name, times in (("encode_gpu", one), ("encode_gpu_several", several(texts))):
        rates = {side: TEXTS / statistics.median(values) for side, values in times.items()}
        rate = {"tokens_per_second": rates["ours"] * tokens / TEXTS, "seconds": times}
        write(name, rates["ours"], rates["peer"], "texts/s", PACKAGES, **{**more, **rate} if times is one else rate)


if __name__ == "__main__":
    main()
