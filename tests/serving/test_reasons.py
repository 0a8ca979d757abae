"""Reasons name evidence that is there, and say of it what is so."""

import numpy as np
import pytest
from lakerec.models.data import DAY, Histories
from lakerec.serving.crowd import Crowd
from lakerec.serving.reasons import LONGEST, Catalogue, Fact, Words, named

TITLES = ["Alien", "Aliens", "Heat", "Casino", "Blade  Runner\n"]
SCI_FI, HORROR, CRIME = (Fact.category(name) for name in ("Sci-Fi", "Horror", "Crime"))
SCOTT = Fact.tie("film.directed_by", "head", "Ridley_Scott")
STUDIO = Fact.attribute("studio", "Fox")
FACTS = [[SCI_FI, HORROR, STUDIO, SCOTT], [SCI_FI, HORROR, STUDIO], [CRIME], [CRIME], [SCI_FI, SCOTT]]
NOBODY = Crowd(
    np.array([41, 3, 7, 7, 7]), np.array([False, False, True, True, False]), {2: np.arange(5) == 1}, {2: "Sci-Fi"}
)


def words(titles=TITLES, facts=FACTS):
    return Words(Catalogue.of(titles, facts), NOBODY)


@pytest.mark.parametrize(
    ("item", "evidence", "said"),
    [
        (4, [(0, 0.41), (1, 0.22), (2, 0.2)], "because of “Alien” (41 %) and “Aliens” (22 %): all Sci-Fi"),
        (4, [(0, 0.9), (1, 0.04)], "because of “Alien” (90 %): both Sci-Fi, both directed by Ridley Scott"),
        (0, [(1, 1.0)], "because of “Aliens” (100 %): both Sci-Fi, Horror, same studio (Fox)"),
        (0, [(4, 0.5), (2, 0.5)], "because of “Blade Runner” (50 %) and “Heat” (50 %)"),
    ],
    ids=["all of three", "both, by the rarest tie", "attribute", "nothing in common"],
)
def test_what_speaks_for_an_item_is_named_with_what_all_share(item, evidence, said):
    assert words().reason(item, evidence, -1) == said


@pytest.mark.parametrize(
    ("item", "segment", "said"),
    [
        (1, 2, "popular in your segment (Sci-Fi)"),
        (1, -1, "few people have chosen it yet"),
        (2, 2, "one of the 2 most popular items of the last 7 days"),
        (0, 2, "41 people have chosen it"),
    ],
)
def test_without_evidence_people_are_counted(item, segment, said):
    assert words().reason(item, [], segment) == said
    assert words().reason(item, [(3, 0.01)], segment) == said, "a share of a hundredth is none"


def test_a_reason_is_one_line_that_is_short_enough():
    """Titles are cut where there is room enough for them, else what they share goes first."""
    titles = ["x" * 300, "y" * 300, "z"]
    long = [Fact.category("a" * 40), Fact.category("b" * 40), Fact.tie("made_by", "head", "c" * 40)]
    for facts in ([[]] * 3, [long[:1]] * 3, [long] * 3):
        said = words(titles, facts).reason(2, [(0, 0.5), (1, 0.5)], -1)
        assert len(said) <= LONGEST and said.startswith("because of “xxxxxxxxxxx") and "yyyyyyyyyyy" in said
    assert "\n" not in words().reason(0, [(4, 1.0)], -1)


def test_what_cannot_be_said_shortly_and_what_most_items_share_is_left_out():
    everywhere, long = Fact.attribute("language", "en"), Fact.attribute("plot", "p" * 100)
    found = Catalogue.of(["a", "b", "c"], [[everywhere, long, STUDIO], [everywhere, long], [everywhere]])
    assert found.facts == [(STUDIO,), (), ()]


