"""Texts to unit vectors with a Hugging Face encoder: tokens → batches by budget → model → pooling → unit length.

Loaded offline, weights as safetensors, no code from the model's folder. No Spark here: a GPU box may have torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lakerec.config import EncoderConfig
from lakerec.language.batching import token_budget_batches
from lakerec.language.files import fingerprint, resolve_model
from lakerec.language.packed import pack

BF16_FLAGS = ("avx512_bf16", "amx_bf16")
"""Processor features with which bf16 is faster than fp32; without them it is emulated."""

CPU_BUDGET, GPU_BUDGET = 1_024, 16_384
"""Padded tokens a batch: on a processor so few that a layer's values stay in its cache."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of n texts, in the order they were given."""

    vectors: np.ndarray
    """float32 [n, d], unit length; zeros where there is an error."""
    tokens: np.ndarray
    """int32 [n], tokens the model saw."""
    errors: list[str | None]


def resolve_precision(config: EncoderConfig, device: str) -> str:
    """`fp32` or `bf16`: `auto` takes bf16 where the processor or GPU has it."""
    if config.precision != "auto":
        return config.precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    return "bf16" if any(flag in flags for flag in BF16_FLAGS) else "fp32"


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def settled(config: EncoderConfig) -> EncoderConfig:
    """The config with `auto` made definite, so that driver and workers mean the same vectors by it.

    bf16 where tasks ask for a GPU; else what this machine's processor is fast at.
    """
    if config.precision != "auto":
        return config
    precision = "bf16" if config.gpus_per_task else resolve_precision(config, "cpu")
    return config.model_copy(update={"precision": precision})


def encoder_fingerprint(config: EncoderConfig) -> str:
    """Fingerprint of the vectors that `config` gives, `auto` settled here."""
    return fingerprint(settled(config))


class Encoder:
    """A language model that gives one unit vector a text.

    Args:
        config: model, pooling, longest text, token budget, precision.
        device: `cpu`, `cuda` or `cuda:N`; None: a GPU if there is one.

    Raises:
        EnvironmentProblem: the model's files were not found.
    """

    def __init__(self, config: EncoderConfig, device: str | None = None) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        folder = resolve_model(config.model)
        self.config, self.device = config, device or default_device()
        self.precision = resolve_precision(config, self.device)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        model: Any = AutoModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        self.model = model.to(self.device).eval()
        if self.device == "cpu" and self.precision == "bf16":
            pack(self.model)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(min(config.max_tokens, model.config.max_position_embeddings))
        self.dimensions = int(model.config.hidden_size)
        self.budget = config.token_budget or (GPU_BUDGET if self.device.startswith("cuda") else CPU_BUDGET)

    def encode(self, texts: Sequence[str | None]) -> Encoded:
        """Vectors of the texts; one that cannot be tokenized gets an error, its neighbours do not notice."""
        ids, errors = self._tokenize(texts)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        vectors = np.zeros((len(ids), self.dimensions), dtype=np.float32)
        usable = np.flatnonzero(lengths)
        batches = [usable[batch] for batch in token_budget_batches(lengths[usable], self.budget)]
        for rows, found in zip(batches, self._run([[ids[row] for row in rows] for rows in batches]), strict=True):
            vectors[rows] = found
        for row in usable[~np.isfinite(vectors[usable]).all(axis=1)]:
            vectors[row], errors[row] = 0.0, "the encoder gave a vector that is not finite"
        return Encoded(vectors, lengths.astype(np.int32), errors)

    def _tokenize(self, texts: Sequence[str | None]) -> tuple[list[list[int]], list[str | None]]:
        """Token ids of each text (none where there is an error)."""
        try:
            encodings = self.tokenizer.encode_batch_fast(list(texts))  # type: ignore[arg-type]
            return [encoding.ids for encoding in encodings], [None] * len(texts)
        except (TypeError, ValueError, UnicodeError):
            return self._tokenize_singly(texts)

    def _tokenize_singly(self, texts: Sequence[str | None]) -> tuple[list[list[int]], list[str | None]]:
        ids: list[list[int]] = []
        errors: list[str | None] = []
        for text in texts:
            try:
                ids.append(self.tokenizer.encode(text).ids)  # type: ignore[arg-type]
                errors.append(None)
            except (TypeError, ValueError, UnicodeError) as error:
                ids.append([])
                errors.append(f"not tokenizable: {type(error).__name__}")
        return ids, errors

    def _run(self, batches: list[list[list[int]]]) -> Iterator[np.ndarray]:
        """Vectors of each batch. On a processor as many batches at a time as torch may use threads, each with one.

        Threads that share a batch wait for each other after every layer's every part: 12 % slower on two cores.
        """
        threads = torch.get_num_threads()
        if self.device != "cpu" or threads == 1:
            yield from map(self._encode_batch, batches)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(self._encode_batch, batches)

    def _encode_batch(self, ids: list[list[int]]) -> np.ndarray:
        """Vectors of one batch; where memory does not suffice, of its halves."""
        try:
            return self._forward(ids)
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise
        # Out here the failed try holds no memory any more.
        torch.cuda.empty_cache()
        half = len(ids) // 2
        return np.concatenate([self._encode_batch(ids[:half]), self._encode_batch(ids[half:])])

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]]) -> np.ndarray:
        lengths = np.array([len(row) for row in ids])
        real = np.arange(lengths.max())[None, :] < lengths[:, None]
        block = np.zeros(real.shape, dtype=np.int64)
        block[real] = np.concatenate(ids)
        mask = torch.from_numpy(real).to(self.device)
        inputs = {"input_ids": torch.from_numpy(block).to(self.device)}
        if not real.all():
            inputs["attention_mask"] = mask.long()
        hidden = self.model(**inputs).last_hidden_state
        return self._pool(hidden, mask).cpu().numpy()

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[rows, T, d] → [rows, d], unit length, in fp32."""
        if self.config.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weight).sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(pooled, dim=1)
