"""Texts to unit vectors with a Hugging Face model: tokens → chunks → batches by budget → model → pooling → unit length.

A text of more tokens than the model is to see at a time is several chunks, and its vector the mean of theirs by their
tokens. Encoders and decoders alike: padding stands behind the text, where a decoder's tokens do not look.

Loaded offline, weights as safetensors, no code from the model's folder. No Spark here: a GPU box may have torch alone.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language.adapters import load_bottlenecks
from lakerec.language.ahead import made_ahead
from lakerec.language.batching import CPU_BUDGET, GPU_BUDGET, GPU_ENOUGH, Ragged, token_budget_batches
from lakerec.language.chunker import Chunker, Tokenized
from lakerec.language.files import fingerprint, loading, processor_has, resolve_model
from lakerec.language.int8 import Int8Model
from lakerec.language.packed import pack
from lakerec.language.pooling import flat, joined, pooled
from lakerec.language.running import run
from lakerec.language.tokens import load_tokenizer, pieces, places, prompted

BF16_FLAGS = ("avx512_bf16", "amx_bf16")
"""Processor features with which bf16 is faster than fp32; without them it is emulated."""

ANY_LENGTH = 1 << 20
"""Tokens, more than any text has."""
CPU_HELD, GPU_HELD, GPU_VALUES = 20_000, 131_072, 50_331_648
"""Texts that are sorted by length together: more of them pad less, and give a GPU larger batches of one length, but take
memory; so for a GPU fewer where their vectors had more than so many numbers (200 MB).
"""
SHORT = 96
"""Tokens up to which an H100 is faster with the memory-efficient attention: by 13 % at 48; flash by 9 % at 128."""
Read = Callable[[Any, Tensor], Tensor]
"""What is taken of a model's output, given which tokens are real."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of n texts, in the order they were given."""

    vectors: np.ndarray
    """float32 [n, d], unit length; zeros where there is an error."""
    tokens: np.ndarray
    """int32 [n], tokens the model saw, over all chunks."""
    padded: np.ndarray
    """int32 [n], the same with the padding of their batches."""
    seconds: np.ndarray
    """float32 [n], that the model took: each text's share of its batches' time, by padded tokens."""
    errors: list[str | None]


@dataclass(frozen=True)
class States:
    """What the model knows of each token of a text, where it stands; marks and the prompt are left out."""

    places: np.ndarray
    """int64 [tokens, 2]: first character and the one behind the last, in the text without the prompt."""
    vectors: np.ndarray
    """float32 [tokens, d], last hidden states as they are, not of unit length."""


