"""Who is put to the gate: what validation chose, or plain popularity where nothing serves and nothing beats it."""

import pytest
from lakerec.columns import Models
from lakerec.errors import ConfigError
from lakerec.stages.offering import best_by_validation, candidate, offered

VALUES = {Models.POPULAR: 0.30, Models.SEQUENCE: 0.20, Models.EASE: 0.40}


@pytest.mark.parametrize(
    ("chosen", "champion", "found"),
    [
        (Models.SEQUENCE, None, Models.POPULAR),
        (Models.SEQUENCE, "3", Models.SEQUENCE),
        (Models.EASE, None, Models.EASE),
        (Models.POPULAR, None, Models.POPULAR),
    ],
)
def test_popularity_serves_until_a_model_beats_it(chosen, champion, found):
    assert candidate(chosen, VALUES, champion)[0] == found


def test_the_reason_names_what_validation_chose():
    assert candidate(Models.SEQUENCE, VALUES, None)[1] == [
        "sequence, chosen on validation, has 0.2000: plain popularity serves until one beats it"
    ]
    assert candidate(Models.SEQUENCE, {Models.SEQUENCE: 0.2}, None) == (Models.SEQUENCE, [])


def test_validation_chooses_and_the_test_has_no_say():
    assert best_by_validation({"valid_ndcg_ease": "0.1", "valid_ndcg_blend": "0.2", "folder": "x"}) == "blend"


def test_the_model_that_is_asked_for_is_offered_in_place_of_validations_best():
    details = {"valid_ndcg_distilled": "0.1", "valid_ndcg_sequence": "0.2"}
    assert offered(details, None) == "sequence" and offered(details, "distilled") == "distilled"
    with pytest.raises(ConfigError, match=r"promote.model: `blend` was not fitted .* distilled, sequence$"):
        offered(details, "blend")
