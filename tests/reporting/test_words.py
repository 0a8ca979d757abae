"""Examples in the docstrings of the page's helpers, and the rows of the drift table by hand."""

import doctest
from datetime import date

import lakerec.reporting.drift_table as drift_table
import lakerec.reporting.masking as masking
import lakerec.reporting.words as words
import numpy as np
import pytest
from lakerec.reporting import data_plots
from lakerec.reporting.drift_table import Counts, Met, changes

from tests import pages


@pytest.mark.parametrize("module", [drift_table, masking, words])
def test_examples_in_docstrings_run(module):
    failed, tried = doctest.testmod(module)
    assert tried and not failed


def plain(rows):
    return [tuple(text.replace("\N{NO-BREAK SPACE}", " ") for text in list(vars(row).values())[:5]) for row in rows]


def test_each_measure_of_drift_by_hand():
    """Of 1,000 events before and 1,000 now; PSI of ½, ½ → ¾, ¼ is 0.27465, of .5 → .6 it is 0.1 · ln 1.2 + 0.1 · ln 1.25."""
    counts = Counts(
        types={"view": [500, 750], "buy": [500, 250]},
        hours={9: [500, 600], 17: [500, 400]},
        values={1.0: [500, 500], 2.0: [500, 350], 3.0: [0, 150]},
        strangers=(0, 0),
        events=(1000, 1000),
        items=[Met(0, 2, 300, 2), Met(100, 5, 100, 3), Met(500, 1, 600, 1)],
        users=[Met(0, 1, 50, 1), Met(1, 1000, 950, 9)],
        refused=((10, 990), (500, 500)),
    )
    assert plain(changes(counts)) == [
        ("event types", "view 50.0 %", "view 75.0 %", "PSI 0.274 (chance: 0.008)", "shifted"),
        ("hours of the day (UTC)", "busiest 9:00, 50.0 %", "busiest 9:00, 60.0 %", "PSI 0.040 (chance: 0.008)", "stable"),
        ("values, by tenths", "median 1", "median 1", "PSI < 0.001 (chance: 0.008)", "stable"),
        ("values, largest gap", "median 1", "median 1", "KS 0.150 (p: < 0.001)", "moderate"),
        ("popular and rare items", "head 50.0 %", "head 85.7 %", "PSI 0.638 (chance: 0.009)", "shifted"),
        ("events on items not met before", "–", "30.0 %", "2 new items", "shifted"),
        ("events of users not met before", "–", "5.0 %", "1 new users", "stable"),
        ("rows refused", "1.0 %", "50.0 %", "PSI 2.226 (chance: 0.008)", "shifted"),
    ]


def test_nothing_to_compare_is_no_row():
    assert changes(Counts(types={"view": [5, 5]}, events=(5, 5), strangers=(5, 5))) == []


def test_few_events_move_by_chance():
    """3 of 4 against 1 of 4 is a large PSI that four events give often."""
    (row,) = changes(Counts(types={"view": [3, 1], "buy": [1, 3]}, events=(4, 4)))
    assert row.reading == "stable" and row.measure.startswith("PSI 0.6")


def test_a_long_log_is_shown_by_weeks_with_the_quiet_ones_between():
    by_time, unit = pages.distributions().by_time
    assert unit == "week" and len(by_time) == 27 and sum(by_time.values()) == 1_200
    assert next(iter(by_time)) == date(2024, 12, 30)
    short, unit = pages.distributions(days={date(2025, 1, 1): 2, date(2025, 1, 3): 1}).by_time
    assert (list(short.values()), unit) == ([2, 0, 1], "day")


def test_a_plot_is_drawn_where_there_is_something_to_show():
    made = data_plots.plots_of(pages.distributions())
    assert [plot.title for plot in made] == [
        "Events over time", "When in the week", "Types of events", "Values", "How active users are", "How popular items are",
        "How long sessions are", "How long sessions last", "Who has the events",
    ]  # fmt: skip
    assert all(plot.svg.startswith("<svg") and "currentColor" in plot.svg for plot in made)
    assert data_plots.plots_of(pages.nothing()) == []


@pytest.mark.parametrize(
    "values",
    [
        {float(value): 1 for value in range(1, 60)},
        {0.5 * value: 2 for value in range(1, 60)},
        {10.0**exponent: 3 for exponent in range(-3, 14)},
        {-5.0: 1, 0.0: 1},
        {1.0: 1, 81_000.0: 1, **{float(value): 1 for value in range(2, 30)}},
    ],
)
def test_values_of_any_kind_are_drawn(values):
    assert data_plots.values(values).startswith("<svg")
    assert data_plots.sizes(pages.Tally.of((int(abs(v)) + 1, n) for v, n in values.items()), "events of a user")
    assert np.isfinite(list(values)).all()
