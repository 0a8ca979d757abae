"""Delta → Delta encoding against sentence-transformers' default encode, same 5,000 texts, same threads, one run.

Ours: texts in a Delta table → Spark local, embed stage's bridge → vectors in a Delta table; session start excluded.
Peer: SentenceTransformer.encode(texts) with its defaults (batch 32, fp32), vectors in memory.
Both are warmed on a tenth of the texts and timed over the whole set in turn, three times; medians.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time

import numpy as np
import torch
from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import EncoderConfig, LakeConfig, SparkConfig
from lakerec.lake.lake import Lake
from lakerec.lake.session import spark_session
from lakerec.language.encoder import encoder_fingerprint
from lakerec.language.files import resolve_model
from lakerec.language.spark import encode_texts

from tests.benchmarks.common import write

TEXTS, RUNS = 5_000, 3
WORDS = """small large red blue green wooden metal soft bright lamp chair table mug tea coffee garden kitchen travel
story film music history modern classic family gift set of four with and for the original limited edition""".split()  # noqa: SIM905


def make_texts(count: int, seed: int = 7) -> list[str]:
    """Distinct texts of mixed length: mostly titles, some paragraphs; log-normal, mean near 46 tokens, at most 256."""
    rng = random.Random(seed)
    lengths = [min(250, max(2, int(rng.lognormvariate(3.4, 0.85)))) for _ in range(count)]
    return [f"{number} " + " ".join(rng.choices(WORDS, k=length)) for number, length in enumerate(lengths)]


def main() -> None:
    from sentence_transformers import SentenceTransformer

    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    texts, config = make_texts(TEXTS), EncoderConfig()
    peer = SentenceTransformer(str(resolve_model(config.model)), device="cpu")
    spark = spark_session(SparkConfig(master=f"local[{cores}]"))
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(spark, LakeConfig(root=folder))
        frame = spark.createDataFrame(
            [(str(n), str(n), text) for n, text in enumerate(texts)], "item_id string, text_hash string, text string"
        )
        lake.overwrite(frame, Tables.ITEM_TEXT)
        encoder = encoder_fingerprint(config)

        def ours(most: int) -> None:
            waiting = lake.read(Tables.ITEM_TEXT).where(f"cast(item_id as int) < {most}").repartition(1)
            lake.overwrite(encode_texts(waiting, config, cores), Tables.TEXT_VECTORS)

        ours(TEXTS // 10)
        peer.encode(texts[: TEXTS // 10])
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(RUNS):
            start = time.perf_counter()
            ours(TEXTS)
            times["ours"].append(time.perf_counter() - start)
            start = time.perf_counter()
            expected = peer.encode(texts, normalize_embeddings=True)
            times["peer"].append(time.perf_counter() - start)
        rows = lake.read(Tables.TEXT_VECTORS).select(C.TEXT_HASH, C.VECTOR, C.TOKENS).collect()
    found = np.zeros_like(expected)
    for row in rows:
        found[int(row[C.TEXT_HASH])] = row[C.VECTOR]
    cosines = (found * expected).sum(axis=1)
    rates = {side: TEXTS / statistics.median(values) for side, values in times.items()}
    more = {
        "texts": TEXTS, "mean_tokens": float(np.mean([row[C.TOKENS] for row in rows])), "encoder": encoder,
        "cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min()), "seconds": times,
    }  # fmt: skip
    write(
        "encode",
        rates["ours"],
        rates["peer"],
        "texts/s",
        ["torch", "transformers", "sentence-transformers", "pyspark"],
        **more,
    )
    spark.stop()


if __name__ == "__main__":
    main()
