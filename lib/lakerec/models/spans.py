"""Spans of words in texts from few labelled texts: tags of words by a logistic regression over a frozen encoder's vectors.

    labelled texts ─ words, tags (models/words.py) ─► [before, word, behind] ─ logistic regression ─► probabilities ─► spans
    folds of the texts, each predicted by the rest → strength, temperature, threshold → precision, coverage, F1

Every labelled text is predicted once by a model that saw no text of the same words; what is chosen is chosen on these
predictions, and precision, coverage and F1 are theirs. A labelled text is taken to be labelled in full: what is not marked
in it names nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.models.labelling import FOLDS, LEAST_OF_CLASS, STRENGTHS, fit_temperature, least_confidence, logistic, softmax
from lakerec.models.words import Span, decode, tags_of


@dataclass(frozen=True)
class Tagger:
    """A calibrated classifier of words, by their vectors and those of the words beside them."""

    labels: list[str]
    weights: np.ndarray
    """float64 [1 + 2 labels, 3 d]."""
    bias: np.ndarray
    temperature: float
    threshold: float
    """Least confidence of a span that is kept; above 1: none is."""
    precision: float | None
    """Share of the held-out spans above the threshold that have start, end and label right; None where none is above."""
    coverage: float
    """Share of the spans that a person marked which are found, exactly, above the threshold."""
    f1: float
    """Of all held-out spans, above the threshold or not."""
    labelled: int
    """Texts."""
    marked: int
    """Spans in them."""
    left_out: list[str]
    """Labels that stand in too few texts; what they mark is taken to name nothing."""

    def spans(self, bounds: np.ndarray, vectors: np.ndarray) -> list[Span]:
        """Spans of a text that are sure enough, by its words' bounds [words, 2] and vectors [words, d]."""
        if not len(bounds):
            return []
        probabilities = softmax((beside(vectors) @ self.weights.T + self.bias) / self.temperature)
        return [span for span in decode(bounds, probabilities, self.labels) if span.confidence >= self.threshold]


def beside(vectors: np.ndarray) -> np.ndarray:
    """Each word's vector between those of the words before and behind it, zeros where there is none. [words, 3 d]."""
    none = np.zeros_like(vectors[:1])
    return np.concatenate([np.concatenate([none, vectors[:-1]]), vectors, np.concatenate([vectors[1:], none])], axis=1)


def fit_tagger(
    texts: Sequence[str], bounds: Sequence[np.ndarray], vectors: Sequence[np.ndarray], marks: Sequence[Sequence[Span]],
    precision: float, seed: int,
) -> Tagger:  # fmt: skip
    """Learn from texts whose spans are known.

    Args:
        bounds: of each text's words, [words, 2].
        vectors: of each text's words, [words, d].
        marks: the spans of each text.
        precision: that spans which are kept shall have.

    Raises:
        ValueError: no label stands in enough different texts.
    """
    stands = {(text, span.label) for text, spans in zip(texts, marks, strict=True) for span in spans}
    counts = Counter(label for _, label in stands)
    labels = sorted(label for label, count in counts.items() if count >= LEAST_OF_CLASS)
    if not labels:
        raise ValueError(f"no label stands in {LEAST_OF_CLASS} texts or more")
    truth = [[span for span in own if span.label in labels] for own in marks]
    tags = np.concatenate([tags_of(each, spans, labels) for each, spans in zip(bounds, truth, strict=True)])
    features = np.concatenate([beside(each) for each in vectors])
    folds = _folds(texts, truth, seed)
    held = np.repeat(folds, [len(each) for each in bounds])
    logits = {strength: _held_out(features, tags, held, 1 + 2 * len(labels), strength) for strength in STRENGTHS}
    scored = {strength: fit_temperature(found, tags) for strength, found in logits.items()}
    strength, (_, temperature) = min(scored.items(), key=lambda each: (round(each[1][0], 6), each[0]))
    probabilities = np.split(softmax(logits[strength] / temperature), np.cumsum([len(each) for each in bounds])[:-1])
    found = [decode(*each, labels) for each in zip(bounds, probabilities, strict=True)]
    known = [{span[:3] for span in spans} for spans in truth]
    right = np.array([span[:3] in own for own, spans in zip(known, found, strict=True) for span in spans], dtype=bool)
    confidence = np.array([span.confidence for spans in found for span in spans])
    threshold, reached, _ = least_confidence(confidence, right, precision)
    number = sum(len(own) for own in known)
    weights, bias = logistic(features, tags, np.ones(len(tags)), 1 + 2 * len(labels), strength)
    return Tagger(
        labels=labels, weights=weights, bias=bias, temperature=temperature, threshold=threshold, precision=reached,
        coverage=int(right[confidence >= threshold].sum()) / number, f1=2 * int(right.sum()) / (len(right) + number),
        labelled=len(texts), marked=number, left_out=sorted(set(counts) - set(labels)),
    )  # fmt: skip


def _folds(texts: Sequence[str], truth: Sequence[Sequence[Span]], seed: int) -> np.ndarray:
    """Fold of each text, the same for texts of the same words; those with the rarest label are dealt out first, evenly."""
    counts = Counter(span.label for spans in truth for span in spans)
    rarest = {
        text: min(((counts[span.label], span.label) for span in spans), default=(len(texts), ""))
        for text, spans in zip(texts, truth, strict=True)
    }
    shuffled = np.random.default_rng(seed).permutation(sorted(rarest))
    dealt = {text: place % FOLDS for place, text in enumerate(sorted(map(str, shuffled), key=lambda text: rarest[text]))}
    return np.array([dealt[text] for text in texts])


def _held_out(features: np.ndarray, own: np.ndarray, held: np.ndarray, classes: int, strength: float) -> np.ndarray:
    """Logits of each word by a model that saw none of its fold, float64 [words, classes]."""
    found = np.zeros((len(own), classes))
    for fold in np.unique(held):
        seen = held != fold
        weights, bias = logistic(features[seen], own[seen], np.ones(int(seen.sum())), classes, strength)
        found[~seen] = features[~seen] @ weights.T + bias
    return found
