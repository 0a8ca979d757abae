"""The page: what it says, that it needs nothing else, and that data cannot become markup."""

import re

import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.reporting import plots
from lakerec.reporting.data_page import Bots
from lakerec.reporting.report import render, table_of
from lakerec.stages.report_descriptions import Descriptions
from lakerec.stages.report_language import Language
from lakerec.stages.report_people import People

from tests import pages
from tests.pages import made, metric


def text_of(page):
    """What a reader sees, on one line."""
    whole = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", whole).split())


@pytest.fixture
def page(tmp_path):
    return render(made(), tmp_path / "out" / "report.html").read_text()


def test_the_headline_names_the_chosen_model_and_the_gates_decision(page):
    text = text_of(page)
    assert "blend , chosen on validation, reaches NDCG@10 0.1200 (95 % interval 0.1100 to 0.1300) on the test users" in text
    assert "The gate refused blend (version 2): 0.1200 is not above 0.1300" in text
    assert "Targets with at most five earlier events (50 users)" in text
    assert "0.1100 · 0.1300" in text and "ease 0.5, sequence 1.0" in text


def test_the_headline_is_what_validation_chose_though_the_test_likes_another_more(tmp_path):
    page = render(made(chosen="ease"), tmp_path / "report.html").read_text()
    text = text_of(page)
    assert "ease , chosen on validation, reaches NDCG@10 0.0700" in text
    assert '<tr class="best"><td>ease</td>' in page and '<tr class="best"><td>blend</td>' not in page


def test_single_events_and_smaller_models_have_tables_where_they_were_measured(tmp_path, page):
    assert "Single events" not in page and "made smaller" not in page
    rows = made().metrics + [metric("sequence", Metrics.NDCG, value, name) for name, value in (("all", 0.2), ("int8", 0.19))]
    rows += [metric("distilled", Metrics.NDCG, 0.17)]
    others = [
        metric(name, metric_, 0.05)
        for name in ("sequence", "distilled")
        for metric_ in Metrics.ALL
        if metric_ != Metrics.NDCG
    ]
    single = [metric("behaviour", Metrics.AUC, 0.875)]
    text = text_of(render(made(metrics=rows + others, single=single, asked_for=True), tmp_path / "report.html").read_text())
    assert "behaviour AUC: an item that was taken is above one drawn at random 0.8750 0.8650–0.8850" in text
    assert "items in int8, a quarter 0.1900 -5.0 %" in text and "distilled into a smaller network 0.1700 -15.0 %" in text
    assert "blend , asked for by promote.model, reaches" in text


def test_what_lists_would_have_earned_is_a_table_of_its_own(tmp_path, page):
    assert "would have earned" not in page
    rows = [
        *made().metrics,
        *[metric("blend", name, 0.05, "off_policy") for name in (Metrics.IPS, Metrics.SNIPS, Metrics.DR)],
    ]
    text = text_of(render(made(metrics=rows), tmp_path / "report.html").read_text())
    assert "a page of 10 doubly robust SNIPS IPS blend 0.0500 0.0400–0.0600" in text


def test_the_gate_shows_what_was_compared_checked_and_decided(tmp_path, page):
    assert 'id="gate"' not in page
    shown = render(made(gate=pages.gate()), tmp_path / "report.html").read_text()
    text = text_of(shown)
    for said in (
        "whom both were compared on, NDCG@10 went from 0.1101 with the model that served to 0.1247: +0.0146",
        "&amp; Sons 40 0.1200 0.0500 -0.0700 -0.0800 to -0.0600 ■ worse than it may be",
        "Users with at most ten earlier events 100 0.1000 0.0900 -0.0100 -0.0200 to ",
        "2026-01-03 04:05 refused 3 2 slice category:", "rolled back to 3 3 rolled back", "promoted 3 – 0.0841; no champion",
        "No: none of the checks found anything. check looked at found in words adaptation text 1,000 0",
        "als 0.0400 0.0800 0.0600", "(1: the same order): -1.00.",
        "Yes , by lakerec drift of 2026-01-03 04:05 UTC. 12 events against 98. 8.1 % are of unknown items.",
        "catalogue: events of unknown items 0.081 0.050 1 of 12 events",
        "falls by 0.80 standard deviations without the items that its reason names, and by 0.30 without as many others",
    ):  # fmt: skip
        assert said in text.replace("Yes, by", "Yes , by"), said
    assert "<script" not in shown and text.index("als 0.0400") < text.index("ease 0.0500 0.0600")


def test_a_gate_with_nothing_to_compare_says_so_and_a_leak_is_loud(tmp_path):
    leak = {"check": "events", "ok": False, "checked": 9, "found": 2, "detail": "2 rows late"}
    bare = pages.gate(whole=None, slices=[], drift=None, backtest=None, faithfulness=None, decisions=[], leakage=[leak])
    text = text_of(render(made(gate=bare), tmp_path / "report.html").read_text())
    assert "No other model served before" in text and "Yes: read no figure of this page before that is mended" in text
    assert "Is it time to fit again" not in text and "Decisions" not in text
    kept = text_of(render(made(gate=pages.gate(whole=None)), tmp_path / "report.html").read_text())
    assert "was not compared with the one that serves; the decisions say why" in kept


