"""A causal language model that goes on with prompts: many at a time, each by chance of its own.

    prompts ─ tokens, padded before ─► model with its cache ─ temperature, noise of (seed, prompt) ─► token, again … ─► texts

What a prompt becomes depends on the model, the settings and the prompt, and on no other prompt of its batch, but for what
padding changes in the last digits.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lakerec.errors import EnvironmentProblem
from lakerec.language.batching import token_budget_batches
from lakerec.language.encoder import default_device, positions
from lakerec.language.files import digest_of, is_decoder, loading
from lakerec.language.halving import halving
from lakerec.language_config import DescriptionConfig

CPU_BUDGET, GPU_BUDGET = 2_048, 65_536
"""Tokens of a batch, prompts and what is written together."""
STOP = "\n"


class Writer:
    """A causal language model, fp32 on a processor, bf16 on a GPU.

    Args:
        folder: model of Hugging Face, weights as safetensors, with tokenizer.json.
        config: temperature, tokens and seed count here.
        device: `cpu`, `cuda` or `cuda:N`; None: a GPU if there is one.

    Raises:
        EnvironmentProblem: the model is no decoder, or its files lack weights.
    """

    def __init__(self, folder: Path, config: DescriptionConfig, device: str | None = None) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.config, self.device = config, device or default_device()
        gpu = self.device.startswith("cuda")
        writing(folder)
        safely = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
        dtype = torch.bfloat16 if gpu else torch.float32
        with loading(folder):
            loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True, **safely)
        model, told = loaded
        if missing := sorted(told["missing_keys"]):
            raise EnvironmentProblem(
                f"profile.descriptions.model: the files of {folder} lack {len(missing)} weights, such as {missing[0]}"
            )
        self.model = model.to(self.device).eval()
        self.budget = GPU_BUDGET if gpu else CPU_BUDGET
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.room = positions(model)
        ends = (model.generation_config.eos_token_id if model.generation_config else None, model.config.eos_token_id)
        self.ends = {each for end in ends for each in (end if isinstance(end, list) else [end]) if each is not None}

    def write(self, prompts: Sequence[str]) -> list[str]:
        """What follows each prompt, up to the end token, a line's end or `max_tokens`; a long prompt loses its beginning."""
        room = max(1, self.room - self.config.max_tokens)
        ids = [self._tokens(prompt)[-room:] for prompt in prompts]
        lengths = np.array([len(tokens) + self.config.max_tokens for tokens in ids], dtype=np.int64)
        written = [""] * len(prompts)
        for rows in token_budget_batches(lengths, self.budget):
            parts = halving(lambda some: self._batch([ids[r] for r in some], [prompts[r] for r in some]), rows)
            for row, text in zip(rows, itertools.chain(*parts), strict=True):
                written[row] = text
        return written

    @torch.inference_mode()
    def _batch(self, ids: list[list[int]], prompts: list[str]) -> list[str]:
        longest = max(map(len, ids))
        block = torch.zeros((len(ids), longest), dtype=torch.long)
        mask = torch.zeros_like(block)
        for row, tokens in enumerate(ids):
            block[row, longest - len(tokens) :] = torch.tensor(tokens)
            mask[row, longest - len(tokens) :] = 1
        step, mask = block.to(self.device), mask.to(self.device)
        chances = [np.random.default_rng(_seed(self.config.seed, prompt)) for prompt in prompts]
        written: list[list[int]] = [[] for _ in ids]
        going, cache = np.ones(len(ids), dtype=bool), None
        for _ in range(self.config.max_tokens):
            place = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -step.shape[1] :]
            output = self.model(
                input_ids=step, attention_mask=mask, position_ids=place, past_key_values=cache, use_cache=True
            )  # fmt: skip
            cache, chosen = output.past_key_values, self._chosen(output.logits[:, -1], chances)
            for row in np.flatnonzero(going):
                written[row].append(int(chosen[row]))
                going[row] = chosen[row] not in self.ends and STOP not in self.tokenizer.decode(written[row]).lstrip()
            if not going.any():
                break
            step = torch.from_numpy(chosen).to(self.device)[:, None]
            mask = torch.cat([mask, torch.ones_like(step)], dim=1)
        kept = ([token for token in tokens if token not in self.ends] for tokens in written)
        return [self.tokenizer.decode(tokens).lstrip().split(STOP)[0].strip() for tokens in kept]

    def _tokens(self, prompt: str) -> list[int]:
        """A prompt's tokens without a mark of the end, behind which nothing would follow; at least one."""
        found = self.tokenizer.encode(prompt).ids
        while len(found) > 1 and found[-1] in self.ends:
            found.pop()
        return found or [0]

    def _chosen(self, logits: Tensor, chances: list[np.random.Generator]) -> np.ndarray:
        """The next token of each row, int64 [n]: the likeliest, or drawn by Gumbel noise of the row's own."""
        scores = logits.float()
        if self.config.temperature:
            noise = np.stack([chance.gumbel(size=scores.shape[1]) for chance in chances])
            scores = scores / self.config.temperature + torch.from_numpy(noise).to(scores)
        found: np.ndarray = scores.argmax(dim=1).cpu().numpy()
        return found


def writing(folder: Path) -> Path:
    """The folder again, of a model that writes.

    Raises:
        EnvironmentProblem: it does not.
    """
    if not is_decoder(folder):
        raise EnvironmentProblem(f"profile.descriptions.model: {folder} is no causal model, such as write text")
    return folder


def writer_fingerprint(folder: Path, config: DescriptionConfig) -> str:
    """Of all that a written text depends on besides its prompt: name of the model and digest."""
    settings = (config.temperature, config.max_tokens, config.seed)
    return f"{folder.name}-{digest_of(folder, settings)}"


def _seed(seed: int, prompt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()[:8], "big")
