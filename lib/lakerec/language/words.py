"""Texts to tokens by their distinct words: each is cut into pieces once, not at every place where it stands.

    "Red lamp, red" → red lamp , red → distinct: red lamp , → pieces of the new ones by the tokenizer itself → ids in order

So it can be where a word's pieces depend on no neighbour: BERT's tokenizers, which most encoders of sentences have. They
lower, drop accents and cut at spaces and punctuation character by character, then cut each word by WordPiece (Devlin et al.
2019, section 3). Words are found in the bytes of all texts at once; what stands between ASCII spaces and punctuation is one
to us, whatever script it is in, and the tokenizer cuts it further. No torch here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lakerec.language.batching import Ragged

SPACES, MARKS = b"\t\n\r ", b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
SPACE, MARK, LETTER = range(3)
KINDS = bytes(SPACE if byte in SPACES else MARK if byte in MARKS else LETTER for byte in range(256))
"""What each byte is; those of other scripts are letters."""
REMEMBERED = 100_000_000
"""Bytes that words and their pieces may take, roughly; beyond, the memory begins anew."""
WORD = 150
"""Bytes that a word takes besides its letters."""


class WordTokenizer:
    """Gives the ids that the tokenizer gives, several times as fast. Threads may share it.

    Args:
        tokenizer: one of those that `by_words` accepts.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        settings = json.loads(tokenizer.to_str())
        self.before, self.behind = _marks(settings["post_processor"]) or ([], [])
        self.added = [token["content"].encode() for token in settings["added_tokens"]]
        self.case = bytes(range(256)).lower() if settings["normalizer"]["lowercase"] else bytes(range(256))
        # A word, lowered, may be what an added token is: text that holds one is left, so none is looked for here.
        alone: dict[str, Any] = {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        self.tokenizer = Tokenizer.from_str(json.dumps(settings | alone))
        self.word_piece = self.tokenizer.model
        self.lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self.places: dict[bytes, int] = {}
        self.pieces = Ragged.of([])
        self.size = 0

    def encode(self, texts: Sequence[str | None], longest: int, cut: bool) -> tuple[Ragged, np.ndarray, np.ndarray]:
        """Tokens of the texts in chunks of at most `longest`, the model's marks around each.

        Args:
            cut: only a text's first chunk.

        Returns:
            The chunks; the row that each is of, ascending, int64 [chunks]; rows that have none here, int64, since they are
            no text or hold one of the tokenizer's own tokens, such as [SEP], which is no word.

        Raises:
            ValueError, TypeError: something is neither text nor None.
        """
        held = pa.array(texts, pa.large_string())
        offsets, data = _bytes(held.fill_null(""))
        left = np.union1d(np.flatnonzero(held.is_null()), self._with_added(offsets, data))
        words, counts = self._words(offsets, data)
        slots, pieces = self._slots(words)
        lengths, starts = pieces.lengths[slots], pieces.starts[slots]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.diff(ends[np.concatenate([[0], np.cumsum(counts)])])
        ids = pieces.ids[np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])]
        return *self._chunks(ids, tokens, longest - len(self.before) - len(self.behind), cut, left), left

    def _with_added(self, offsets: np.ndarray, data: bytes) -> np.ndarray:
        """Rows with one of the tokenizer's own tokens in them, as often as they have one."""
        found = []
        for token in self.added:
            at = data.find(token) if token[:1] in data else -1  # one byte is looked for ten times as fast
            while at >= 0:
                found.append(at)
                at = data.find(token, at + 1)
        return np.searchsorted(offsets, np.array(found, dtype=np.int64), side="right") - 1

    def _words(self, offsets: np.ndarray, data: bytes) -> tuple[pa.Array, np.ndarray]:
        """All words in order, as bytes, and how many each text has."""
        kinds = np.frombuffer(data.translate(KINDS), dtype=np.uint8)
        begins, ends = kinds != SPACE, kinds != SPACE
        apart = (kinds[1:] != LETTER) | (kinds[:-1] != LETTER)
        borders = offsets[1:-1]
        apart[borders[(borders > 0) & (borders < len(kinds))] - 1] = True
        begins[1:] &= apart
        ends[:-1] &= apart
        starts = np.flatnonzero(begins)
        places = np.concatenate([[0], np.cumsum(np.flatnonzero(ends) + 1 - starts)])
        letters = data.translate(self.case, SPACES)
        buffers = [None, pa.py_buffer(places), pa.py_buffer(letters)]
        words = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts), buffers)
        return words, np.diff(np.searchsorted(starts, offsets))

    def _slots(self, words: pa.Array) -> tuple[np.ndarray, Ragged]:
        """Where each word's pieces are, int64 [words], and in what; those of words not met before are asked for."""
        encoded = words.dictionary_encode()
        places, letters = _bytes(encoded.dictionary)
        distinct = [letters[start:end] for start, end in itertools.pairwise(places.tolist())]
        with self.lock:
            if self.size > REMEMBERED:
                self._forget()
            new = [word for word in distinct if word not in self.places]
            if new:
                # Numbered by the pieces, once these are there: whatever ends this between leaves what is known right.
                first = len(self.pieces.lengths)
                self.pieces = Ragged.joined([self.pieces, Ragged.of([self._cut(word.decode()) for word in new])])
                self.places.update(zip(new, range(first, first + len(new)), strict=True))
                self.size += sum(map(len, new)) + WORD * len(new)
            slots = np.fromiter(map(self.places.__getitem__, distinct), dtype=np.int64, count=len(distinct))
            return slots[encoded.indices.to_numpy()], self.pieces

    def _cut(self, word: str) -> list[int]:
        """A word's pieces; plain ASCII needs the last step only, which is five times as fast."""
        if word.isascii() and word.isprintable():
            return [piece.id for piece in self.word_piece.tokenize(word)]
        return list(self.tokenizer.encode(word).ids)

    def _chunks(
        self, ids: np.ndarray, tokens: np.ndarray, room: int, cut: bool, left: np.ndarray
    ) -> tuple[Ragged, np.ndarray]:
        """Texts' tokens, each behind the one before, in chunks with the model's marks around them."""
        number = np.ones_like(tokens) if cut else np.maximum(1, -(-tokens // room))
        number[left] = 0
        owner = np.repeat(np.arange(len(tokens)), number)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
        content = np.minimum(tokens[owner] - within * room, room)
        source = (np.cumsum(tokens) - tokens)[owner] + within * room
        lengths = content + len(self.before) + len(self.behind)
        chunks = Ragged(np.empty(int(lengths.sum()), dtype=np.int32), lengths)
        for place, mark in enumerate(self.before):
            chunks.ids[chunks.starts + place] = mark
        for place, mark in enumerate(reversed(self.behind), 1):
            chunks.ids[chunks.starts + lengths - place] = mark
        within_chunk = np.arange(int(content.sum())) - np.repeat(np.cumsum(content) - content, content)
        target = np.repeat(chunks.starts + len(self.before), content) + within_chunk
        chunks.ids[target] = ids[np.repeat(source, content) + within_chunk]
        return chunks, owner


def by_words(tokenizer: Tokenizer) -> bool:
    """Whether a word's pieces depend on the word alone: BERT's way of cutting, marks around the text, no added tokens that
    are looked for in what is lowered already.
    """
    settings = json.loads(tokenizer.to_str())
    kinds = tuple((settings[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model"))
    return (
        kinds == ("BertNormalizer", "BertPreTokenizer", "WordPiece")
        and _marks(settings["post_processor"]) is not None
        and not any(token["normalized"] for token in settings["added_tokens"])
    )


def _marks(processor: dict[str, Any] | None) -> tuple[list[int], list[int]] | None:
    """Ids before a text and behind it; None where there are none, or they do not stand around it."""
    kind = (processor or {}).get("type")
    if processor is None or kind not in ("TemplateProcessing", "BertProcessing"):
        return None
    if kind == "BertProcessing":
        return [processor["cls"][1]], [processor["sep"][1]]
    sides: list[list[int]] = [[]]
    for part in processor["single"]:
        if "Sequence" in part:
            sides.append([])
        else:
            sides[-1] += processor["special_tokens"][part["SpecialToken"]["id"]]["ids"]
    return (sides[0], sides[1]) if len(sides) == 2 and any(sides) else None


def _bytes(held: pa.Array) -> tuple[np.ndarray, bytes]:
    """Where each text begins, the end last, int64 [n + 1], and the bytes of all of them."""
    _, offsets, data = held.buffers()
    places = np.frombuffer(offsets, dtype=np.int64)[held.offset : held.offset + len(held) + 1]
    return places - places[0], data.to_pybytes()[places[0] : places[-1]] if data else b""
