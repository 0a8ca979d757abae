"""A model card (Mitchell et al., 2019, doi:10.1145/3287560.3287596): what a version is, made from, worth, and not for.

Every limit follows from a figure, or from what the package lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lakerec.columns import Models
from lakerec.evaluation.lists import ALL, MetricRow
from lakerec.registry.packaging import Card

FEW_USERS = 100
"""Test users below which a figure of theirs says little."""
MOST_SLICES = 20
OTHER = ("seeds", "fp16", "int8", "off_policy")
OTHER_PREFIXES = ("seed_", "gap:")
"""Values of `slice` in eval/metrics that are no part of the users or of the targets."""


@dataclass(frozen=True)
class CardData:
    """What a card is written from."""

    name: str
    """Registered name."""
    model: str
    """Name in eval/metrics."""
    train_run: str
    made_at: datetime
    """UTC."""
    protocol: str
    """How the test was held out."""
    tables: Mapping[str, int]
    """Versions that training read."""
    items: int
    events: int
    """Interactions that it learned from."""
    wordless: int | None
    """Items without a text; None: it takes no text."""
    no_text: str
    """Why it takes none."""
    known_users: int
    """People whose histories are in the package."""
    metric: str
    k: int
    """What the gate compares."""
    rows: Sequence[MetricRow]
    """Of one evaluation: all slices of the model and of plain popularity."""

    def row(self, model: str, part: str, metric: str, k: int) -> MetricRow | None:
        """One figure, where it was measured."""
        same = (row for row in self.rows if (row.model, row.slice, row.metric, row.k) == (model, part, metric, k))
        return next(same, None)

    @property
    def slices(self) -> list[MetricRow]:
        """The model's promoted metric in each part of the users or targets, the largest first."""
        own = (row for row in self.rows if (row.model, row.metric, row.k) == (self.model, self.metric, self.k))
        parts = [row for row in own if row.slice not in (ALL, *OTHER) and not row.slice.startswith(OTHER_PREFIXES)]
        return sorted(parts, key=lambda row: (-row.n, row.slice))[:MOST_SLICES]


def card(data: CardData) -> Card:
    """Page and summary."""
    parts = (
        _head(data),
        _origin(data),
        _figures(data),
        _slices(data),
        _asking(data),
        ["## Limits", "", *_bullets(limits(data))],
    )
    return Card("\n".join(line for part in parts for line in (*part, "")), _summary(data))


def limits(data: CardData) -> list[str]:
    """What a reader has to know before relying on it."""
    found = [*_weak(data)]
    found.append(f"It ranks the {data.items:,} items that it was registered with; `lakerec recommend` places newer ones.")
    found.append("It was judged by what people took under what they were shown then, not by an experiment on people.")
    if data.wordless:
        found.append(f"{data.wordless:,} of {data.items:,} items have no text: no answer to a text has them.")
    if data.wordless is None:
        found.append(f"It takes no text: {data.no_text}.")
    if data.known_users:
        found.append(f"The package holds the histories of {data.known_users:,} people under their ids: it is personal data.")
    return found


def _weak(data: CardData) -> Iterator[str]:
    """Where it is not better than plain popularity, or not known to be."""
    whole, popular = (data.row(model, ALL, data.metric, data.k) for model in (data.model, Models.POPULAR))
    if whole is None:
        yield f"{data.metric}@{data.k} was not measured."
    elif whole.n < FEW_USERS:
        yield f"It was judged on {whole.n} users: figures of so few say little."
    if data.model != Models.POPULAR:
        yield from _beside_popularity(data, whole, popular)
    few = [f"{_words(part.slice)} ({part.n})" for part in data.slices if part.n < FEW_USERS]
    if few:
        yield f"Too few to tell: {', '.join(few)}."


