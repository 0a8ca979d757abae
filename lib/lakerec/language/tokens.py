"""A text as the chunks of tokens that the model sees one at a time. No torch here."""

from __future__ import annotations

from pathlib import Path

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


def chunks(encoding: Encoding, config: EncoderConfig) -> list[list[int]]:
    """Token ids of each chunk; none where the tokenizer gives an empty text no token."""
    more = encoding.overflowing if config.long_texts == "chunk" else []
    return [part.ids for part in (encoding, *more) if part.ids]
