"""Texts to the chunks of tokens that a model sees, by several threads: word by word where the tokenizer allows it.

Parts of some thousand texts stay in a processor's cache while a thread works on them. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from lakerec.config import EncoderConfig
from lakerec.language.batching import Ragged
from lakerec.language.tokens import chunks, prompted
from lakerec.language.words import WordTokenizer, by_words

PART, THREADS = 4_096, 4
"""Texts that a thread takes at a time, and threads."""


@dataclass(frozen=True)
class Tokenized:
    """Texts as the chunks of tokens that the model sees."""

    chunks: Ragged
    owner: np.ndarray
    """Row of the text that a chunk is of, int64 [chunks]; a text's chunks are in their order."""
    errors: list[str | None]
    """One a text; a text with an error has no chunk."""

    @classmethod
    def joined(cls, parts: Sequence[Tokenized]) -> Tokenized:
        """The texts of all, in order."""
        firsts = np.cumsum([0, *(len(part.errors) for part in parts)])
        owner = np.concatenate([part.owner + first for part, first in zip(parts, firsts, strict=False)])
        return cls(Ragged.joined([part.chunks for part in parts]), owner, [error for part in parts for error in part.errors])


class Chunker:
    """Tokenizes for one model.

    Args:
        tokenizer: of the model's folder; what is longer than `longest` tokens overflows.
        empty: token of a text that the tokenizer gives none.
    """

    def __init__(self, tokenizer: Tokenizer, longest: int, config: EncoderConfig, empty: int) -> None:
        self.tokenizer, self.longest, self.config, self.empty = tokenizer, longest, config, empty
        self.words = WordTokenizer(tokenizer) if by_words(tokenizer) else None

    def tokenize(self, texts: Sequence[str | None]) -> Tokenized:
        """Chunks of the texts; None, and what is no Unicode, gets an error, its neighbours do not notice."""
        if self.words is None or len(texts) <= PART:
            return self._tokenized(texts)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = pool.map(self._tokenized, (texts[start : start + PART] for start in range(0, len(texts), PART)))
            return Tokenized.joined(list(parts))

    def _tokenized(self, texts: Sequence[str | None]) -> Tokenized:
        """By words; the tokenizer itself does what these leave, and all where half a surrogate is among them."""
        whole = [prompted(text, self.config) for text in texts]
        if self.words is None:
            return self._by_itself(whole)
        try:
            found, owner, left = self.words.encode(whole, self.longest, self.config.long_texts != "chunk")
        except (TypeError, ValueError):
            return self._by_itself(whole)
        others, errors = self._by_itself([whole[row] for row in left]), np.full(len(whole), None, dtype=object)
        errors[left] = others.errors
        return Tokenized(Ragged.joined([found, others.chunks]), np.concatenate([owner, left[others.owner]]), errors.tolist())

    def _by_itself(self, texts: Sequence[str | None]) -> Tokenized:
        try:
            encodings = self.tokenizer.encode_batch_fast(list(texts))  # type: ignore[arg-type]
            parts = [self._chunks(encoding) for encoding in encodings]
            errors: list[str | None] = [None] * len(parts)
        except (TypeError, ValueError, UnicodeError):
            parts, errors = self._singly(texts)
        owner = np.repeat(np.arange(len(parts)), [len(text) for text in parts])
        return Tokenized(Ragged.of([chunk for text in parts for chunk in text]), owner, errors)

    def _singly(self, texts: Sequence[str | None]) -> tuple[list[list[list[int]]], list[str | None]]:
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
        """Token ids of a text's chunks: at least one, of at least one token."""
        if 0 < len(encoding) < self.longest:
            return [encoding.ids]
        return chunks(encoding, self.config) or [[self.empty]]
