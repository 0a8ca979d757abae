"""A text as the chunks of tokens that the model sees one at a time. No torch here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from lakerec.config import EncoderConfig


def load_tokenizer(folder: Path, longest: int) -> Tokenizer:
    """The tokenizer of a model's folder; what is longer than `longest` tokens overflows, and nothing is padded."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer


def prompted(text: str | None, config: EncoderConfig) -> str | None:
    """What is tokenized for a text."""
    return text if text is None else config.prompt + text


def pieces(encoding: Encoding, config: EncoderConfig) -> list[Encoding]:
    """The chunks of a text; none where the tokenizer gives an empty text no token."""
    more = encoding.overflowing if config.long_texts == "chunk" else []
    return [part for part in (encoding, *more) if part.ids]


def chunks(encoding: Encoding, config: EncoderConfig) -> list[list[int]]:
    """Token ids of each chunk."""
    return [part.ids for part in pieces(encoding, config)]


def places(part: Encoding, config: EncoderConfig) -> np.ndarray:
    """Where a chunk's tokens stand in the text itself, int64 [tokens, 2], in characters; of marks and the prompt [0, 0].

    The tokenizer counts them from the prompt on. Offsets need `encode` or `encode_batch`, as `encode_batch_fast` has none.
    """
    found: np.ndarray = np.maximum(np.array(part.offsets, dtype=np.int64).reshape(-1, 2) - len(config.prompt), 0)
    return found
