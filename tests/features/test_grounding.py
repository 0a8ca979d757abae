"""A text that says more than its row is told apart, and by what."""

import pytest
from lakerec.features.grounding import lacks, plain

ROW = "Brass lamp . Lighting . 40 cm . Art Deco"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("A brass lamp of 40 cm, lighting in the manner of Art Deco.", []),
        ("A lamp of 41 cm.", ["number 41"]),
        ("Made in 1960 and 1961.", ["number 1960", "number 1961"]),
        ("A lamp from Berlin. Berlin is far.", ["name Berlin"]),
        ("Lovely. Bright! Made by hand", []),
        ("A wooden lamp of stainless steel", ["attribute wooden", "attribute stainless steel"]),
        ("", []),
    ],
)
def test_numbers_names_and_attributes_that_the_row_lacks(written, expected):
    vocabulary = {plain(each) for each in ("Wooden", "Brass", "Stainless Steel", "Art Deco")}
    assert lacks(written, ROW, vocabulary) == expected


def test_values_with_numbers_are_looked_for_whole():
    """`A4` and `2 in 1` of other items are no `a` and no `in`."""
    vocabulary = {plain("A4"), plain("2 in 1"), plain("Berlin")}
    assert lacks("A lamp in brass.", "Brass lamp", vocabulary) == []
    assert lacks("Paper of A4, 2 in 1", "paper") == ["number 4", "number 2", "number 1", "name A4"]
    assert lacks("Paper of A4", "paper 4 x A4", vocabulary) == []
    assert lacks("Berlin lamp of brass.", "Brass lamp", vocabulary) == ["attribute berlin"], "though it begins the sentence"


def test_a_number_with_decimals_is_one_number():
    assert lacks("1,200.50 g", "1200 g") == ["number 1,200.50"]
    assert lacks("1,200.50 g", "weighs 1,200.50 g") == []