def resolve_precision(config: EncoderConfig, device: str) -> str:
    """`fp32`, `bf16` or `int8`: `auto` takes bf16 where the processor or GPU has it."""
    if config.precision != "auto":
        return config.precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if processor_has(BF16_FLAGS) else "fp32"


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
        self.config, self.device = config, device or ("cpu" if config.precision == "int8" else default_device())
        self.precision = resolve_precision(config, self.device)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        safely = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
        model: Any
        with loading(folder):
            model, told = AutoModel.from_pretrained(folder, dtype=dtype, output_loading_info=True, **safely)
        _refuse_random(model, set(told["missing_keys"]), config)
        load_bottlenecks(model, folder)
        self.model = model.to(self.device).eval()
        if self.device == "cpu" and self.precision == "bf16":
            pack(self.model)
        if self.precision == "int8":
            self.model = Int8Model(model, fingerprint(config), config.pooling == "pooler")
        self.longest = min(config.max_tokens, positions(model))
        self.tokenizer = load_tokenizer(folder, self.longest)
        self.chunker = Chunker(self.tokenizer, self.longest, config, _mark(model.config))
        self.dimensions = int(model.config.hidden_size)
        self.gpu = self.device.startswith("cuda")
        self.budget = config.token_budget or (GPU_BUDGET if self.gpu else CPU_BUDGET)
        self.enough = GPU_ENOUGH if self.gpu else None
        self.held = min(GPU_HELD, GPU_VALUES // self.dimensions) if self.gpu else CPU_HELD

    def encode(self, texts: Sequence[str | None]) -> Encoded:
        """Vectors of the texts; one that cannot be tokenized gets an error, its neighbours do not notice."""
        if not self.gpu or len(texts) <= self.held:
            return self.vectors(self.tokenize(texts))
        parts = (texts[start : start + self.held] for start in range(0, len(texts), self.held))
        return _in_one([self.vectors(tokens) for _, tokens in made_ahead(self.tokenize, parts)])

    def tokenize(self, texts: Sequence[str | None]) -> Tokenized:
        """What comes before the model, for whoever does it ahead in another thread."""
        return self.chunker.tokenize(texts)

    def vectors(self, texts: Tokenized) -> Encoded:
        """What the model makes of them; a vector that is not finite is an error of its text."""
        lengths, owner, errors = texts.chunks.lengths, texts.owner, list(texts.errors)
        found = np.zeros((len(lengths), self.dimensions), dtype=np.float32)
        padded, seconds = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths))
        batches = token_budget_batches(lengths, self.budget, self.enough)
        results = run(partial(self._forward, texts.chunks, self._pooled), batches, self.device)
        for rows, (vectors, took) in zip(batches, results, strict=True):
            found[rows], padded[rows], seconds[rows] = vectors, lengths[rows].max(), took / len(rows)

        def of_texts(values: np.ndarray) -> np.ndarray:
            return np.bincount(owner, values, len(errors))

        tokens = of_texts(lengths).astype(np.int32)
        whole = joined(found, owner, (lengths / tokens[owner]).astype(np.float32), len(errors))
        for row in np.flatnonzero(~np.isfinite(whole).all(axis=1)):
            whole[row], errors[row] = 0.0, "the encoder gave a vector that is not finite"
        return Encoded(whole, tokens, of_texts(padded).astype(np.int32), of_texts(seconds).astype(np.float32), errors)

    def states(self, texts: Sequence[str]) -> list[States]:
        """Last hidden states of the texts' tokens, over all chunks; a token of a decoder knows what stands before it only.

        Holds all of them: some 1.5 kB a token with 384 dimensions.
        """
        encodings = self.tokenizer.encode_batch([prompted(text, self.config) for text in texts])
        own = [pieces(encoding, self.config) for encoding in encodings]
        every = [part for text in own for part in text]
        found: list[np.ndarray] = [np.zeros((0, self.dimensions), dtype=np.float32)] * len(every)
        held = Ragged.of([part.ids for part in every])
        lengths, batches = held.lengths, token_budget_batches(held.lengths, self.budget, self.enough)
        results = run(partial(self._forward, held, flat), batches, self.device)
        for rows, (vectors, _) in zip(batches, results, strict=True):
            for row, part in zip(rows, np.split(vectors, np.cumsum(lengths[rows])[:-1]), strict=True):
                found[row] = part
        where = [places(part, self.config) for part in every]
        ends = np.cumsum([0, *(len(text) for text in own)])
        return [_of_text(where[a:b], found[a:b], self.dimensions) for a, b in itertools.pairwise(ends)]

    def _pooled(self, output: Any, mask: Tensor) -> Tensor:
        return pooled(output, mask, self.config.pooling)

    @torch.inference_mode()
    def _forward(self, texts: Ragged, read: Read, rows: np.ndarray) -> Tensor:
        block, real = texts.block(rows)
        mask, inputs = self._moved(real), {"input_ids": self._moved(block)}
        if not real.all():
            inputs["attention_mask"] = mask.long()
        with attending(block.shape[1]) if self.gpu else nullcontext():
            return read(self.model(**inputs), mask)

    def _moved(self, block: np.ndarray) -> Tensor:
        """A block on the device; to a GPU its copy from pinned memory is queued behind its work, and nobody waits for it."""
        there = torch.from_numpy(block)
        return there.pin_memory().to(self.device, non_blocking=True) if self.gpu else there


def attending(longest: int) -> AbstractContextManager[None]:
    """What a GPU attends with: not cuDNN's way, which plans some 0.1 s for each shape of batch that it has not met."""
    flash = [] if longest <= SHORT else [SDPBackend.FLASH_ATTENTION]
    return sdpa_kernel([*flash, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def _in_one(parts: list[Encoded]) -> Encoded:
    vectors, tokens, padded, seconds = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("vectors", "tokens", "padded", "seconds")
    )
    return Encoded(vectors, tokens, padded, seconds, [error for part in parts for error in part.errors])


def _of_text(where: list[np.ndarray], found: list[np.ndarray], dimensions: int) -> States:
    """A text's chunks in one, without tokens that are none of its characters; what is not finite is 0."""
    placed = np.concatenate([np.zeros((0, 2), dtype=np.int64), *where])
    vectors = np.concatenate([np.zeros((0, dimensions), dtype=np.float32), *found])
    real = placed[:, 1] > placed[:, 0]
    return States(placed[real], np.nan_to_num(vectors[real], nan=0.0, posinf=0.0, neginf=0.0))


def _mark(config: Any) -> int:
    """The token that stands for the beginning or the end, whichever the model has."""
    marks = (config.bos_token_id, config.eos_token_id, config.pad_token_id)
    return next((mark for mark in marks if isinstance(mark, int) and 0 <= mark < config.vocab_size), 0)


def positions(model: Any) -> int:
    """Tokens that the model can see at a time; RoBERTa and its kin count places from behind that of padding.

    A model whose config names none, such as T5's or Bloom's, has places by distance, for texts of any length.
    """
    most = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(most, int) or most < 1:
        return ANY_LENGTH
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    behind = getattr(table, "padding_idx", None)
    return most - (0 if behind is None else behind + 1)


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
