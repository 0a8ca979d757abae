"""Spans from few texts: held out by text, as precise as asked, honest where that cannot be."""

import numpy as np
import pytest
from lakerec.models.spans import _folds, beside, fit_tagger
from lakerec.models.words import Span, marked, words

MEANT = {"zorvik": 0, "kirwood": 0, "brass": 1, "oak": 1}
KINDS = {"zorvik": "brand", "kirwood": "brand", "brass": "material", "oak": "material"}


def made(count, noise, seed=0):
    """Texts of four words, of which some name something; a word's vector is a corner of a cube by what it means."""
    chance = np.random.default_rng(seed)
    texts, bounds, vectors, marks = [], [], [], []
    for number in range(count):
        own = [str(chance.choice([*KINDS, "lamp", "vase"])) for _ in range(3)] + [str(number)]
        texts.append(" ".join(own))
        bounds.append(words(texts[-1]))
        corners = np.eye(6)[[MEANT.get(word, 2) for word in own]]
        vectors.append((corners + noise * chance.normal(size=corners.shape)).astype(np.float32))
        marks.append(marked(texts[-1], [(word, KINDS[word]) for word in set(own) & set(KINDS)])[0])
    return texts, bounds, vectors, marks


def share_right(found, rows):
    """(precision, share of all true spans that are found) among rows."""
    pairs = [
        ({span[:3] for span in found.spans(bounds, vectors)}, {span[:3] for span in marks})
        for _, bounds, vectors, marks in zip(*rows, strict=True)
    ]
    right, kept = sum(len(ours & true) for ours, true in pairs), sum(len(ours) for ours, _ in pairs)
    return right / max(1, kept), right / sum(len(true) for _, true in pairs)


def test_spans_are_as_precise_as_asked_on_texts_that_were_never_seen():
    found, others = fit_tagger(*made(80, 0.3), precision=0.9, seed=1), made(500, 0.3, seed=1)
    assert found.labels == ["brand", "material"] and found.labelled == 80 and found.precision >= 0.9
    precision, coverage = share_right(found, others)
    assert precision > 0.85 and abs(coverage - found.coverage) < 0.15


def test_marks_by_chance_are_not_kept():
    texts, bounds, vectors, marks = made(60, 0.3)
    noise = [np.random.default_rng(number).normal(size=each.shape) for number, each in enumerate(vectors)]
    found = fit_tagger(texts, bounds, noise, marks, precision=0.95, seed=1)
    assert found.precision is None and found.threshold > 1 and found.coverage == 0 and 0 <= found.f1 < 0.7
    assert found.spans(bounds[0], noise[0]) == []


def test_texts_of_the_same_words_are_in_one_fold_and_rare_labels_are_spread():
    texts = [f"text {number % 20}" for number in range(40)]
    rare = [Span(0, 4, "rare")]
    truth = [rare if number % 20 in (3, 9, 15) else [Span(0, 4, "common")] for number in range(40)]
    folds = _folds(texts, truth, seed=1)
    assert (folds[:20] == folds[20:]).all() and np.bincount(folds).tolist() == [8] * 5
    assert len(set(folds[[3, 9, 15]])) == 3


def test_a_label_of_too_few_texts_is_left_out_and_without_others_there_is_nothing_to_learn():
    texts, bounds, vectors, marks = made(30, 0.1)
    marks[0] = [Span(*bounds[0][0].tolist(), "rare")]
    found = fit_tagger(texts, bounds, vectors, marks, 0.9, 1)
    assert found.left_out == ["rare"] and found.marked == sum(len(each) for each in marks[1:])
    with pytest.raises(ValueError, match="no label stands in 3 texts or more"):
        fit_tagger(["one"] * 9, bounds[:9], vectors[:9], [[Span(0, 3, "brand")]] * 9, 0.9, 1)
    with pytest.raises(ValueError, match="no label stands in 3 texts or more"):
        fit_tagger([], [], [], [], 0.9, 1)


def test_a_word_stands_between_its_neighbours():
    np.testing.assert_array_equal(beside(np.array([[1.0], [2.0], [3.0]])), [[0, 1, 2], [1, 2, 3], [2, 3, 0]])
    assert beside(np.zeros((1, 2))).shape == (1, 6) and beside(np.zeros((0, 2))).shape == (0, 6)
