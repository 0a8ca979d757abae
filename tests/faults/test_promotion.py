"""Faults 36 and 37, and what the gate refuses: real stages, a real store of MLflow, models that differ."""

import copy
import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.errors import InputError
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.popular import POPULARITY
from lakerec.registry import gate
from lakerec.registry.tracking import Tracker
from lakerec.stages import ledger, pipeline, rollback
from lakerec.stages.base import run_stage
from safetensors.numpy import load_file, save_file

from tests.faults.raw import Shop
from tests.faults.test_at_once import at_once
from tests.gold import interactions_of

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NAME = "lakerec-shop"


class Judged(Shop):
    """A shop of forty people who each stay with one of two kinds of goods, its models fitted and evaluated."""

    def __init__(self, spark, folder):
        super().__init__(spark, folder)
        self.others = {
            "train": {"models": ["popular", "recent_popular", "item_cf", "ease"]}, "evaluate": {"bootstrap": 100},
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
            "promote": {"guardrails": {"coverage": 0.0}, "free_text": False},
        }  # fmt: skip
        self.context()
        rows = [(f"i{item}", item) for item in range(24)]
        self.lake.overwrite(spark.createDataFrame(rows, CONTRACTS[Tables.ITEM_INDEX].schema), Tables.ITEM_INDEX)
        self.lake.overwrite(walks(spark), Tables.SEQUENCES)
        self.lake.overwrite(interactions_of(walks(spark)), Tables.INTERACTIONS)

    def context(self, *args, **named):
        found = super().context(*args, **named)
        return replace(found, tracker=Tracker(found.config.tracking, "shop"))

    def offering(self, model, **limits):
        """A context that asks for that model; limits: of the guardrails."""
        found = self.context()
        promote = found.config.promote
        guardrails = promote.guardrails.model_copy(update=limits)
        promote = promote.model_copy(update={"model": model, "guardrails": guardrails})
        return replace(found, config=found.config.model_copy(update={"promote": promote}))

    def promote(self, model, **limits):
        """Put it to the gate; gives (promoted, reasons, champion)."""
        (outcome,) = pipeline.run(self.offering(model, **limits), ("promote",), force=True)
        details = outcome.row["details"]
        return details["promoted"] == "true", details["reasons"], details["champion"]

    def champion(self):
        return gate.alias_version(self.context().tracker, NAME, gate.CHAMPION)

    def ledger(self):
        return [(row["number"], row["challenger"], row["champion"], row["promoted"]) for row in self.entries()]

    def entries(self):
        return ledger.entries(self.context(), NAME)

    def served(self):
        self.run("recommend")
        return self.rows(Tables.RECOMMENDATIONS, "user_id", "rank", "item_id", "score")


def walks(spark):
    """Nine items of a kind each, in a drawn order; the first four of a kind are the more common."""
    rows, draw = [], random.Random(3)
    for user in range(40):
        kind = [12 * (user % 2) + place for place in range(12)]
        items, times = draw.sample(kind, 9), [1_700_000_000 + 86_400 * step for step in range(9)]
        for split, start, end, following in (("train", 0, 7, "valid"), ("valid", 7, 8, "test"), ("test", 8, 9, None)):
            own, past = (items[start:end], times[start:end]), (items[:start], times[:start])
            rows.append((f"u{user}", user, *own, split, *past, following))
    return spark.createDataFrame(rows, CONTRACTS[Tables.SEQUENCES].schema)


@pytest.fixture(scope="module")
def fitted(spark, tmp_path_factory):
    shop = Judged(spark, tmp_path_factory.mktemp("fitted"))
    shop.run("train", "evaluate")
    return shop


