"""Adaptation as a stage: what is hidden is not learned from, both figures are kept, the better encoder is used."""

import json

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError
from lakerec.language.encoder import encoder_fingerprint
from lakerec.stages import adapt, cold, pipeline
from lakerec.stages.base import last_run

from tests import shop
from tests.small_models import small_bert

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(embedded_shop):
    """A shop featurized, and its config's file."""
    folder = embedded_shop.parent
    (folder / "bert").mkdir()
    overrides = (
        f"encoder.model={small_bert(folder / 'bert', learns=True)}",
        "adapt.objectives={pairs: 1.0}",
        "adapt.batch_size=16",
    )
    overrides += ("adapt.seeds=[1, 2]", "adapt.learning_rate=0.003", "adapt.rank=4", "encoder.max_tokens=30")
    return embedded_shop, overrides


def load(place, *more):
    conf, overrides = place
    return shop.load(conf, *overrides, *more)


def test_hidden_items_are_not_learned_from_and_both_figures_stand_in_the_table(place, monkeypatch):
    seen = []
    whole = adapt.save_texts
    monkeypatch.setattr(adapt, "save_texts", lambda path, ids, pairs: (seen.append((ids, pairs)), whole(path, ids, pairs)))
    with pipeline.opened(load(place)) as context:
        outcomes = pipeline.run(context, ["adapt", "embed"])
        run = last_run(context.lake, "adapt")
        rows = context.lake.read(Tables.COLD_RETRIEVAL).where(f"run_id = '{run.run_id}'").collect()
        used = {row.encoder for row in context.lake.read(Tables.ITEM_VECTORS).collect()}
        base = encoder_fingerprint(context.config.encoder)
    assert [outcome.stage for outcome in outcomes] == ["adapt", "embed"]
    for ids, pairs in seen:
        assert len(ids) == 32 - 2 * 3 and pairs.max() < len(ids) and (pairs[:, 0] != pairs[:, 1]).all()
    assert len(rows) == 2 * 2 * 4 * 2, "seeds × valid and test × models × candidates"
    choice = {
        name: np.mean([r.value for r in rows if (r.split, r.model, r.candidates) == ("valid", name, "all")])
        for name in ("base", "adapted")
    }
    assert float(run.details["valid_recall_adapted"]) == pytest.approx(choice["adapted"], abs=1e-6)
    kept = choice["adapted"] > choice["base"]
    assert run.details["kept"] == str(kept).lower()
    assert {name.startswith("bert-adapted-") for name in used} == {kept} and (base in used) == (not kept)
    assert len(json.loads(run.details["curves"])) == 2


@pytest.mark.parametrize("better", [True, pytest.param(False, marks=pytest.mark.long)])
def test_only_what_is_better_is_used_and_the_rest_is_forgotten(place, monkeypatch, better):
    calls = []

    def recall(vectors, *rest):
        calls.append(vectors)
        return 0.5 if vectors is calls[0] else 0.6 if better else 0.5

    monkeypatch.setattr(cold, "recall_of", recall)
    monkeypatch.setattr(adapt.cold, "recall_of", recall)
    with pipeline.opened(load(place, f"adapt.temperature={0.06 if better else 0.07}", "adapt.epochs=1")) as context:
        pipeline.run(context, ["adapt", "embed"])
        used = {row.encoder for row in context.lake.read(Tables.ITEM_VECTORS).collect()}
        known = {row.encoder for row in context.lake.read(Tables.TEXT_VECTORS).collect()}
        assert len(used) == 1 and used <= known
        adapted = {name for name in known if name.startswith("bert-adapted-")}
        assert adapted == (used if better else set())
        assert all(outcome.skipped for outcome in pipeline.run(context, ["adapt", "embed"]))
    with pipeline.opened(load(place, "adapt.objectives={}")) as context:
        assert [outcome.stage for outcome in pipeline.run(context, ["adapt", "embed"])] == ["embed"]
        base = encoder_fingerprint(context.config.encoder)
        assert {row.encoder for row in context.lake.read(Tables.ITEM_VECTORS).collect()} == {base}


def test_an_objective_of_the_other_kind_of_model_is_refused(place):
    refused = pytest.raises(ConfigError, match=r"causal_lm needs a decoder, and `.*bert` is none: take masked_lm")
    with pipeline.opened(load(place, "adapt.objectives={causal_lm: 1}")) as context, refused:
        pipeline.run(context, ["adapt"])


def test_hidden_sets_do_not_meet_and_the_rest_is_asked_about_them():
    from lakerec.models.data import Histories

    met = np.arange(40) < 30
    hidden = cold.hide_items(met, 0.2, seed=3)
    assert hidden.choosing.sum() == hidden.reporting.sum() == 6
    assert not (hidden.choosing & hidden.reporting).any() and not (hidden.either & ~met).any()
    first, other = np.flatnonzero(hidden.choosing)[0], np.flatnonzero(met & ~hidden.either)[0]
    secret = np.flatnonzero(hidden.reporting)[0]
    histories = Histories.from_lists([[other, first, secret, first], [first], [other]])
    holdout = cold.cold_holdout(histories, hidden, hidden.choosing, 10)
    assert len(holdout.histories) == 1, "who met nothing else, and who met nothing hidden, cannot be asked"
    assert holdout.histories.row(0).tolist() == [other] and holdout.targets.row(0).tolist() == [first]


def test_recall_by_hand():
    from lakerec.models.data import Histories, Holdout

    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1], [0.1, 0.9]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    holdout = Holdout(Histories.from_lists([[0], [3]]), Histories.from_lists([[1, 4], [1]]))
    wanted = np.array([False, True, False, False, True])
    assert cold.recall_of(vectors, 2.0, holdout, wanted, "all", 1) == pytest.approx((1 / 2 + 0) / 2)
    assert cold.recall_of(vectors, 2.0, holdout, wanted, "cold", 2) == 1
    found = {(model, candidates): value for model, candidates, value in cold.baselines(holdout, wanted, 1)}
    assert found["random", "all"] == 1 / 4 and found["random", "cold"] == 1 / 2
    assert found["popular", "all"] == 0, "it has met no hidden item"


def test_the_seed_that_gains_most_where_the_model_is_chosen_is_used():
    def row(seed, split, model, candidates, value):
        return ("run", seed, split, model, candidates, "recall", 10, value, 5)

    rows = [
        row(1, "valid", "base", "all", 0.04), row(1, "valid", "adapted", "all", 0.05), row(2, "valid", "base", "all", 0.01),
        row(2, "valid", "adapted", "all", 0.03), row(2, "valid", "adapted", "cold", 0.0),
        row(1, "test", "adapted", "all", 0.9),
    ]  # fmt: skip
    assert adapt.best_seed(rows) == 2 and adapt.best_seed(rows[:2]) == 1
