"""The page: what it says, that it needs nothing else, and that data cannot become markup."""

import re

import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.reporting import plots
from lakerec.reporting.report import ReportData, render, table_of

NASTY = "<script>alert('x')</script> & Sons"


def metric(model, name, value, part="all", interval=0.01):
    low, high = (None, None) if interval is None else (value - interval, value + interval)
    return {"model": model, "slice": part, "metric": name, "k": 10, "value": value, "ci_low": low, "ci_high": high, "n": 50}


def made(**changed):
    values = {"ease": 0.07, "blend": 0.12}
    rows = [
        metric(model, name, value, interval=None if name == Metrics.COVERAGE else 0.01)
        for model, value in values.items()
        for name in Metrics.ALL
    ]
    rows += [metric("ease", name, 0.01, "cold_items") for name in Metrics.ALL if name != Metrics.COVERAGE]
    rows += [metric("blend", Metrics.NDCG, value, f"seed_{n}") for n, value in enumerate((0.11, 0.13), start=1)]
    rows += [metric("blend", Metrics.NDCG, 0.12, "seeds")]
    whole = {
        "name": "shop", "k": 10, "protocol": "leave last out", "period": "2025-01-01 to 2025-06-30",
        "made_at": "2026-01-01 00:00 UTC", "metrics": rows,
        "chosen": "blend",
        "promotion": {"promoted": False, "model": "blend", "version": "2", "reasons": ["0.1200 is not above 0.1300"]},
        "weights": {"ease": 0.5, "sequence": 1.0, "content": 0.0},
        "curves": {"sequence": [{"epoch": 1, "loss": 3.0, "value": 0.1}, {"epoch": 2, "loss": 2.0, "value": 0.12}]},
        "figures": {"users": "1,234"},
        "quarantine": [{"reason": "item_id_missing", "source": "events", "rows": 7, "example": NASTY}],
        "stages": [], "examples": [
            {"user": NASTY, "history": [NASTY], "items": [{"rank": 1, "title": NASTY, "reason": f"because of {NASTY}"}]}
        ],
        "events_per_user": np.array([1, 5, 9]), "map_points": np.eye(4)[:, :2], "map_groups": [NASTY, "a", "a", ""],
    }  # fmt: skip
    return ReportData(**{**whole, **changed})


@pytest.fixture
def page(tmp_path):
    return render(made(), tmp_path / "out" / "report.html").read_text()


def test_the_headline_names_the_chosen_model_and_the_gates_decision(page):
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "blend , chosen on validation, reaches NDCG@10 0.1200 (95 % interval 0.1100 to 0.1300) on the test users" in text
    assert "The gate refused blend (version 2): 0.1200 is not above 0.1300" in text
    assert "Targets with at most five earlier events (50 users)" in text
    assert "0.1100 · 0.1300" in text and "ease 0.5, sequence 1.0" in text


def test_the_headline_is_what_validation_chose_though_the_test_likes_another_more(tmp_path):
    page = render(made(chosen="ease"), tmp_path / "report.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "ease , chosen on validation, reaches NDCG@10 0.0700" in text
    assert '<tr class="best"><td>ease</td>' in page and '<tr class="best"><td>blend</td>' not in page


def test_the_headline_compares_with_what_is_popular_where_that_was_measured(tmp_path, page):
    assert "most popular items" not in page
    rows = made().metrics + [metric("popular", name, 0.05) for name in Metrics.ALL]
    text = " ".join(render(made(metrics=rows), tmp_path / "report.html").read_text().split())
    assert "That is 2.4 × what a list of the most popular items reaches (0.0500)." in text
    alone = render(made(metrics=rows, chosen="popular"), tmp_path / "report.html").read_text()
    assert "most popular items" not in alone


def test_data_cannot_become_markup(page):
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_the_page_fetches_nothing(page):
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    assert not re.search(r"url\((?!#)|@import", page)


def test_it_renders_with_the_least_there_can_be(tmp_path):
    least = made(
        metrics=[metric("popular", name, 0.0, interval=None if name == Metrics.COVERAGE else 0.0) for name in Metrics.ALL],
        chosen="popular", promotion={}, weights={}, curves={}, quarantine=[], examples=[], map_points=None, map_groups=[],
        events_per_user=np.array([1]),
    )  # fmt: skip
    assert "None: every row that came in was usable" in render(least, tmp_path / "report.html").read_text()


def test_models_are_sorted_by_ndcg():
    rows = [metric("a", Metrics.NDCG, 0.1), metric("b", Metrics.NDCG, 0.2), metric("c", Metrics.NDCG, 0.3, "cold_items")]
    assert [row["model"] for row in table_of(rows)] == ["b", "a"]


def test_the_plane_keeps_the_two_widest_directions():
    points = np.array([[9.0, 0, 0], [-9, 0, 0], [0, 3, 0], [0, -3, 0], [0, 0, 1], [0, 0, -1]])
    found = np.abs(plots.plane(points))
    np.testing.assert_allclose(found[:4], [[9, 0], [9, 0], [0, 3], [0, 3]], atol=1e-9)
