"""Texts to unit vectors with a Hugging Face model: tokens → chunks → batches by budget → model → pooling → unit length.

A text of more tokens than the model is to see at a time is several chunks, and its vector the mean of theirs by their
tokens. Encoders and decoders alike: padding stands behind the text, where a decoder's tokens do not look.

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
from tokenizers import Encoding
from torch import Tensor

from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language.batching import token_budget_batches
from lakerec.language.files import fingerprint, resolve_model
from lakerec.language.packed import pack
from lakerec.language.tokens import chunks, load_tokenizer, prompted

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
    """int32 [n], tokens the model saw, over all chunks."""
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
        config: model, pooling, tokens at a time, what becomes of longer texts, token budget, precision.
        device: `cpu`, `cuda` or `cuda:N`; None: a GPU if there is one.

    Raises:
        EnvironmentProblem: the model's files were not found, or lack weights that its vectors depend on.
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
        safely = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
        model: Any
        model, loading = AutoModel.from_pretrained(folder, dtype=dtype, output_loading_info=True, **safely)
        _refuse_random(model, set(loading["missing_keys"]), config)
        self.model = model.to(self.device).eval()
        if self.device == "cpu" and self.precision == "bf16":
            pack(self.model)
        self.tokenizer = load_tokenizer(folder, min(config.max_tokens, _positions(model)))
        self.dimensions = int(model.config.hidden_size)
        self.budget = config.token_budget or (GPU_BUDGET if self.device.startswith("cuda") else CPU_BUDGET)

    def encode(self, texts: Sequence[str | None]) -> Encoded:
        """Vectors of the texts; one that cannot be tokenized gets an error, its neighbours do not notice."""
        parts, errors = self._tokenize([prompted(text, self.config) for text in texts])
        ids = [chunk for text in parts for chunk in text]
        owner = np.repeat(np.arange(len(parts)), [len(text) for text in parts])
        lengths = np.array([len(chunk) for chunk in ids], dtype=np.int64)
        tokens = np.bincount(owner, lengths, len(parts)).astype(np.int32)
        found = np.zeros((len(ids), self.dimensions), dtype=np.float32)
        batches = token_budget_batches(lengths, self.budget)
        for rows, vectors in zip(batches, self._run([[ids[row] for row in rows] for rows in batches]), strict=True):
            found[rows] = vectors
        vectors = _joined(found, owner, (lengths / tokens[owner]).astype(np.float32), len(parts))
        for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
            vectors[row], errors[row] = 0.0, "the encoder gave a vector that is not finite"
        return Encoded(vectors, tokens, errors)

    def _tokenize(self, texts: Sequence[str | None]) -> tuple[list[list[list[int]]], list[str | None]]:
        """Token ids of each text's chunks (none where there is an error)."""
        try:
            encodings = self.tokenizer.encode_batch_fast(list(texts))  # type: ignore[arg-type]
            return [self._chunks(encoding) for encoding in encodings], [None] * len(texts)
        except (TypeError, ValueError, UnicodeError):
            return self._tokenize_singly(texts)

    def _tokenize_singly(self, texts: Sequence[str | None]) -> tuple[list[list[list[int]]], list[str | None]]:
        parts: list[list[list[int]]] = []
        errors: list[str | None] = []
        for text in texts:
            try:
                parts.append(self._chunks(self.tokenizer.encode(text)))  # type: ignore[arg-type]
                errors.append(None)
            except (TypeError, ValueError, UnicodeError) as error:
                parts.append([])
                errors.append(f"not tokenizable: {type(error).__name__}")
        return parts, errors

    def _chunks(self, encoding: Encoding) -> list[list[int]]:
        """At least one, of at least one token: a mark of the model's, where its tokenizer gives an empty text none."""
        return chunks(encoding, self.config) or [[_mark(self.model.config)]]

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
        return self._pool(self.model(**inputs), mask).cpu().numpy()

    def _pool(self, output: Any, mask: Tensor) -> Tensor:
        """[rows, T, d] → [rows, d], unit length, in fp32."""
        hidden = output.last_hidden_state
        if self.config.pooling == "cls":
            pooled = hidden[:, 0].float()
        elif self.config.pooling == "pooler":
            pooled = output.pooler_output.float()
        elif self.config.pooling == "last_token":
            pooled = hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1].float()
        else:
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weight).sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(pooled, dim=1)


def _joined(found: np.ndarray, owner: np.ndarray, weights: np.ndarray, texts: int) -> np.ndarray:
    """Unit vectors of chunks → of their texts [texts, d]; a text of one chunk has that chunk's, one of none has zeros.

    Args:
        owner: row of the text that a chunk is of, ascending.
        weights: share of the text's tokens that a chunk has.
    """
    several = np.bincount(owner, minlength=texts) > 1
    vectors = np.zeros((texts, found.shape[1]), dtype=np.float32)
    alone = ~several[owner]
    vectors[owner[alone]] = found[alone]
    np.add.at(vectors, owner[~alone], found[~alone] * weights[~alone, None])
    vectors[several] /= np.linalg.norm(vectors[several], axis=1, keepdims=True)
    return vectors


def _mark(config: Any) -> int:
    """The token that stands for the beginning or the end, whichever the model has."""
    marks = (config.bos_token_id, config.eos_token_id, config.pad_token_id)
    return next((mark for mark in marks if isinstance(mark, int) and 0 <= mark < config.vocab_size), 0)


def _positions(model: Any) -> int:
    """Tokens that the model can see at a time; RoBERTa and its kin count places from behind that of padding."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    behind = getattr(table, "padding_idx", None)
    return int(model.config.max_position_embeddings) - (0 if behind is None else behind + 1)


def _refuse_random(model: Any, missing: set[str], config: EncoderConfig) -> None:
    """Weights that the files lack are random numbers, another set of them in each process.

    Raises:
        EnvironmentProblem: vectors would depend on such weights.
    """
    if config.pooling == "pooler" and getattr(model, "pooler", None) is None:
        raise EnvironmentProblem(f"encoder.pooling: `{config.model}` has no pooler: take mean, cls or last_token")
    needed = sorted(name for name in missing if config.pooling == "pooler" or not name.startswith("pooler."))
    if needed:
        raise EnvironmentProblem(
            f"encoder.model: the files of `{config.model}` lack {len(needed)} weights, such as {needed[0]}; "
            "take all files of the model, or another pooling"
        )
