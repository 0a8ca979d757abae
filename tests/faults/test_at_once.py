"""Fault 6: two runs of one stage at the same time leave what one after the other would leave."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.segments import Segmentation
from lakerec.stages import base, clean, encoding, evaluate, featurize, pipeline, profile

from tests.faults.raw import HEADER, Shop
from tests.gold import interactions_of

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


@pytest.mark.long
@pytest.mark.parametrize(("stage", "where"), [("clean", (clean, "_update")), ("featurize", (featurize, "_some_users"))])
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


def walks(spark):
    """gold/sequences of three users who walk round six items."""
    rows, cuts = [], {"train": (0, 3, "valid"), "valid": (3, 4, "test"), "test": (4, 5, None)}
    for user in range(3):
        items, times = [(user + step) % 6 for step in range(5)], list(range(5))
        for split, (start, end, following) in cuts.items():
            own, past = (items[start:end], times[start:end]), (items[:start], times[:start])
            rows.append((f"u{user}", user, *own, split, *past, following))
    return spark.createDataFrame(rows, CONTRACTS[Tables.SEQUENCES].schema)


def test_fault_06_two_runs_that_evaluate_at_once_leave_the_lists_and_figures_of_both_once(spark, tmp_path, monkeypatch):
    """They meet when both have written, so that each finds the other's rows beside its own and is done once more."""
    shop = Shop(spark, tmp_path)
    shop.others = {"train": {"models": ["popular"]}}
    names = spark.createDataFrame([(f"i{item}", item) for item in range(6)], CONTRACTS[Tables.ITEM_INDEX].schema)
    shop.context().lake.overwrite(names, Tables.ITEM_INDEX)
    shop.lake.overwrite(walks(spark), Tables.SEQUENCES)
    shop.lake.overwrite(interactions_of(walks(spark)), Tables.INTERACTIONS)
    shop.run("train")
    with monkeypatch.context() as patch:
        both = at_once(patch, base, "_written_by_others", lambda: pipeline.run(shop.context(), ("evaluate",)))
    for table, key in ((Tables.PREDICTIONS, ("user_id", "rank")), (Tables.METRICS, ("slice", "metric", "k"))):
        found = shop.rows(table, "run_id", *key)
        own = [[row[1:] for row in found if row[0] == each.run_id] for (each,) in both]
        assert own[0] == own[1] == sorted(set(own[0])) != [] and len(found) == 2 * len(own[0]), table


def test_fault_06_what_another_run_is_evaluating_is_left_alone_by_one_that_is_done_once_more(spark, tmp_path):
    context = Shop(spark, tmp_path).context()
    for run_id in ("one", "other"):
        base.write_own(
            replace(context, run_id=run_id), [(run_id, "popular", "all", "ndcg", 10, 0.5, 0.4, 0.6, 9)], Tables.METRICS
        )
    evaluate._remove_unfinished(replace(context, run_id="one", again=True))
    assert [row.run_id for row in context.lake.read(Tables.METRICS).collect()] == ["other"]


def test_fault_06_segments_are_those_of_the_people_that_a_run_found_when_it_was_done_once_more(spark, tmp_path):
    shop = Shop(spark, tmp_path)
    context = replace(shop.context(), run_id="profile-1")
    contract, nobody = CONTRACTS[Tables.PORTRAITS], spark.createDataFrame([], "user_id string, previous_segment int")
    for users in (3, 5):
        known = {"segment": 0, "events": 4, "sentence": "4 interactions", "knowable_at": datetime(2024, 1, 1, tzinfo=UTC)}
        people = [{**known, "user_id": f"u{number}", "interests": [("tea", 1.0, ["i1"])]} for number in range(users)]
        rows = [tuple(one.get(name) for name in contract.names) for one in people]
        context.lake.overwrite(spark.createDataFrame(rows, contract.schema), Tables.PORTRAITS)
        profile._write_segments(context, Segmentation([], np.ones((1, 2), np.float32)), [0], nobody, "minilm")
        context = replace(context, again=True)
    assert shop.rows(Tables.SEGMENTS, "run_id", "users", "encoder") == [("profile-1", 5, "minilm")]
    later = replace(context, run_id="profile-2", again=False)
    found = profile._numbers(later, Segmentation([], np.ones((2, 3), np.float32)), "other")
    assert found == [1, 2], "another encoder's are other segments"