def _beside_popularity(data: CardData, whole: MetricRow | None, popular: MetricRow | None) -> Iterator[str]:
    """Where its interval reaches down to plain popularity's value, and the parts in which it is no better."""
    if whole is not None and popular is not None:
        lowest = whole.value if whole.ci_low is None else whole.ci_low
        if lowest <= popular.value:
            yield f"Whether it is above plain popularity is not certain: {_span(whole)} against {popular.value:.4f}."
    for part in data.slices:
        base = data.row(Models.POPULAR, part.slice, data.metric, data.k)
        if base is not None and part.value <= base.value:
            values = f"{part.value:.4f} against {base.value:.4f}, n = {part.n}"
            yield f"Not better than plain popularity on {_words(part.slice)}: {values}."


def _head(data: CardData) -> list[str]:
    return [
        f"# {data.name}: {data.model}", "",
        f"Ranks a catalogue of {data.items:,} items for a person's history"
        f"{' or for a text' if data.wordless is not None else ''}. It was learned from {data.events:,} interactions.",
    ]  # fmt: skip


def _origin(data: CardData) -> list[str]:
    lines = ["## Made from", "", f"Train run `{data.train_run}`, packaged {data.made_at:%Y-%m-%d %H:%M} UTC.", ""]
    return [*lines, "| table | version |", "|---|---|", *(f"| {name} | {at} |" for name, at in sorted(data.tables.items()))]


def _figures(data: CardData) -> list[str]:
    own = [row for row in data.rows if (row.model, row.slice) == (data.model, ALL) and row.k]
    head = ["## Figures on the test", "", f"Held out: {data.protocol}. Intervals are of 95 %.", ""]
    table = ["| metric | value | interval | n | plain popularity |", "|---|---|---|---|---|"]
    for row in sorted(own, key=lambda row: (row.k, row.metric)):
        base = data.row(Models.POPULAR, ALL, row.metric, row.k)
        table.append(f"| {row.metric}@{row.k} | {row.value:.4f} | {_interval(row)} | {row.n:,} | {_value(base)} |")
    return [*head, *table]


def _slices(data: CardData) -> list[str]:
    if not data.slices:
        return ["## Parts", "", "No part of the users was measured by itself."]
    table = [f"| part | n | {data.metric}@{data.k} | interval | plain popularity |", "|---|---|---|---|---|"]
    for row in data.slices:
        base = data.row(Models.POPULAR, row.slice, data.metric, data.k)
        table.append(f"| {_words(row.slice)} | {row.n:,} | {row.value:.4f} | {_interval(row)} | {_value(base)} |")
    return ["## Parts", "", *table]


def _asking(data: CardData) -> list[str]:
    ways = ["`items`: a history of item ids, oldest first; `times`: epoch seconds of each"]
    ways += ["`text`: free text, ranked by likeness to the items' texts"] if data.wordless is not None else []
    ways += ["`user_id`: somebody whose history is in the package"] if data.known_users else []
    return [
        "## Asked with",
        "",
        *_bullets(ways),
        "",
        "Of whom nothing is known gets what is popular; `basis` in the answer says so.",
    ]


def _summary(data: CardData) -> str:
    row = data.row(data.model, ALL, data.metric, data.k)
    value = f"{data.metric}@{data.k} {_span(row)} on {row.n:,} users" if row is not None else "not measured"
    lines = [f"{data.model} of {data.train_run}: {value}.", *_weak(data), "The whole card is model_card.md in the package."]
    return "\n".join(lines)[:1_000]


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _words(name: str) -> str:
    """A slice's name as it is read, fit for a cell of a table.

    >>> _words("cold_items"), _words("category:Tea|Coffee")
    ('cold items', 'category: Tea/Coffee')
    """
    kind, colon, value = name.partition(":")
    return (f"{kind.replace('_', ' ')}: {value}" if colon else name.replace("_", " ")).replace("|", "/")


def _interval(row: MetricRow) -> str:
    return "–" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:.4f} to {row.ci_high:.4f}"


def _span(row: MetricRow) -> str:
    return f"{row.value:.4f} ({_interval(row)})"


def _value(row: MetricRow | None) -> str:
    return "–" if row is None else f"{row.value:.4f}"
