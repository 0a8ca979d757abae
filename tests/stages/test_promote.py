"""Who is put to the gate: what validation chose, or plain popularity where nothing serves and nothing beats it."""

from types import SimpleNamespace

import pytest
from lakerec.columns import Models
from lakerec.errors import ConfigError
from lakerec.stages import promote
from lakerec.stages.promote import best_by_validation, candidate, offered

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


@pytest.mark.parametrize(
    ("known", "rest", "promoted", "said"),
    [
        ((), None, False, "0.4000 is not above 0.5000"),
        (("u1",), (0.3, 0.2), True, "0.3000 beats the champion's 0.2000"),
        (("u1",), (0.2, 0.3), False, "0.2000 is not above 0.3000"),
        (("u1",), None, True, "nobody else is there to compare on"),
    ],
    ids=["it knows nobody", "better on the others", "worse on the others", "it knows all"],
)
def test_a_champion_is_not_judged_on_what_it_learned_from(monkeypatch, known, rest, promoted, said):
    """It reaches .5 on all users, some of whom it may have by heart; the challenger .4."""

    def value(_context, _inputs, _name, version, without=frozenset()):
        if not without:
            return 0.5
        return None if rest is None else dict(zip(("2", "1"), rest, strict=True))[version]

    monkeypatch.setattr(promote, "_version_value", value)
    monkeypatch.setattr(promote.gate, "tags_of", lambda *_: {promote.TRAIN_RUN: "train-1"})
    monkeypatch.setattr(promote.starting, "known_test_users", lambda *_: (frozenset(known), None))
    context = SimpleNamespace(tracker=None, config=SimpleNamespace(promote=SimpleNamespace(minimum_gain=0.0)))
    before, decision = promote._decided(context, {}, "shop", "2", "1", VALUES, Models.EASE)
    assert decision.promoted == promoted and said in "; ".join(decision.reasons)
    assert before == (0.5 if not known else None if rest is None else rest[1])
    assert bool(known) == ("learned from events of 1 users that are test now" in "; ".join(decision.reasons))


def test_a_challenger_below_popularity_is_refused_whoever_the_champion_knows(monkeypatch):
    monkeypatch.setattr(promote, "_version_value", lambda *_: 0.9)
    monkeypatch.setattr(promote.gate, "tags_of", lambda *_: {})
    monkeypatch.setattr(promote.starting, "known_test_users", lambda *_: (frozenset({"u1"}), None))
    context = SimpleNamespace(tracker=None, config=SimpleNamespace(promote=SimpleNamespace(minimum_gain=0.0)))
    _, decision = promote._decided(context, {}, "shop", "2", "1", VALUES, Models.SEQUENCE)
    assert not decision.promoted and "does not beat plain popularity" in decision.reasons[0]
