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


def test_a_number_with_decimals_is_one_number():
    assert lacks("1,200.50 g", "1200 g") == ["number 1,200.50"]
    assert lacks("1,200.50 g", "weighs 1,200.50 g") == []