def test_parts_and_groups_have_a_table_each_and_the_worst_served_come_first(tmp_path):
    parts = {"new_users": 0.2, "tail": 0.03, "gender:F": 0.1, "gender:M": 0.15, "gap:gender": 0.05}
    rows = made().metrics + [metric("blend", Metrics.NDCG, value, part, n=300) for part, value in parts.items()]
    text = text_of(render(made(metrics=rows), tmp_path / "report.html").read_text())
    assert "NDCG@10 new users 300 users of the tail 300 users blend 0.2000 0.1900–0.2100 0.0300" in text
    assert "gender F 300 0.1000 0.0900–0.1100 M 300 0.1500" in text
    assert "gender 0.0500 (0.0400 to 0.0600); 95 % intervals over all pairs of groups" in text


def test_the_headline_compares_with_what_is_popular_where_that_was_measured(tmp_path, page):
    assert "most popular items" not in page
    rows = made().metrics + [metric("popular", name, 0.05) for name in Metrics.ALL]
    text = " ".join(render(made(metrics=rows), tmp_path / "report.html").read_text().split())
    assert "A list of the most popular items reaches 0.0500: blend is 2.4 × as good. 6 of the 50 test users find" in text
    alone = render(made(metrics=rows, chosen="popular"), tmp_path / "report.html").read_text()
    assert "most popular items" not in alone


def test_data_cannot_become_markup(page):
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_the_page_fetches_nothing(page):
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    assert not re.search(r"url\((?!#)|@import", page)


def test_it_renders_with_the_least_there_can_be(tmp_path):
    least = made(
        metrics=[metric("popular", name, 0.0, interval=None if name == Metrics.COVERAGE else 0.0) for name in Metrics.ALL],
        chosen="popular", promotion={}, weights={}, curves={}, examples=[], map_points=None, map_groups=[], stages=[],
        settings={"ease.half_life_days": 7.0},
        cold={
            "bias": 0.5, "text": 2.0, "users": 92, "whole": [0.0729, 0.0722], "cold": [0.0033, 0.0199],
            "placed": [0.1188, 0.1479],
        },
        page=pages.data_page(
            arrivals=[], batches=[], refused=[], tags=[], bots=Bots(), kept=pages.nothing(), drift=None
        ),
        bots_looked_for=False,
    )  # fmt: skip
    page = render(least, tmp_path / "report.html").read_text()
    for said in (
        "None: every row that came in was usable", "Nobody was looked for", "There are no sessions: no event has a user",
        "There is nothing to compare", "Nothing was recommended yet", "All events are of one type, view",
        "among train.choices : ease.half_life_days 7.",
        "it adds 0.5 to their score, and 2 × what their text says. On validation",
        "NDCG@10 goes from 0.0729 to 0.0722, of which train.cold_tolerance allows a small loss",
        "from 0.0033 to 0.0199 (so few that one target more or less moves it); their NDCG@100",
    ):  # fmt: skip
        assert said in text_of(page)
    assert page.count("<svg") == page.count("<figure") == 1, "one plot, of the models: nothing else has anything to show"


def test_the_data_page_says_what_came_in_what_was_refused_and_who_was_marked(page):
    text = text_of(page)
    assert "1,300 rows of events came in from 3 files, the last on 2025-07-01 at 06:30 UTC" in text
    assert "1,250 were good (96.2 %), 7 refused, 43 repeats of rows that were there." in text
    assert "item_id_missing events 7 0.54 %" in text and "cancellation 12 1.0 %" in text
    assert "1 user was marked as bot , with 90 events" in text.replace("bot,", "bot ,")
    assert "events a minute 1 90" in text and "xxx@xxxxxxx.xxx 90 9 1 events a minute, user agent" in text


def test_the_data_page_says_how_it_is_distributed(page):
    text = text_of(page)
    assert "3 users and 4 items; 50.0 % of all possible pairs were met" in text
    assert "1 item has no event (25.0 %). 1 has no title (25.0 %). 25.0 % of the events have no user" in text
    assert "a user 3 300 500 500 500 0 %" in text, "number, median, 90 %, 99 %, most, those with five events or fewer"
    assert "Half of the 200 sessions are over within a minute, nine of ten within 13 minutes" in text
    assert "strongest: Wed 9:00 UTC, 700 events" in text and "0.50 % are 0 or less" in text
    assert page.count("<svg") == page.count("<figure") == 12, "models, curves, map, and nine of the data"


