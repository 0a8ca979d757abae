"""What is asked decides what a list is made from; a row that cannot be answered is named."""

import numpy as np
import pandas as pd
import pytest
from lakerec.registry.answers import Answers

from tests.registry.packages import TEXTS, USERS, contents, text_side
from tests.small_models import small_bert


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return text_side(small_bert(tmp_path_factory.mktemp("bert"), learns=True))


def asked(package, rows, k=4):
    """Items of each row, and what each was made from."""
    found = Answers(package).of(pd.DataFrame(rows), k)
    lists = found.groupby("row", sort=True)
    return lists["item_id"].agg(list).tolist(), lists["basis"].first().tolist()


def test_a_history_is_answered_by_the_model_and_an_empty_or_unknown_one_by_popularity():
    rows = [{"items": ["cup"]}, {"items": []}, {"items": ["never seen"]}]
    by_count = ["mug", "vase", "lamp", "cup"]
    assert asked(contents(), rows) == ([["mug", "vase", "lamp"], by_count, by_count], ["items", "popular", "popular"])


def test_a_known_user_is_answered_by_the_history_in_the_package_and_a_stranger_by_popularity():
    rows = [{"user_id": "ann"}, {"user_id": "bob"}, {"user_id": "eve"}]
    lists, bases = asked(contents(users=USERS), rows, k=2)
    assert lists == [["mug", "vase"], ["mug", "cup"], ["mug", "vase"]] and bases == ["user_id", "user_id", "popular"]
    assert asked(contents(users=USERS), [{"items": ["lamp"], "user_id": "ann"}], k=1) == ([["vase"]], ["items"])


def test_a_text_finds_the_items_whose_text_is_like_it_and_none_without_a_text_or_met_before(text):
    lists, bases = asked(contents(text), [{"text": words} for words in TEXTS[:3]])
    assert [each[0] for each in lists] == ["cup", "mug", "lamp"] and set(bases) == {"text"}
    assert {len(each) for each in lists} == {3} and "vase" not in lists[0]
    (rest,), _ = asked(contents(text), [{"text": TEXTS[0], "items": ["cup"]}])
    assert rest == [item for item in lists[0] if item != "cup"]
    (of_ann,), _ = asked(contents(text, USERS), [{"text": TEXTS[0], "user_id": "ann"}])
    assert of_ann == rest


def test_a_list_has_at_least_one_item_asked_for():
    with pytest.raises(ValueError, match="k must be at least 1, found 0"):
        Answers(contents()).of(pd.DataFrame({"items": [["cup"]]}), 0)


def test_scores_of_a_text_are_cosines(text):
    found = Answers(contents(text)).of(pd.DataFrame([{"text": TEXTS[1]}]), 1)
    assert found["score"].iloc[0] == pytest.approx(1.0, abs=1e-5)


def test_rows_of_several_kinds_are_answered_in_the_order_asked(text):
    rows = [{"text": TEXTS[2]}, {"items": ["cup"]}, {"text": " ", "items": ["lamp"]}, {"user_id": "bob"}]
    lists, bases = asked(contents(text, USERS), rows, k=1)
    assert lists == [["lamp"], ["mug"], ["vase"], ["mug"]] and bases == ["text", "items", "items", "user_id"]


def test_ranks_begin_at_one_and_types_are_the_signatures():
    found = Answers(contents()).of(pd.DataFrame({"items": [["cup"]]}), 2)
    assert found["rank"].tolist() == [1, 2] and found["row"].dtype == np.int64 and found["score"].dtype == float
    assert Answers(contents()).of(pd.DataFrame({"items": []}), 2).empty


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"items": ["cup"]}, {"items": None}],
            r"row 1: give items \(a history of .*\), text or user_id",
        ),
        ([{"text": "  "}], "row 0: give items"),
        ([{"text": "tea"}], "row 0: this version takes no text"),
        (
            [{"user_id": "ann"}],
            "row 0: this version knows nobody by user_id: send the user's items, or set promote",
        ),
        ([{"item": ["cup"]}], "a request has items, text or user_id; found item"),
        ([{"items": ["cup"], "times": [1, 2]}], "row 0: times must have one number for each of its 1 items, oldest first"),
    ],
)
def test_what_cannot_be_answered_is_named(rows, message):
    with pytest.raises(ValueError, match=message):
        Answers(contents()).of(pd.DataFrame(rows), 3)
