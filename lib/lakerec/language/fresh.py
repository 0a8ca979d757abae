"""A small causal language model from nothing, with tokens of its own, for texts that are alike: to be trained on them.

texts ─ byte-pair encoding ─► tokenizer.json        GPT-2, so small, random ─► model.safetensors, config.json
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

END = "<|end|>"
VOCABULARY, POSITIONS, HEAD = 4_096, 256, 32
"""Tokens at most, tokens seen at a time, width of an attention head."""


def fresh_model(folder: Path, texts: Sequence[str], width: int, layers: int, seed: int) -> None:
    """Write an untrained model and the tokenizer of its texts into a folder.

    Source: Radford et al., Language models are unsupervised multitask learners, 2019.

    Args:
        width: of the model, a multiple of 16.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=POSITIONS, n_embd=width, n_layer=layers,
        n_head=max(1, width // HEAD), bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        GPT2Model(config).save_pretrained(folder)


def tokens(folder: Path, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text with the mark of its end, the last ones where the model does not see so many."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = json.loads((folder / "config.json").read_text(encoding="utf-8"))["eos_token_id"]
    return [[*encoding.ids, end][-POSITIONS:] for encoding in tokenizer.encode_batch_fast(list(texts))]
