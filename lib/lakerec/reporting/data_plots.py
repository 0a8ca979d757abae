"""Plots of the data, small enough to stand side by side on a wide screen and to be read on a narrow one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from lakerec.evaluation.tallies import Tally
from lakerec.reporting.data_page import Distributions
from lakerec.reporting.plots import ACCENT, FAINT, SECOND, figure_of, short, styled, svg_of
from lakerec.reporting.words import number, share

WIDTH, HEIGHT = 5.0, 2.9
"""Inches of a plot."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BARS = 30
"""Bars of a histogram, at most."""
PER_DECADE = 8
"""Bars between a number and ten times it: more would show that numbers were rounded to two digits."""
TYPES = 8
"""Event types that have a bar of their own."""


@dataclass(frozen=True)
class Plot:
    """A plot with its title and a word on how to read it."""

    title: str
    note: str
    svg: str


def plots_of(kept: Distributions) -> list[Plot]:
    """Those that have something to show."""
    made = list(_over_time(kept))
    if len(kept.types) > 1:
        made.append(Plot("Types of events", "", event_types(kept.types)))
    if len(kept.values) > 1:
        made.append(Plot("Values", _at_most_zero(kept.values), values(kept.values)))
    for title, note, tally, label in _tallies(kept):
        if np.count_nonzero(tally.sizes) > 1:
            made.append(Plot(title, note, sizes(tally, label)))
    if kept.items.total and kept.items.number > 1:
        made.append(
            Plot("Who has the events", "the further from the dotted line, the more unequal", lorenz(kept.items, kept.users))
        )
    return made


def _over_time(kept: Distributions) -> Iterator[Plot]:
    by_time, unit = kept.by_time
    if len(by_time) > 1:
        note = "the first and the last may be cut short"
        yield Plot("Events over time", note, over_time(by_time, f"events a {unit}"))
    if kept.has_hours:
        day, hour = divmod(int(kept.hours.argmax()), kept.hours.shape[1])
        note = f"strongest: {DAYS[day]} {hour}:00 UTC, {number(int(kept.hours.max()))} events"
        yield Plot("When in the week", note, week(kept.hours))


def _at_most_zero(counts: Mapping[float, int]) -> str:
    """Which values a logarithmic axis leaves out."""
    below = sum(count for value, count in counts.items() if value <= 0)
    return f"{share(below / sum(counts.values()))} are 0 or less" if below else ""


def _tallies(kept: Distributions) -> list[tuple[str, str, Tally, str]]:
    both = "both axes logarithmic"
    return [
        ("How active users are", both, kept.users, "events of a user"),
        ("How popular items are", both, kept.items, "events of an item"),
        ("How long sessions are", f"in events; {both}", kept.sessions, "events of a session"),
        ("How long sessions last", f"those of a minute or more; {both}", kept.minutes, "minutes of a session"),
    ]


@styled
def event_types(types: Mapping[str, int]) -> str:
    """Horizontal bars, the most frequent on top; the rare ones together."""
    ordered = sorted(types.items(), key=lambda pair: -pair[1])
    if len(ordered) > TYPES:
        rest = ordered[TYPES - 1 :]
        ordered = [*ordered[: TYPES - 1], (f"{len(rest)} others", sum(count for _, count in rest))]
    whole = sum(types.values())
    names = [short(name) for name, _ in reversed(ordered)]
    figure, axes = figure_of(WIDTH, 0.3 + 0.4 * len(ordered))
    places = np.arange(len(names))
    counts = [count for _, count in reversed(ordered)]
    drawn = axes.barh(places, counts, color=ACCENT, height=0.62)
    axes.bar_label(drawn, [f"{share(count / whole)}, {number(count)}" for count in counts], padding=4)
    axes.set_yticks(places, names)
    axes.set_xlim(right=1.6 * max(counts))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return svg_of(figure)


