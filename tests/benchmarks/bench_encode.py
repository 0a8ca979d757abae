"""Delta → Delta encoding against sentence-transformers, same 5,000 texts, same threads, one run.

encode        ours as configured by default; the peer is SentenceTransformer.encode with its defaults (batch 32, fp32)
encode_int8   ours with encoder.precision int8; the peer is sentence-transformers' ONNX backend, quantized to int8

Ours: texts in a Delta table → Spark local, embed stage's bridge → vectors in a Delta table; session start excluded.
Peers keep their vectors in memory. All are warmed on a tenth of the texts and timed over the whole set in turn, three
times; medians. `make bench-encode` makes the environment that the ONNX backend needs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import EncoderConfig, LakeConfig, SparkConfig
from lakerec.lake.lake import Lake
from lakerec.lake.session import spark_session
from lakerec.language.batching import CPU_BUDGET, padding_ratio, token_budget_batches
from lakerec.language.encoder import encoder_fingerprint
from lakerec.language.files import resolve_model
from lakerec.language.spark import encode_texts

from tests.benchmarks.common import write
from tests.benchmarks.texts import make_texts

TEXTS, RUNS = 5_000, 3
ONNX = Path("build/peers/onnx/bin/python")
PACKAGES = ["torch", "transformers", "sentence-transformers", "pyspark", "onnxruntime"]


def lake_of(folder: str, texts: list[str], cores: int) -> Lake:
    """The texts in a table, text_hash their number."""
    lake = Lake(spark_session(SparkConfig(master=f"local[{cores}]")), LakeConfig(root=folder))
    rows = [(str(n), str(n), text) for n, text in enumerate(texts)]
    lake.overwrite(lake.spark.createDataFrame(rows, "item_id string, text_hash string, text string"), Tables.ITEM_TEXT)
    return lake


def encoded(lake: Lake, config: EncoderConfig, most: int, cores: int) -> float:
    """Seconds from table to table."""
    waiting = lake.read(Tables.ITEM_TEXT).where(f"cast(item_id as int) < {most}").repartition(1)
    start = time.perf_counter()
    lake.overwrite(encode_texts(waiting, config, cores), Tables.TEXT_VECTORS)
    return time.perf_counter() - start


@contextmanager
def onnx_peer(folder: str, texts: list[str], model: str) -> Iterator[tuple[Callable[[int], float], dict[str, str], Path]]:
    """Seconds that the ONNX backend takes for so many texts, versions, and where its vectors lie."""
    lying, vectors = Path(folder) / "texts.json", Path(folder) / "peer.npy"
    lying.write_text(json.dumps(texts), encoding="utf-8")
    command = [str(ONNX), str(Path(__file__).with_name("peer_onnx.py")), model, str(lying), str(vectors)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:

        def answer() -> Any:
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith(("{", *"0123456789")):
                if not line:
                    raise SystemExit("error: the peer ended; make bench-encode makes its environment")
            return json.loads(line)

        def seconds(count: int) -> float:
            assert process.stdin is not None
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            return float(answer())

        yield seconds, answer(), vectors
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    from sentence_transformers import SentenceTransformer

    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    texts = make_texts(TEXTS)
    configs = {"ours": EncoderConfig(), "int8": EncoderConfig(precision="int8")}
    model = str(resolve_model(configs["ours"].model))
    default = SentenceTransformer(model, device="cpu")
    found: dict[str, np.ndarray] = {}

    def by_default(count: int) -> float:
        start = time.perf_counter()
        found["default"] = default.encode(texts[:count], normalize_embeddings=True)
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder, onnx_peer(folder, texts, model) as (by_onnx, versions, vectors):
        lake = lake_of(folder, texts, cores)
        sides: dict[str, Callable[[int], float]] = {
            "ours": lambda count: encoded(lake, configs["ours"], count, cores),
            "default": by_default,
            "int8": lambda count: encoded(lake, configs["int8"], count, cores),
            "onnx": by_onnx,
        }
        times: dict[str, list[float]] = {side: [] for side in sides}
        for run in sides.values():
            run(TEXTS // 10)
        for _ in range(RUNS):
            for side, run in sides.items():
                times[side].append(run(TEXTS))
                if side in configs:
                    rows = lake.read(Tables.TEXT_VECTORS).select(C.TEXT_HASH, C.VECTOR, C.TOKENS).collect()
                    rows.sort(key=lambda row: int(row[C.TEXT_HASH]))
                    found[side] = np.array([row[C.VECTOR] for row in rows], dtype=np.float32)
        found["onnx"] = np.load(vectors)
        lake.spark.stop()
    lengths = np.array([row[C.TOKENS] for row in rows])
    rates = {side: TEXTS / statistics.median(values) for side, values in times.items()}
    cosines = {side: (values * found["default"]).sum(axis=1) for side, values in found.items()}
    shared = {
        "texts": TEXTS, "mean_tokens": float(lengths.mean()),
        "padding": padding_ratio(lengths, token_budget_batches(lengths, CPU_BUDGET)), "seconds": times, "rates": rates,
        "encoders": [encoder_fingerprint(config) for config in configs.values()],
        "cosine_to_fp32": {side: [float(values.mean()), float(values.min())] for side, values in cosines.items()},
    }  # fmt: skip
    write("encode", rates["ours"], rates["default"], "texts/s", PACKAGES, **shared)
    more = {"default_ratio": rates["int8"] / rates["default"], "peer_versions": versions}
    write("encode_int8", rates["int8"], rates["onnx"], "texts/s", PACKAGES, **more, **shared)


if __name__ == "__main__":
    main()