@pytest.fixture
def shop(fitted, tmp_path):
    """What was fitted and evaluated once, with a ledger and a registry of its own."""
    found = copy.copy(fitted)
    found.folder = tmp_path
    found.others = fitted.others | {"tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    shutil.copytree(fitted.folder / "lake", tmp_path / "lake")
    found.context()
    return found


def test_better_is_promoted_worse_refused_and_what_served_comes_back_whole(shop, monkeypatch):
    assert shop.promote("popular")[::2] == (True, "1")
    before = shop.served()
    promoted, reasons, champion = shop.promote("item_cf")
    assert promoted and champion == shop.champion() == "2", reasons
    after = shop.served()
    assert after != before
    refused, reasons, champion = shop.promote("recent_popular")
    assert not refused and champion == shop.champion() == "2" and "is not above" in reasons
    compared = {row.run_id for row in shop.lake.read(Tables.COMPARISON).collect()}
    assert compared == {row.run_id for row in shop.entries()[1:]}

    done = run_stage(shop.context(), rollback._stage(None), force=True)
    assert (done.row["details"]["champion"], done.row["details"]["before"]) == ("1", "2") and shop.champion() == "1"
    assert shop.served() == before, "the very lists of before"
    refused, reasons, _ = shop.promote("item_cf")
    assert not refused and "it was rolled back at" in reasons
    with pytest.raises(InputError, match="nothing served before version 1, by ops/promotions"):
        run_stage(shop.context(), rollback._stage(None), force=True)
    with pytest.raises(InputError, match=r"--to: lakerec-shop has no version 9, but 1, 2, 3$"):
        run_stage(shop.context(), rollback._stage("9"), force=True)
    run_stage(shop.context(), rollback._stage("2"), force=True)
    assert shop.served() == after
    assert [row["action"] for row in shop.entries()] == ["promote"] * 3 + ["rollback", "promote", "rollback"]


def test_a_refusal_is_judged_anew_under_other_limits_and_an_alias_moved_by_hand_stays(shop):
    shop.promote("popular")
    refused, reasons, champion = shop.promote("item_cf", latency_ms=1e-6)
    assert not refused and champion == "1" and "ms, 1e-06 are allowed (promote.guardrails.latency_ms)" in reasons
    assert shop.promote("item_cf")[::2] == (True, "2")
    gate.set_alias(shop.context().tracker, NAME, gate.CHAMPION, "1")
    assert shop.promote("popular") == (True, '["it is the champion already"]', "1")
    assert shop.champion() == "1" and [row["promoted"] for row in shop.entries()] == [True, False, True]


def test_a_ledger_of_before_is_read_and_goes_on(shop, spark):
    """It lacks the columns that came since; nothing serves by it."""
    old = CONTRACTS[Tables.PROMOTIONS].columns[:11]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    row = (when, NAME, "1", None, False, "ndcg", 10, 0.5, None, ["0.5000 does not beat"], "promote-before")
    frame = spark.createDataFrame([row], ", ".join(f"{column.name} {column.type}" for column in old))
    frame.write.format("delta").save(shop.lake.name(Tables.PROMOTIONS))
    assert ledger.served_before(shop.entries()) == [] and ledger.read_by_served(shop.lake) == set()
    shop.run("promote")
    assert [row["number"] for row in shop.entries()] == [None, 2]


def test_scores_that_are_no_numbers_are_refused_with_the_reason(shop):
    shop.run("train", full=True)  # models of its own, to be spoiled
    weights = next((shop.folder / "lake-models").rglob("ease/weights.safetensors"))
    arrays = load_file(weights)
    learned = {name: np.full_like(values, np.nan) for name, values in arrays.items() if name != POPULARITY}
    save_file({**arrays, **learned}, weights)
    shop.run("evaluate")
    shop.promote("popular")
    promoted, reasons, champion = shop.promote("ease")
    assert not promoted and champion == shop.champion() == "1"
    assert "its scores are no numbers for 40 of the test users" in reasons


class Killed(BaseException):
    """What ends the process in the midst."""


def test_fault_36_killed_between_registering_and_the_alias_the_old_champion_serves(shop, monkeypatch):
    shop.promote("popular")
    before = shop.served()
    whole = gate.set_alias

    def kill(tracker, name, alias, version):
        if alias == gate.CHAMPION:
            raise Killed
        whole(tracker, name, alias, version)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(gate, "set_alias", kill)
        shop.promote("item_cf")
    assert shop.champion() == "1" and gate.versions(shop.context().tracker, NAME) == ["1", "2"]
    assert shop.served() == before
    decided = shop.ledger()
    promoted, _, champion = shop.promote("item_cf")
    assert promoted and champion == shop.champion() == "2"
    assert shop.ledger() == decided == [(1, "1", None, True), (2, "2", "1", True)], "the decision stands there once"


def test_fault_36_a_rollback_that_was_killed_ends_when_it_is_asked_for_again(shop, monkeypatch):
    """It does not go back one version more."""
    for model in ("popular", "item_cf", "ease"):
        shop.promote(model)
    serving, before = shop.champion(), ledger.served_before(shop.entries())[-2]

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(gate, "set_alias", kill)
        run_stage(shop.context(), rollback._stage(None), force=True)
    assert shop.champion() == serving
    done = run_stage(shop.context(), rollback._stage(None), force=True)
    assert shop.champion() == done.row["details"]["champion"] == before and done.row["details"]["before"] == serving
    assert [row["action"] for row in shop.entries()].count("rollback") == 1


def test_fault_37_two_promotions_at_once_one_alias_and_both_in_the_ledger(shop, monkeypatch):
    """Both decide against the first champion, and meet when they write it down."""
    shop.promote("popular")
    models = iter(("item_cf", "ease"))
    with monkeypatch.context() as patch:
        at_once(patch, ledger, "record", lambda: pipeline.run(shop.offering(next(models)), ("promote",), force=True))
    entries = shop.entries()
    assert [row["number"] for row in entries] == [1, 2, 3] and {row["challenger"] for row in entries} == {"1", "2", "3"}
    assert entries[1]["champion"] == "1" and entries[1]["promoted"]
    assert entries[2]["champion"] == entries[1]["challenger"], "the later one was judged against the earlier one"
    last = next(row["challenger"] for row in reversed(entries) if row["promoted"])
    assert shop.champion() == last
