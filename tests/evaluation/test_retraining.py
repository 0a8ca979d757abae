"""Each reason alone asks for another training, none does not, and few events decide nothing."""

import doctest

import numpy as np
import pytest
from lakerec.evaluation import retraining
from lakerec.evaluation.retraining import Figure, Items, catalogue_figures, day_figure, decide, exposure_figures

EVALUATED = (0.30, 0.28)
"""Recall on the test users, and the lower end of its interval."""
CALM = [
    Figure("inputs", "event types", 0.1, 0.02, 0.25, False, reason="types moved"),
    Figure("vectors", "MMD²", 0.001, 0.002, 0.02, False, reason="vectors moved"),
    day_figure("2024-01-01", 0.31, 500, EVALUATED),
    day_figure("2024-01-02", 0.10, 500, EVALUATED),
    day_figure("2024-01-03", 0.10, 500, EVALUATED),
]


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(retraining)
    assert tried and not failed


def test_nothing_beyond_its_limit_is_no_reason():
    decision = decide(CALM, 100, 100, 3)
    assert not decision.retrain and decision.reasons == ["no figure that training would mend is beyond its limit"]


@pytest.mark.parametrize("place", [0, 1])
def test_one_figure_alone_asks_for_it(place):
    figures = list(CALM)
    figures[place] = Figure("inputs", "event types", 0.3, 0.02, 0.25, True, reason="types moved")
    assert decide(figures, 100, 100, 3) == (retraining.Decision(True, ["types moved"]))


def test_what_training_would_not_mend_is_told_and_no_reason():
    refused = Figure("inputs", "rows refused", 2.0, 0.02, 0.25, True)
    assert not decide([*CALM, refused], 100, 100, 3).retrain


def test_a_row_of_days_below_the_evaluation_is_a_reason_and_a_shorter_one_is_not():
    assert [day.drifted for day in CALM[2:]] == [False, True, True]
    fourth = day_figure("2024-01-04", 0.20, 500, EVALUATED)
    decision = decide([fourth, *CALM], 100, 100, 3)
    assert decision.retrain and "(from 0.2800)" in decision.reasons[0]
    assert "2024-01-02 0.1000, 2024-01-03 0.1000, 2024-01-04 0.2000" in decision.reasons[0]
    assert not decide([*CALM, fourth], 100, 100, 4).retrain, "the first of four was fine"
    assert not decide([*CALM, fourth], 100, 100, 0).retrain, "days are not looked at"
    assert not decide([*CALM, day_figure("2024-01-04", 0.0, 9, None)], 100, 100, 3).retrain, "a day that is not over"


def test_below_the_least_number_of_events_nothing_is_decided():
    moved = Figure("inputs", "event types", 0.3, 0.02, 0.25, True, reason="types moved")
    decision = decide([moved], 99, 100, 3)
    assert not decision.retrain and "99 events have come" in decision.reasons[0] and "minimum_events" in decision.reasons[0]


def test_a_day_of_few_users_is_below_by_chance():
    """0.3 − 1.645 · √(0.3 · 0.7 / 25) = 0.149."""
    day = day_figure("2024-01-01", 0.16, 25, EVALUATED)
    assert (day.chance, day.limit, day.drifted) == (pytest.approx(0.149, abs=1e-3), 0.28, False)
    assert day_figure("2024-01-01", 0.14, 25, EVALUATED).drifted


def items(**changed):
    """Five items: two popular, one rare, one that came since, one that only events name."""
    known = {
        "before": [50, 40, 10, 0, 0], "now": [20, 10, 10, 40, 20], "shown": [6, 3, 1, 0, 0],
        "indexed": [1, 1, 1, 1, 0], "known": [1, 1, 1, 0, 0], "described": [1, 1, 0, 1, 0], "embedded": [1, 1, 1, 0, 0],
    }  # fmt: skip
    kinds = {name: int if name in ("before", "now", "shown") else bool for name in known}
    return Items(**{name: np.array(values, dtype=kinds[name]) for name, values in {**known, **changed}.items()})


def test_the_catalogue_by_hand():
    new, gone, unknown, bare = catalogue_figures(items(), 0.05)
    assert (new.name, new.value, new.before, new.now) == ("new items", 0.25, 3, 4)
    assert (gone.name, gone.value, gone.detail) == ("items gone", 1 / 3, "1 of 3 items")
    assert (unknown.value, unknown.drifted, unknown.detail) == (0.6, True, "60 of 100 events")
    assert unknown.reason == "60.0% of the new events are on items that the model does not know (limit: 5.0%)"
    assert (bare.name, bare.value) == ("items without a vector", 0.25)
    assert not any(figure.drifted for figure in catalogue_figures(items(now=[96, 0, 0, 4, 0]), 0.05))


def test_exposure_by_hand():
    """Places 6, 3, 1, 0 of four items: Gini = Σ |x − y| / (2 · 4² · 2.5) = 40 / 80; groups by events before: a, b and c."""
    gini, covered, top, groups = exposure_figures(items())
    assert gini.value == pytest.approx(0.5)
    assert (covered.value, covered.detail) == (0.75, "3 of 4 items are shown")
    assert top.value == pytest.approx(0.6 * 0.04)
    assert groups.value > groups.chance and not groups.drifted and groups.detail.endswith("60% / 40% / 0%")
    assert exposure_figures(items(shown=[0, 0, 0, 0, 0])) == []
    assert len(exposure_figures(items(now=[0, 0, 0, 0, 0]))) == 3, "no event to compare with"
