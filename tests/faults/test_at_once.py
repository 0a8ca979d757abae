"""Fault 6: two runs of one stage at the same time leave what one after the other would leave."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lakerec.columns import Tables
from lakerec.stages import clean, encoding, featurize, pipeline

from tests.faults.raw import HEADER, Shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]


def lines(users):
    return "".join(f"{user},i{day},2024-01-0{day + 1} 10:00:00,1\n" for user in users for day in range(4))


def at_once(patch, module, name, run):
    """Run twice in two threads that meet where the function is called first."""
    meeting, whole, met = threading.Barrier(2, timeout=120), getattr(module, name), set()

    def meet(*arguments):
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            meeting.wait()
        return whole(*arguments)

    patch.setattr(module, name, meet)
    with ThreadPoolExecutor(2) as both:
        return [each.result() for each in [both.submit(run), both.submit(run)]]


@pytest.mark.parametrize(
    ("stage", "where"),
    [("clean", (clean, "_update")), pytest.param("featurize", (featurize, "_some_users"), marks=pytest.mark.long)],
)
def test_fault_06_two_runs_of_a_stage_at_once_leave_each_row_once(spark, tmp_path, monkeypatch, stage, where):
    shop = Shop(spark, tmp_path)
    shop.others = {"split": {"protocol": "leave_last_out"}}
    before = ("ingest", "clean", "featurize")
    shop.write("1.csv", HEADER + lines(("ann", "bob", "cat")))
    shop.run(*before)
    shop.write("2.csv", HEADER + lines(("new", "nil", "non")))
    shop.run(*before[: before.index(stage)])
    with monkeypatch.context() as patch:
        at_once(patch, *where, lambda: pipeline.run(shop.context(), (stage,)))
    shop.run("clean", "featurize")
    assert len(shop.rows(Tables.EVENTS, "event_id")) == len(set(shop.rows(Tables.EVENTS, "event_id"))) == 24
    assert (
        len(shop.rows(Tables.INTERACTIONS, "user_id")) == len(set(shop.rows(Tables.INTERACTIONS, "user", "position"))) == 24
    )
    assert [number for _, number in sorted(shop.rows(Tables.USER_INDEX, "user_id", "user"), key=lambda row: row[1])] == list(
        range(6)
    )
    assert shop.rows(Tables.SEQUENCES, "user_id", "split") == sorted(set(shop.rows(Tables.SEQUENCES, "user_id", "split")))
    assert all(outcome.skipped for outcome in shop.run(stage)), "and what they left counts as done"


def test_fault_06_two_runs_that_embed_at_once_encode_each_text_once(spark, tmp_path, monkeypatch):
    shop = Shop(spark, tmp_path)
    shop.others = {"encoder": {"precision": "fp32"}}
    rows = [(str(number), f"text {number}", f"hash {number}") for number in range(9)]
    texts = spark.createDataFrame(rows, "item_id string, text string, text_hash string")
    shop.context().lake.overwrite(texts, Tables.ITEM_TEXT)
    with monkeypatch.context() as patch:
        at_once(patch, encoding, "_append", lambda: pipeline.run(shop.context(), ("embed",)))
    assert shop.rows(Tables.TEXT_VECTORS, "text_hash") == [(f"hash {number}",) for number in range(9)]
    assert shop.rows(Tables.ITEM_VECTORS, "item_id") == [(str(number),) for number in range(9)]
