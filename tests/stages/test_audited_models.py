"""A leak of each kind in fitted models, their samplers and adaptation is found, and the clean case is not accused."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Models
from lakerec.models.behaviour import BehaviourRecipe, Examples
from lakerec.models.catalog import build
from lakerec.models.data import DAY, Histories, Holdout, TrainingData
from lakerec.models.moments import ITEM_FACTS, Moments
from lakerec.models.two_tower import TwoTower
from lakerec.stages import audited_data, audited_models, audited_text
from lakerec.stages.adapt import note_learned
from lakerec.stages.audited_models import Held
from lakerec.training_config import TrainConfig
from safetensors.numpy import load_file

ITEMS, USERS, LENGTH = 40, 30, 7
"""A user's last event is test; items 38 and 39 are met there alone."""


def shop():
    """Histories with the test's events: items and times, oldest first."""
    rng = np.random.default_rng(3)
    rows = [rng.permutation(ITEMS - 2)[:LENGTH].tolist() for _ in range(USERS)]
    for user in range(4):
        rows[user][-1] = ITEMS - 1 - user % 2
    times = [np.sort(rng.integers(0, 60 * DAY, LENGTH)).tolist() for _ in range(USERS)]
    return Histories.from_lists(rows, times)


WHOLE = shop()
KNOWN = Histories(
    np.arange(USERS + 1) * (LENGTH - 1), WHOLE.items.reshape(USERS, LENGTH)[:, :-1].ravel(),
    WHOLE.times.reshape(USERS, LENGTH)[:, :-1].ravel(),
)  # fmt: skip
CONFIG = TrainConfig(
    models=["popular", "two_tower", "attention", "behaviour", "sequence"], negatives=8, attention={"candidates": 8},
    two_tower={"negatives": 8, "epochs": 1},
)  # fmt: skip


def evidence(folder, **names):
    """Evidence of models that are fitted on histories: name → these."""
    for name, histories in names.items():
        model = build(name, CONFIG)
        model.fit(TrainingData(histories, ITEMS))
        model.save(folder / name)
    return SimpleNamespace(
        known=SimpleNamespace(histories=KNOWN), whole=SimpleNamespace(histories=WHOLE), num_items=ITEMS,
        lengths=np.full(USERS, LENGTH - 1), context=SimpleNamespace(config=SimpleNamespace(train=CONFIG)),
        models=lambda: sorted(path for path in folder.iterdir()),
    )  # fmt: skip


def test_popularity_that_counts_the_test(tmp_path):
    clean = audited_models.popularity(evidence(tmp_path / "clean", popular=KNOWN, user_cf=KNOWN, ease=KNOWN))
    assert clean.ok and clean.checked == 3 * ITEMS and clean.detail.endswith("in ease, popular, user_cf")
    leak = audited_models.popularity(evidence(tmp_path / "leak", popular=WHOLE, user_cf=KNOWN))
    assert leak.found == len(np.unique(WHOLE.items.reshape(USERS, LENGTH)[:, -1]))
    assert leak.detail == f"{leak.found} items whose counts in popular are nearer to those with the test's events"
    other = audited_models.popularity(evidence(tmp_path / "other", popular=KNOWN.last(2)))
    assert not other.ok and other.detail.endswith("are not those of train and valid")


def test_an_item_of_the_test_alone_that_a_model_learned_of(tmp_path):
    clean = audited_models.vocabulary(evidence(tmp_path / "clean", item_cf=KNOWN, ease=KNOWN))
    assert clean.ok and clean.checked == 2 * 2
    leak = audited_models.vocabulary(evidence(tmp_path / "leak", item_cf=KNOWN, ease=WHOLE))
    assert leak.found == 2 and leak.detail == "2 items that train and valid never met, of which ease learned"


def test_samplers_do_not_know_the_test(tmp_path):
    found = audited_models.negatives(evidence(tmp_path, popular=KNOWN))
    assert found.ok and found.checked > 0
    assert found.detail.endswith("by two_tower, attention, sequence, behaviour")


def test_a_sampler_that_spares_what_is_to_be_found_is_caught(tmp_path, monkeypatch):
    targets = np.unique(WHOLE.items.reshape(USERS, LENGTH)[:, -1])
    others = np.setdiff1d(np.arange(ITEMS), targets)
    monkeypatch.setattr(TwoTower, "negatives", lambda _self, _items, rng: rng.choice(others, 8))
    found = audited_models.negatives(evidence(tmp_path, popular=KNOWN))
    assert found.found >= 40 and "draws of two_tower in which it spares" in found.detail
    assert "behaviour" not in found.detail and "attention" not in found.detail


