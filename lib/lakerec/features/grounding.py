"""Whether a written text says only what its row says: no number, no name and no attribute that the row lacks."""

from __future__ import annotations

import re
from collections.abc import Collection

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
SENTENCE_END = re.compile(r"[.!?:;]\s*$")
LONGEST = 4
"""Words of an attribute that is looked for."""


def lacks(written: str, row: str, vocabulary: Collection[str] = frozenset()) -> list[str]:
    """What the text says and the row does not, in words: `number 7`, `name Berlin`, `attribute wooden`.

    A name is a word with a capital that begins no sentence; one that begins it is told only where the vocabulary has it.

    Args:
        written: the text.
        row: all that is known of the item, in one string.
        vocabulary: categories and attributes of the whole catalogue as of `plain`; another item's must not appear.

    >>> lacks("A lamp of 1960, from Berlin.", "lamp 1950")
    ['number 1960', 'name Berlin']
    """
    known, numbers = set(plain(row).split()), set(NUMBER.findall(row))
    found = [f"number {each}" for each in NUMBER.findall(written) if each not in numbers]
    for match in WORD.finditer(written):
        word, before = match[0], written[: match.start()]
        begins = not before.strip() or SENTENCE_END.search(before) is not None
        if word[0].isupper() and not begins and word.lower() not in known:
            found.append(f"name {word}")
    said, have = plain(written).split(), f" {plain(row)} "
    runs = (" ".join(said[start : start + size]) for size in range(1, LONGEST + 1) for start in range(len(said) - size + 1))
    found += [f"attribute {each}" for each in runs if each in vocabulary and f" {each} " not in have]
    return list(dict.fromkeys(found))


def plain(text: str) -> str:
    """Words in lower case with single spaces."""
    return " ".join(WORD.findall(text.lower()))
