"""A card says what the figures say, and its limits follow from them."""

from datetime import UTC, datetime

from lakerec.evaluation.lists import MetricRow
from lakerec.registry.card import CardData, card, limits

ROWS = [
    MetricRow("ease", "all", "ndcg", 10, 0.2, 0.15, 0.25, 400),
    MetricRow("popular", "all", "ndcg", 10, 0.1, 0.08, 0.12, 400),
    MetricRow("ease", "cold_items", "ndcg", 10, 0.01, 0.0, 0.03, 40),
    MetricRow("popular", "cold_items", "ndcg", 10, 0.02, 0.0, 0.04, 40),
    MetricRow("ease", "sparse_users", "ndcg", 10, 0.3, 0.2, 0.4, 150),
    MetricRow("ease", "gap:segment", "ndcg", 10, 0.05, 0.0, 0.1, 3),
    MetricRow("ease", "seed_1", "ndcg", 10, 0.2, None, None, 400),
]


def data(**changed):
    given = {
        "name": "lakerec-shop", "model": "ease", "train_run": "train-1", "made_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "protocol": "leave last out", "tables": {"gold/sequences": 7}, "items": 1_200, "events": 5_000, "wordless": None,
        "no_text": "promote.free_text is off", "known_users": 0, "metric": "ndcg", "k": 10, "rows": ROWS,
    }  # fmt: skip
    return CardData(**given | changed)


def test_the_page_has_origin_figures_and_parts():
    page = card(data()).page
    assert "# lakerec-shop: ease" in page and "Train run `train-1`, packaged 2026-01-02 03:04 UTC." in page
    assert "| gold/sequences | 7 |" in page
    assert "| ndcg@10 | 0.2000 | 0.1500 to 0.2500 | 400 | 0.1000 |" in page
    assert page.index("| sparse users | 150 | 0.3000") < page.index("| cold items | 40 | 0.0100 | 0.0000 to")
    assert "gap" not in page and "seed" not in page


def test_limits_follow_from_the_figures():
    found = "\n".join(limits(data()))
    assert "Not better than plain popularity on cold items: 0.0100 against 0.0200, n = 40." in found
    assert "Too few to tell: cold items (40)." in found and "sparse users (" not in found
    assert "It takes no text: promote.free_text is off." in found and "personal" not in found and "certain" not in found


def test_a_good_model_for_many_has_no_limit_of_that_kind_and_a_doubtful_one_has():
    assert not [line for line in limits(data(rows=ROWS[:2])) if "popular" in line or "few" in line]
    doubtful = [MetricRow("ease", "all", "ndcg", 10, 0.11, 0.09, 0.13, 60), ROWS[1]]
    found = "\n".join(limits(data(rows=doubtful)))
    assert "judged on 60 users" in found and "not certain: 0.1100 (0.0900 to 0.1300) against 0.1000" in found


def test_what_the_package_takes_is_said_with_what_it_lacks():
    found = card(data(wordless=3, known_users=9)).page
    assert "`text`" in found and "3 of 1,200 items have no text" in found and "histories of 9 people" in found


def test_the_summary_is_short_and_begins_with_the_figure():
    found = card(data()).summary
    assert found.startswith("ease of train-1: ndcg@10 0.2000 (0.1500 to 0.2500) on 400 users.") and len(found) <= 1_000