def test_a_sampler_that_leaves_out_what_its_user_meets_later_is_caught(tmp_path, monkeypatch):
    """As the behaviour model would if it left out all that a user ever meets, not only what they met by then."""

    def ever_met(self, rows, items, events):
        wanted = rows[:, None] * self.data.num_items + items
        return np.isin(wanted, self.pairs)

    monkeypatch.setattr(Examples, "_met", ever_met)
    found = audited_models.negatives(evidence(tmp_path, popular=KNOWN))
    assert found.found >= 40 and found.detail.endswith(
        "draws of behaviour in which it spares what is to be found in the test"
    )


def test_whose_targets_are_looked_for_among_the_draws():
    """User 0 is tested on an item that they had, user 1 has nothing but the test, user 2 finds item 4."""
    histories = Histories.from_lists([[1, 2, 1], [3], [0, 1, 4]])
    held = Held.of(histories, np.array([2, 0, 2]), 5)
    assert [held.targets.row(place).tolist() for place in range(len(held.targets))] == [[3], [4]]
    assert held.lengths.tolist() == [0, 2] and held.histories.row(1).tolist() == [0, 1, 4]
    recipe = BehaviourRecipe(**CONFIG.behaviour.model_dump(exclude={"rated"}))
    hits, draws, share = audited_models.of_behaviour(held, recipe, seed=1)
    assert share == pytest.approx(1 / 4) and draws * share >= audited_models.HITS and hits > 0


def test_facts_as_of_a_moment_do_not_change_with_what_comes_later(monkeypatch):
    assert audited_data.changed_facts(WHOLE, ITEMS) == (ITEMS * ITEM_FACTS, 0)
    exact = Moments._before
    monkeypatch.setattr(Moments, "_before", lambda self, items, times: exact(self, items, times + 7 * DAY))
    with np.errstate(invalid="ignore"):  # days since a last event that is to come
        assert audited_data.changed_facts(WHOLE, ITEMS)[1] > 0


LEARNED = {"items": [0, 1, 2, 3], "texts": [0, 1, 1, 2], "pairs": [[0, 1]], "hidden": [5]}
TRAIN = Histories.from_lists([[0, 2], [1], [3, 5]])
"""Items 1 and 2 have one text."""


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({}, None),
        ({"items": [0, 1, 2, 4]}, "1 items that train never met, whose text was learned from"),
        ({"hidden": [3]}, "1 hidden items, whose text was learned from"),
        ({"pairs": [[0, 1], [1, 2]]}, "1 pairs of texts whose items no user met in train"),
    ],
    ids=["clean", "later item", "hidden item", "later pair"],
)
def test_text_that_the_encoder_was_adapted_on(changed, detail):
    learned = {name: np.array(value) for name, value in (LEARNED | changed).items()}
    found = audited_text.judged(learned, TRAIN, 6)
    assert found.ok == (detail is None) and found.checked == 4 + len(learned["pairs"])
    assert detail is None or found.detail == detail


def test_what_an_adapt_run_notes_is_what_is_judged(tmp_path):
    note_learned(tmp_path / "noted", np.array([0, 1, 1, 2, -1, -1]), np.array([[0, 1]]), np.arange(6) == 5)
    noted = load_file(tmp_path / "noted")
    assert {name: value.tolist() for name, value in noted.items()} == LEARNED
    assert audited_text.judged(noted, TRAIN, 6).ok


def test_adaptation_is_off_not_used_or_left_no_account(tmp_path):
    run = SimpleNamespace(run_id="adapt-1", details={"model": "/models/x-adapted"})
    trained = SimpleNamespace(details={"encoder": "x-adapted-0123"})
    off = SimpleNamespace(runs={}, trained=trained)
    assert audited_text.adaptation_text(off).detail == "adapt is off" and audited_text.adaptation_text(off).ok
    unused = SimpleNamespace(runs={"adapt": run}, trained=SimpleNamespace(details={"encoder": "x-0123"}))
    assert audited_text.adaptation_text(unused).ok and audited_text.adaptation_text(unused).checked == 0
    silent = audited_text.adaptation_text(SimpleNamespace(runs={"adapt": run}, trained=trained))
    assert not silent.ok and "left no account" in silent.detail


def test_models_that_draw_nothing_have_nothing_to_be_checked(tmp_path):
    assert Models.POPULAR not in dict(audited_models.uniform(CONFIG, ITEMS))
    empty = evidence(tmp_path, popular=KNOWN)
    empty.context.config.train = TrainConfig(models=["popular"])
    found = audited_models.negatives(empty)
    assert found.ok and found.checked == 0


def test_a_target_that_its_user_had_met(tmp_path, monkeypatch):
    again = Histories.from_lists([[1, 2, 1], [0, 3]])
    whole = SimpleNamespace(whole=SimpleNamespace(histories=again), lengths=np.array([2, 1]), num_items=4)
    assert audited_data.met_targets(whole) == 0
    everything = lambda known, tested, _: (np.arange(2), Holdout(known, tested))  # noqa: E731
    monkeypatch.setattr(audited_data, "new_targets", everything)
    assert audited_data.met_targets(whole) == 1
