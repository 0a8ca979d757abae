"""Words of texts, what is marked among them, tags and their decoding, all worked out by hand."""

import numpy as np
from lakerec.models.words import Span, decode, marked, tags_of, word_vectors, words

LABELS = ["brand", "material"]


def test_words_are_runs_of_letters_and_single_signs():
    assert words("Café-Öl, 40 cm").tolist() == [[0, 4], [4, 5], [5, 7], [7, 8], [9, 11], [12, 14]]
    assert words(" ").shape == (0, 2)


def test_a_word_has_the_mean_of_its_tokens_wherever_blanks_are_counted_to():
    bounds = words("Zorvik  lamp set")
    places = np.array([[0, 3], [3, 6], [6, 12]])  # zor, vik, and the blanks with lamp, as sentencepiece has them
    found = word_vectors(bounds, places, np.array([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 0]], atol=1e-6)
    assert word_vectors(words(""), places[:0], np.zeros((0, 2), dtype=np.float32)).shape == (0, 2)


def test_phrases_are_marked_at_word_bounds_in_any_case_every_time():
    spans, missed = marked("Oak desk, solid OAK; cloak", [("oak", "material"), ("desk lamp", "kind"), ("?", "sign")])
    assert spans == [Span(0, 3, "material"), Span(16, 19, "material")] and sorted(missed) == ["?", "desk lamp"]


def test_of_phrases_that_overlap_the_longer_one_counts():
    spans, missed = marked("stainless  steel pot", [("steel", "metal"), ("Stainless Steel", "material")])
    assert spans == [Span(0, 16, "material")] and not missed


def test_tags_begin_and_go_on_and_other_labels_are_none():
    text = "Blue Fern oak vase"
    spans = [Span(0, 9, "brand"), Span(10, 13, "material"), Span(14, 18, "kind")]
    assert tags_of(words(text), spans, LABELS).tolist() == [1, 2, 3, 0]
    assert decode(words(text), np.eye(5)[[1, 2, 3, 0]], LABELS) == [Span(0, 9, "brand", 1.0), Span(10, 13, "material", 1.0)]


def test_two_spans_of_one_label_side_by_side_stay_two():
    assert [span[:2] for span in decode(words("oak brass"), np.eye(5)[[3, 3]], LABELS)] == [(0, 3), (4, 9)]


def test_what_cannot_be_is_not_decoded_though_it_is_likelier():
    """Inside alone is .5 of each word, but a span must begin: .4 × .5 is the likeliest way that is possible."""
    probabilities = np.array([[0.1, 0.4, 0.5, 0.0, 0.0], [0.3, 0.2, 0.5, 0.0, 0.0]])
    assert decode(words("Blue Fern"), probabilities, LABELS) == [Span(0, 9, "brand", 0.4)]
    assert decode(words("vase"), np.array([[0.3, 0.2, 0.5, 0, 0]]), LABELS) == []
    assert decode(words(""), np.zeros((0, 5)), LABELS) == []


def test_a_span_is_as_sure_as_its_least_sure_word_or_its_end():
    sure, unsure = [0.05, 0.9, 0.05, 0, 0], [0.6, 0, 0.4, 0, 0]
    assert decode(words("Fern vase"), np.array([sure, unsure]), LABELS) == [Span(0, 4, "brand", 0.6)]
    assert decode(words("Fern"), np.array([sure]), LABELS) == [Span(0, 4, "brand", 0.9)]
