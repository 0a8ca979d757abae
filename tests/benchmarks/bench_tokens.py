"""Tokenizing by distinct words against the tokenizer itself, one thread each, the same ids.

made         texts of bench_encode, a number before each that no run met before
docstrings   of the packages that are installed: English and code, their words met before or for the first time

Peer: tokenizers' encode_batch_fast, and its lists of ids as one array. In turn, three times, medians.
"""

from __future__ import annotations

import ast
import os
import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
from lakerec.config import EncoderConfig
from lakerec.language import chunker
from lakerec.language.chunker import Chunker, Tokenized
from lakerec.language.files import resolve_model
from lakerec.language.tokens import load_tokenizer

from tests.benchmarks.common import write
from tests.benchmarks.texts import make_texts

TEXTS, RUNS, LONGEST = 30_000, 3, 256
PACKAGES = ["tokenizers", "numpy", "pyarrow"]


def docstrings() -> Iterator[str]:
    """Of installed packages, in the order of their files."""
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                yield " ".join(text.split())[:400]


def seconds(chunks: Chunker, texts: list[str]) -> tuple[float, Tokenized]:
    start = time.perf_counter()
    found = chunks.tokenize(texts)
    return time.perf_counter() - start, found


def in_order(found: Tokenized) -> list[np.ndarray]:
    """Ids of each chunk, in the order of the texts."""
    chunks = np.split(found.chunks.ids, found.chunks.starts[1:])
    return [chunks[row] for row in np.argsort(found.owner, kind="stable")]


def main() -> None:
    chunker.THREADS = 1
    config = EncoderConfig()
    tokenizer = load_tokenizer(resolve_model(config.model), LONGEST)
    peer = Chunker(tokenizer, LONGEST, config, 0)
    peer.words = None
    made, real = make_texts(TEXTS), list(dict.fromkeys(docstrings()))[:TEXTS]
    ours = Chunker(tokenizer, LONGEST, config, 0)
    ours.tokenize(made[:1_000])
    kinds: dict[str, Callable[[int], tuple[Chunker, list[str]]]] = {
        "made": lambda run: (ours, [f"{run}000000{text}" for text in made]),
        "docstrings, new words": lambda run: (Chunker(tokenizer, LONGEST, config, 0), real),
        "docstrings, known words": lambda run: (ours, real),
    }
    ours.tokenize(real)
    for name, texts_of in kinds.items():
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for run in range(1, RUNS + 1):
            mine, texts = texts_of(run)
            took, found = seconds(mine, texts)
            times["ours"].append(took)
            took, expected = seconds(peer, texts)
            times["peer"].append(took)
        if not all(map(np.array_equal, in_order(found), in_order(expected))):
            raise SystemExit(f"error: {name}: other ids than the tokenizer's")
        tokens = len(expected.chunks.ids)
        rates = {side: tokens / statistics.median(values) for side, values in times.items()}
        write(f"tokens, {name}", rates["ours"], rates["peer"], "tokens/s", PACKAGES, texts=len(texts))


if __name__ == "__main__":
    main()