def test_what_moved_is_said_in_words_and_marked_by_more_than_colour(tmp_path, page):
    text = text_of(page)
    assert "(250 events against 1,000). 1 of 2 measures moved: events of users not met before (shifted)." in text
    assert "● stable" in text and "■ shifted" in text
    calm = made(page=pages.data_page(drift=pages.Drift("a against b", 1, 1, made().page.drift.changes[:1])))
    assert "Nothing moved." in text_of(render(calm, tmp_path / "report.html").read_text())


def test_a_part_without_users_and_one_that_nothing_was_found_in_say_so(tmp_path, page):
    assert "Users with at most ten earlier events (no users)" in text_of(page)
    rows = [row for row in made().metrics if row["slice"] != "cold_items"]
    rows += [metric("ease", name, 0.0, "cold_items") for name in Metrics.ALL if name != Metrics.COVERAGE]
    assert "No model has one of these targets among its first 10" in text_of(
        render(made(metrics=rows), tmp_path / "report.html").read_text()
    )


def test_stages_say_what_they_count(page):
    assert "featurize 1,200 events 900 interactions – – 1.0 gold/interactions v3" in text_of(page)


def test_models_are_sorted_by_ndcg():
    rows = [metric("a", Metrics.NDCG, 0.1), metric("b", Metrics.NDCG, 0.2), metric("c", Metrics.NDCG, 0.3, "cold_items")]
    assert [row["model"] for row in table_of(rows)] == ["b", "a"]


def test_the_plane_keeps_the_two_widest_directions():
    points = np.array([[9.0, 0, 0], [-9, 0, 0], [0, 3, 0], [0, -3, 0], [0, 0, 1], [0, 0, -1]])
    found = np.abs(plots.plane(points))
    np.testing.assert_allclose(found[:4], [[9, 0], [9, 0], [0, 3], [0, 3]], atol=1e-9)


def test_labels_and_spans_are_shown_where_some_were_learned(tmp_path, page):
    assert 'id="learned"' not in page
    brand = {"label": "brand", "rows": 1_200, "words": pages.NASTY}
    figures = {"labelled": 40, "precision": 0.95, "coverage": 0.8, "kept": 1_200}
    rows = [
        {"name": "named", "kind": "spans", **figures, "labels": [brand]},
        {"name": "mood", "kind": "labels", "labelled": 9, "precision": None, "coverage": 0.0, "kept": 0, "labels": []},
    ]  # fmt: skip
    shown = render(made(learned=rows), tmp_path / "report.html").read_text()
    text = text_of(shown).replace("\N{NO-BREAK SPACE}", " ")
    assert "named words in texts 40 95.0 % 80.0 % 1,200 brand (1,200: " in text and "<script" not in shown
    assert "mood whole items or texts 9 – 0 % 0" in text


def test_hidden_items_people_and_descriptions_are_shown_where_they_were_asked_for(tmp_path, page):
    assert not any(f'id="{part}"' in page for part in ("language", "people", "descriptions"))
    row = {"test_all": (0.02, 0.01, 0.03), "test_cold": (0.1, 0.1, 0.1), "valid_all": (0.015, 0.015, 0.015)}
    found = Language(
        kept=True,
        rows=[{"name": "encoder as it came", **row}, {"name": "adapted", **row, "valid_all": (0.025, 0.02, 0.03)}],
        k=10, users=1_234, seeds=3, method="lora", objectives="pairs 1", trained=0.05, hidden=0.1,
    )  # fmt: skip
    term, tea = {"name": pages.NASTY, "share": 0.5, "lift": 2.0}, {"name": "tea", "share": 1.0, "items": ["tea 1", "tea 2"]}
    people = People(
        segments=[{"segment": 4, "name": "s", "users": 3_000, "share": 0.75, "terms": [term], "came_from": "3,000 from 2"}],
        candidates=[{"number": 2, "silhouette": 0.31, "stability": 0.9}],
        portraits=[{"user": 7, "sentence": "8 interactions", "interests": [tea]}],
        points=np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]]), groups=["s", "s", ""],
    )  # fmt: skip
    lamp = {"item_id": "p1", "written": pages.NASTY, "refused": ["name Berlin"], "description": "A lamp"}
    written = Descriptions(items=1_682, by_model=1_593, reasons={"name": 89}, kept=[], refused=[lamp])
    shown = render(made(language=found, people=people, descriptions=written), tmp_path / "report.html").read_text()
    text = text_of(shown).replace("\N{NO-BREAK SPACE}", " ")
    for said in (
        "on hidden items that chose, it finds more than it did", "adapted 0.0200 0.0100–0.0300 0.1000 0.0250 0.0200–0.0300",
        "1,234 users, 3 seeds, mean and 95 % t interval. Objectives: pairs 1; lora, 5.0 % of the weights",
        "3,000 75.0 % 3,000 from 2", "2 (0.31 × 0.90)", "User no. 7 : 8 interactions. tea 100 % (tea 1 · tea 2)",
        "1,593 as the model wrote it, 89 by the template", "name Berlin A lamp",
    ):  # fmt: skip
        assert said in text, said
    assert "Users in the plane" in shown and "<script" not in shown
