"""Encoding on one GPU against sentence-transformers, same texts, same precision (bf16), one run; no Spark needed.

Ours: Encoder.encode, texts in memory → vectors in memory, tokenizing included. Peer: SentenceTransformer.encode with bf16
weights and a batch size of 512, which suits a GPU better than its default. Both warmed on a tenth, timed in turn, three
times; medians. `model_share`: of our wall time, what the GPU worked.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch
from lakerec.config import EncoderConfig
from lakerec.language.encoder import Encoder
from lakerec.language.files import resolve_model

from tests.benchmarks.bench_encode import make_texts
from tests.benchmarks.common import write

TEXTS, RUNS = 200_000, 3


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("bench_gpu needs a CUDA device")
    from sentence_transformers import SentenceTransformer

    texts, config = make_texts(TEXTS), EncoderConfig(precision="bf16")
    encoder = Encoder(config, "cuda")
    settings = {"dtype": torch.bfloat16}
    peer = SentenceTransformer(str(resolve_model(config.model)), device="cuda", model_kwargs=settings)
    encoder.encode(texts[: TEXTS // 10])
    peer.encode(texts[: TEXTS // 10], batch_size=512)
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(RUNS):
        start = time.perf_counter()
        encoded = encoder.encode(texts)
        times["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        expected = peer.encode(texts, batch_size=512, normalize_embeddings=True)
        times["peer"].append(time.perf_counter() - start)
    rates = {side: TEXTS / statistics.median(values) for side, values in times.items()}
    tokens, last = int(encoded.tokens.sum()), times["ours"][-1]
    cosines = (encoded.vectors * np.asarray(expected, dtype=np.float32)).sum(axis=1)
    more = {
        "texts": TEXTS, "device": torch.cuda.get_device_name(), "tokens_per_second": tokens / last,
        "model_share": float(encoded.seconds.sum()) / last, "padding_ratio": int(encoded.padded.sum()) / tokens,
        "cosine_mean": float(cosines.mean()), "seconds": times,
    }  # fmt: skip
    write("encode_gpu", rates["ours"], rates["peer"], "texts/s", ["torch", "transformers", "sentence-transformers"], **more)


if __name__ == "__main__":
    main()