@pytest.mark.parametrize(
    ("fact", "clause"),
    [
        (Fact.tie("http://graph.org/directedBy", "head", "http://graph.org/Ridley_Scott"), "all directed by Ridley Scott"),
        (Fact.tie("genre", "head", "horror"), "same genre (horror)"),
        (Fact.tie("directed", "tail", "Ridley Scott"), "all tied to Ridley Scott (directed)"),
        (Fact.tie("sequel_of", "head", "m.01", "Alien"), "all sequel of Alien"),
        (Fact.attribute("brand_name", "Lego"), "same brand name (Lego)"),
        (Fact.attribute("release_year:token", "1997"), "same release year (1997)"),
        (Fact.tie("dbo:director", "head", "dbr:Ridley_Scott"), "same director (Ridley Scott)"),
        (Fact.tie("film.country", "head", "m.09c7w0"), "same country"),
        (Fact.tie("made_by", "head", "Q42"), "all made by the same"),
        (SCI_FI, "all Sci-Fi"),
    ],
)
def test_facts_in_words(fact, clause):
    assert fact.clause("all") == clause


def test_entities_of_one_name_are_not_one_entity():
    """Nor are attributes that only read alike."""
    facts = [
        [Fact.tie("lies_in", "head", "http://usa.org/Paris"), Fact.attribute("first.maker", "Lego")],
        [Fact.tie("lies_in", "head", "http://france.org/Paris"), Fact.attribute("second.maker", "Lego")],
    ]
    assert words(["a", "b"], facts).reason(1, [(0, 1.0)], -1) == "because of “a” (100 %)"


def test_every_reason_is_true_of_random_data():
    """Named items are of the evidence, their shares are told, and what is said to be shared is."""
    rng = np.random.default_rng(4)
    kinds = [Fact.category(name) for name in "abc"] + [Fact.tie("made_by", "head", name) for name in ("dora", "egon")]
    titles = [f"item {number}" for number in range(20)]
    facts = [[fact for fact in kinds if rng.random() < 0.5] for _ in titles]
    said = words(titles, facts)
    clauses = 0
    for _ in range(200):
        item, *history = rng.choice(20, 6, replace=False).tolist()
        evidence = list(zip(history, sorted(rng.dirichlet(np.ones(5)).tolist(), reverse=True), strict=True))
        shown, text = named(evidence), said.reason(item, evidence, -1)
        head, _, shared = text.partition(": ")
        expected = " and ".join(f"“{titles[other]}” ({100 * share:.0f} %)" for other, share in shown)
        assert head == f"because of {expected}"
        quantity = "both" if len(shown) == 1 else "all"
        own = [f for f in kinds if all(f in facts[each] for each in [item, *(other for other, _ in shown)])]
        assert bool(shared) == bool(own)
        for fact in own if shared else []:
            clauses += fact.clause(quantity) in shared
        for letter in shared.replace(f"{quantity} made by ", "").replace(f"{quantity} ", "").split(", ") if shared else []:
            assert letter in {fact.shown for fact in own}
    assert clauses > 50


def test_the_crowd_is_counted_by_people_and_never_fewer_than_five():
    """Item 0: seven people, one of them twice, long ago; item 1: six now; item 2: four now, all of one segment."""
    items = [[0, 0]] + [[0]] * 6 + [[1]] * 6 + [[2]] * 4
    times = [[0, 1]] + [[0]] * 6 + [[100 * DAY]] * 10
    segments = np.array([0] * 7 + [1] * 6 + [1] * 4)
    found = Crowd.of(Histories.from_lists(items, times), 3, segments, {0: "old", 1: "new"})
    assert found.people.tolist() == [7, 6, 4]
    assert found.leaders.tolist() == [False, True, False]
    assert {segment: own.tolist() for segment, own in found.popular.items()} == {
        0: [True, False, False], 1: [False, True, False],
    }  # fmt: skip
    assert found.words(2, 1) == "few people have chosen it yet"


def test_what_is_as_common_in_a_segment_as_elsewhere_is_not_popular_in_it():
    found = Crowd.of(Histories.from_lists([[0]] * 20), 1, np.arange(20) % 2, {0: "even", 1: "odd"})
    assert not found.popular[0].any() and found.words(0, 0) == "the most popular item of the last 7 days"
