"""Words of a text, what a person marked among them, and tags of words → spans. No model here.

    "Acme brass lamp"  words [0 4] [5 10] [11 15]  marked brand "acme"  tags  B-brand  O  O

Tags are BIO (Ramshaw and Marcus, Text chunking using transformation-based learning, 1995): of k labels, 0 is O, 1 + 2·label
begins a span and 2 + 2·label goes on with it. A span is of whole words, which share the tags of their tokens; in a script
that puts no blanks between words, a word here is a run of letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lakerec.vectors import unit

WORD = re.compile(r"\w+|[^\w\s]")


class Span(NamedTuple):
    """Words of a text that name something."""

    start: int
    """First character, from 0."""
    end: int
    """Behind the last character."""
    label: str
    confidence: float = 1.0


def words(text: str) -> np.ndarray:
    """Bounds of each word or sign, int64 [words, 2]: first character, and the one behind the last.

    >>> words("Wi-Fi lamp").tolist()
    [[0, 2], [2, 3], [3, 5], [6, 10]]
    """
    return np.array([found.span() for found in WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)


def word_vectors(bounds: np.ndarray, places: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """A vector a word, unit length: of the mean of its tokens'; zeros where the model saw none. float32 [words, d].

    Args:
        bounds: of the words, [words, 2].
        places: of the tokens, [tokens, 2]; one that reaches over several words is the first one's.
        vectors: of the tokens, [tokens, d].
    """
    found = np.zeros((len(bounds), vectors.shape[1]), dtype=np.float32)
    owner = np.searchsorted(bounds[:, 1], places[:, 0], side="right")
    inside = owner < len(bounds)
    inside[inside] = bounds[owner[inside], 0] < places[inside, 1]
    np.add.at(found, owner[inside], vectors[inside])
    return unit(found)


def marked(text: str, phrases: Iterable[tuple[str, str]]) -> tuple[list[Span], list[str]]:
    """Every place where a phrase's words stand in the text, in any case; and the phrases that stand nowhere.

    Where two overlap, the one of more words counts, then the one that comes first in the alphabet.

    Args:
        phrases: words and their label.
    """
    bounds = words(text)
    own, taken = [text[a:b].casefold() for a, b in bounds], np.zeros(len(bounds), dtype=bool)
    spans, missed = [], []
    for phrase, label in sorted(phrases, key=lambda each: (-len(words(each[0])), each)):
        sought = [word.casefold() for word in WORD.findall(phrase)]
        first = [at for at in range(len(own) - len(sought) + 1) if sought and own[at : at + len(sought)] == sought]
        if not first:
            missed.append(phrase)
        for place in first:
            if not taken[place : place + len(sought)].any():
                taken[place : place + len(sought)] = True
                spans.append(Span(int(bounds[place, 0]), int(bounds[place + len(sought) - 1, 1]), label))
    return sorted(spans), missed


def tags_of(bounds: np.ndarray, spans: Sequence[Span], labels: Sequence[str]) -> np.ndarray:
    """Tag of each word, int64 [words]; spans of other labels are no spans."""
    tags = np.zeros(len(bounds), dtype=np.int64)
    for span in spans:
        if span.label in labels:
            first, last = np.searchsorted(bounds[:, 0], (span.start, span.end))
            tags[first:last] = 2 + 2 * labels.index(span.label)
            tags[first] -= 1
    return tags


def decode(bounds: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> list[Span]:
    """The likeliest row of tags that is possible, as spans.

    A span is as sure as what is least sure of it: that its words have their tags, and that the word behind does not go on.
    The mean would let a long span hide a wrong end.

    Args:
        probabilities: of each word's tags, [words, 1 + 2 labels].
    """
    tags, spans, place = _likeliest(probabilities), [], 0
    while place < len(tags):
        if not tags[place]:
            place += 1
            continue
        first, inside, place = place, tags[place] + 1, place + 1
        while place < len(tags) and tags[place] == inside:
            place += 1
        least = min(probabilities[at, tags[at]] for at in range(first, place))
        ends = 1 - probabilities[place, inside] if place < len(tags) else 1.0
        where = int(bounds[first, 0]), int(bounds[place - 1, 1])
        spans.append(Span(*where, labels[(inside - 2) // 2], float(min(least, ends))))
    return spans


def _likeliest(probabilities: np.ndarray) -> np.ndarray:
    """Viterbi: a word goes on with a span only behind one that begins it or goes on with it. int64 [words]."""
    classes = probabilities.shape[1]
    before, after = np.arange(classes)[:, None], np.arange(classes)[None, :]
    goes_on = (after > 0) & (after % 2 == 0)
    barred = np.where(goes_on & (before != after) & (before != after - 1), -np.inf, 0.0)
    logs = np.log(np.maximum(probabilities, 1e-300))
    best, came = np.where(goes_on[0], -np.inf, 0.0), []
    for number, own in enumerate(logs):
        if number:
            scores = best[:, None] + barred
            came.append(scores.argmax(axis=0))
            best = scores.max(axis=0)
        best = best + own
    tags = [int(best.argmax())] if len(logs) else []
    for back in reversed(came):
        tags.append(int(back[tags[-1]]))
    return np.array(tags[::-1], dtype=np.int64)