@styled
def over_time(counts: Mapping[date, int], label: str) -> str:
    """Events of each day or week."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    figure, axes = figure_of(WIDTH, HEIGHT)
    days = np.array(list(counts), dtype="datetime64[D]")
    axes.fill_between(days, list(counts.values()), step="mid", color=ACCENT, alpha=0.35, linewidth=0)
    axes.step(days, list(counts.values()), where="mid", color=ACCENT)
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    _thousands(axes.yaxis)
    return svg_of(figure)


@styled
def week(hours: np.ndarray) -> str:
    """Weekday × hour; the more events, the stronger the colour, on any paper."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    figure, axes = figure_of(WIDTH, HEIGHT)
    colors = LinearSegmentedColormap.from_list("strength", [to_rgba(ACCENT, 0.04), to_rgba(ACCENT, 1.0)])
    axes.pcolormesh(hours, cmap=colors, vmin=0, linewidth=0)
    axes.invert_yaxis()
    axes.set_yticks(np.arange(7) + 0.5, DAYS)
    axes.set_xticks(np.arange(0, 24, 4) + 0.5, [f"{hour}:00" for hour in range(0, 24, 4)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("hour (UTC)")
    return svg_of(figure)


@styled
def values(counts: Mapping[float, int]) -> str:
    """A bar a value where they are few, else a histogram: logarithmic where they are positive and far apart."""
    figure, axes = figure_of(WIDTH, HEIGHT)
    names, heights = np.array(list(counts)), np.array(list(counts.values()))
    positive = names > 0
    if len(names) <= BARS // 2:
        axes.bar(np.arange(len(names)), heights, color=ACCENT, width=0.7)
        every = max(1, len(names) // 8)
        axes.set_xticks(np.arange(len(names))[::every], [f"{name:g}" for name in names[::every]])
        axes.set_xlabel("value")
    elif heights[positive].sum() and names[positive].max() > 50 * names[positive].min():
        _log_bars(axes, names[positive], heights[positive])
        axes.set_xlabel("value, those above 0")
    else:
        axes.hist(names, bins=BARS, weights=heights, color=ACCENT)
        axes.set_xlabel("value")
    axes.set_ylabel("events")
    _thousands(axes.yaxis)
    return svg_of(figure)


@styled
def sizes(tally: Tally, label: str) -> str:
    """How many have so many; logarithmic both ways, for few have many."""
    figure, axes = figure_of(WIDTH, HEIGHT)
    some = tally.sizes > 0
    _log_bars(axes, tally.sizes[some], tally.counts[some])
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    _log_ticks(axes.yaxis, 1, float(tally.counts[some].max()))
    axes.set_xlabel(label)
    axes.set_ylabel(label.rsplit(" ", 1)[-1] + "s")
    return svg_of(figure)


@styled
def lorenz(items: Tally, users: Tally) -> str:
    """Share of the events that the most popular items and the most active users have."""
    figure, axes = figure_of(WIDTH, HEIGHT)
    for tally, name, color, line in ((items, "items", ACCENT, "-"), (users, "users", SECOND, "--")):
        if tally.total:
            people, events = tally.lorenz()
            axes.plot(100 * people, 100 * events, color=color, linestyle=line, linewidth=2, label=name)
    axes.plot([0, 100], [0, 100], color=FAINT, linestyle=":", label="all alike")
    axes.set_xlabel("% of them, largest first")
    axes.set_ylabel("% of the events")
    axes.legend(loc="lower right", frameon=False)
    return svg_of(figure)


def _log_bars(axes: Any, names: np.ndarray, heights: np.ndarray) -> None:
    """Bars between edges that grow by a constant factor, none narrower than a whole number."""
    low, high = float(names.min()), float(names.max())
    bars = int(np.clip(PER_DECADE * np.log10(max(high / low, 2)), 4, BARS))
    edges = np.geomspace(low, high * 1.0001, bars + 1)
    if low >= 1 and (names == np.round(names)).all():
        edges = np.unique(np.floor(np.geomspace(low, high + 1, bars + 1))) - 0.5
    axes.hist(names, bins=edges, weights=heights, color=ACCENT, edgecolor=ACCENT, linewidth=0.3)
    axes.set_xscale("log")
    _log_ticks(axes.xaxis, low, high)


def _log_ticks(axis: Any, low: float, high: float) -> None:
    """Plain numbers at powers of ten; where there are few of these, also at twice and five times."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
    axis.set_major_formatter(lambda value, _: f"{value:,g}" if value >= low else "")
    axis.set_minor_formatter(NullFormatter())


def _thousands(axis: Any) -> None:
    """Whole numbers with commas."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
