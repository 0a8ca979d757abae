"""A reason in words for each recommendation: what of the user's own history the score rests on, and what that has in common.

    evidence (items of the history, shares of what speaks for the item)
        → because of “Alien” (41 %) and “Aliens” (22 %): all Sci-Fi, all directed by Ridley Scott
    none    → popular in your segment (Sci-Fi, Horror)   → one of the 10 most popular items of the last 7 days
            → 41 people have chosen it

All that is said is so: items are of the history, facts are of all items named, counts are of the log. Nothing is said of
anybody else but counts of at least `LEAST_PEOPLE`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lakerec.columns import Columns as C
from lakerec.serving.crowd import Crowd

NAMED = 2
"""Items of the history that a reason names."""
LEAST_SHARE = 0.05
"""Of what speaks for an item, below which none is named."""
CATEGORIES = 2
"""Shared categories that are said, at most."""
LONGEST, LONGEST_FACT, SHORTEST_TITLE = 160, 40, 12
"""Characters of a reason, of a fact, and of a title that had to be cut."""
PREPOSITION = re.compile(r"(?:^| )(?:by|in|of|for|from|with|at|on|to)$")
"""At the end of a relation."""
WORD = re.compile(r"[^\W\d_]{3}")
"""What a name has that people can read."""
TYPE = re.compile(r":(?:token|float)(?:_seq)?$")
Evidence = list[tuple[int, float]]
"""Items of the history and their shares, the largest first."""


@dataclass(frozen=True)
class Fact:
    """What can be said of an item, and of another one in the same words.

    >>> Fact.tie("film.directed_by", "head", "Ridley_Scott").clause("both")
    'both directed by Ridley Scott'
    >>> Fact.tie("directed", "tail", "Ridley_Scott").clause("all")
    'all tied to Ridley Scott (directed)'
    >>> Fact.tie("film.country", "head", "m.09c7w0").clause("all")
    'same country'
    >>> Fact.attribute("brand", "Lego").clause("both")
    'same brand (Lego)'
    """

    kind: Literal["category", "attribute", "head", "tail"]
    name: str
    """Of the attribute or the relation; empty of a category."""
    value: str
    shown: str = field(compare=False)
    """The value in words."""

    @classmethod
    def category(cls, name: str) -> Fact:
        return cls("category", "", name, _line(name))

    @classmethod
    def attribute(cls, name: str, value: str) -> Fact:
        return cls("attribute", name, value, _line(value))

    @classmethod
    def tie(cls, relation: str, role: str, entity: str, title: str | None = None) -> Fact:
        """The item stands at an end (`role`) of an edge of the graph whose other end is the entity; title: the entity's.

        An entity that has a code for a name, as Freebase's or Wikidata's have, is not shown.
        """
        shown = _line(title) if title else _words(entity, lower=False)
        shown = shown if WORD.search(shown) else ""
        return cls("head" if role == C.HEAD else "tail", relation, entity, shown)

    def clause(self, quantity: str) -> str:
        """Said of several items; quantity: `both` or `all`."""
        name = _words(self.name)
        if self.kind == "category":
            return f"{quantity} {self.shown}"
        if not self.shown:
            return f"{quantity} {name} the same" if PREPOSITION.search(name) else f"same {name}"
        if self.kind == "tail":
            return f"{quantity} tied to {self.shown} ({name})"
        if self.kind == "head" and PREPOSITION.search(name):
            return f"{quantity} {name} {self.shown}"
        return f"same {name} ({self.shown})"


@dataclass(frozen=True)
class Catalogue:
    """What can be said of items, by dense index."""

    titles: Sequence[str]
    facts: Sequence[tuple[Fact, ...]]
    rarity: dict[Fact, int]
    """Items that a fact is of."""

    @classmethod
    def of(cls, titles: Sequence[str], facts: Sequence[Sequence[Fact]]) -> Catalogue:
        """Facts that are too long to be said are left out, and attributes that most items share."""
        counts: dict[Fact, int] = {}
        for fact in (fact for own in facts for fact in own):
            counts[fact] = counts.get(fact, 0) + 1
        said = {
            fact
            for fact, count in counts.items()
            if len(fact.shown) <= LONGEST_FACT and (fact.kind != "attribute" or count <= len(titles) / 2)
        }
        kept = [tuple(fact for fact in own if fact in said) for own in facts]
        return cls([_line(title) for title in titles], kept, counts)

    def shared(self, items: Sequence[int]) -> list[Fact]:
        """Facts of all these items: the first categories, and then the rarest tie or attribute."""
        others = [set(self.facts[item]) for item in items[1:]]
        found = [fact for fact in dict.fromkeys(self.facts[items[0]]) if all(fact in other for other in others)]
        rest = sorted((fact for fact in found if fact.kind != "category"), key=lambda fact: self.rarity[fact])
        return [fact for fact in found if fact.kind == "category"][:CATEGORIES] + rest[:1]


def named(evidence: Evidence) -> Evidence:
    """The evidence that a reason names."""
    return [(item, share) for item, share in evidence[:NAMED] if share >= LEAST_SHARE]


@dataclass(frozen=True)
class Words:
    """Makes reasons."""

    catalogue: Catalogue
    crowd: Crowd

    def reason(self, item: int, evidence: Evidence, segment: int) -> str:
        """Why an item is recommended, in a line of at most `LONGEST` characters.

        Args:
            evidence: items of the user's history with their shares of what speaks for the item, the largest first.
            segment: the user's; -1: none.
        """
        found = named(evidence)
        if not found:
            return _cut(self.crowd.words(item, segment), LONGEST)
        shared = self.catalogue.shared([item, *(other for other, _ in found)])
        clauses = _clauses(shared, "both" if len(found) == 1 else "all")
        return _fitting([self.catalogue.titles[other] for other, _ in found], found, clauses)


def _fitting(titles: Sequence[str], found: Evidence, clauses: Sequence[str]) -> str:
    """All of it, or with titles cut, or with fewer clauses: what is short enough."""
    text = _because(titles, found, clauses)
    if len(text) <= LONGEST:
        return text
    room = (LONGEST - len(_because([""] * len(found), found, clauses))) // len(found)
    if room < SHORTEST_TITLE and clauses:
        return _fitting(titles, found, clauses[:-1])
    return _because([_cut(title, room) for title in titles], found, clauses)


def _because(titles: Sequence[str], found: Evidence, clauses: Sequence[str]) -> str:
    shown = [f"“{title}” ({100 * share:.0f} %)" for title, (_, share) in zip(titles, found, strict=True)]
    return f"because of {' and '.join(shown)}" + (f": {', '.join(clauses)}" if clauses else "")


def _clauses(shared: Sequence[Fact], quantity: str) -> list[str]:
    categories = ", ".join(fact.shown for fact in shared if fact.kind == "category")
    others = [fact.clause(quantity) for fact in shared if fact.kind != "category"]
    return [f"{quantity} {categories}", *others] if categories else others


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _line(text: str) -> str:
    return " ".join(text.split())


def _words(name: str, lower: bool = True) -> str:
    """The last part of a dotted, slashed or prefixed name in words; types of RecBole's atomic files go.

    >>> _words("http://graph.org/directedBy"), _words("release_year:token"), _words("Ridley_Scott", lower=False)
    ('directed by', 'release year', 'Ridley Scott')
    """
    last = re.split(r"[/#:]", TYPE.sub("", name).rstrip("/#:"))[-1]
    if lower:
        last = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", last.split(".")[-1]).lower()
    return _line(last.replace("_", " "))
