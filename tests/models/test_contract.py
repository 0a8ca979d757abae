"""What every recommender keeps to: one suite over all of them, on people whose taste can be told from what they met."""

from functools import cache

import numpy as np
import pytest
import torch
from lakerec.columns import Models
from lakerec.models import catalog, storage
from lakerec.models.blend import Blend
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.descent import watched
from lakerec.models.newcomers import LOWEST, extended
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.topk import recommend
from lakerec.models.windows import windows
from lakerec.training.batches import WindowBatches
from lakerec.training.loop import Recipe, fit_sequence
from lakerec.training_config import TrainConfig

GROUPS, SIZE, MET, K = 12, 8, 5, 5
ITEMS = GROUPS * SIZE
STAYS = 0.9
"""Share of events that are of the user's own group; the others are of any."""
CROWD = 0.3
"""Share of users whose group is the first one; popularity knows no more than that."""
CHANCE = K / (ITEMS - MET)
READ_TEXT = (Models.CONTENT, Models.TWO_TOWER, Models.SEQUENCE, Models.ATTENTION, Models.BEHAVIOUR, Models.BLEND)
BY_STEPS = (Models.TWO_TOWER, Models.MULT_VAE, Models.ATTENTION, Models.BEHAVIOUR)
BASELINES = (Models.POPULAR, Models.RECENT_POPULAR)
FLOOR = {name: 2.5 * CHANCE if name in BASELINES else 0.75 * STAYS for name in Models.ALL}
"""Least share of people never seen whose next item is among the first K."""
SHAPE = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=0.1, text_dims=8)
ASKED = Histories.from_lists([[0, 1], [ITEMS - 1], [], [1, 2, 3, 4, 0, 1, 2]])


def people(count, seed):
    """Histories of MET + 1 items that differ, within 30 days."""
    rng = np.random.default_rng(seed)
    taste = [CROWD] + [(1 - CROWD) / (GROUPS - 1)] * (GROUPS - 1)
    items = []
    for group in rng.choice(GROUPS, count, p=taste):
        own = iter(rng.permutation(SIZE) + group * SIZE)
        other = iter(rng.permutation(ITEMS))
        row = []
        while len(row) <= MET:
            item = int(next(own) if rng.random() < STAYS else next(other))
            row += [item] * (item not in row)
        items.append(row)
    return Histories.from_lists(items, np.sort(rng.integers(0, 30 * DAY, (count, MET + 1)), axis=1).tolist())


@cache
def data():
    rng = np.random.default_rng(5)
    taste = np.repeat(rng.normal(size=(GROUPS, 16)), SIZE, axis=0) + 0.3 * rng.normal(size=(ITEMS, 16))
    vectors = (taste / np.linalg.norm(taste, axis=1, keepdims=True)).astype(np.float32)
    return TrainingData(people(300, 1), ITEMS, vectors)


def fit(name, spark, scratch):
    """A model fitted as the train stage fits it, but for the sequence's batches, which come from memory."""
    config = TrainConfig(
        seeds=[3],
        als={"factors": 16},
        two_tower={"dims": 16, "epochs": 12, "batch_size": 64, "negatives": 32},
        mult_vae={"epochs": 30, "batch_size": 32, "latent": 16},
        attention={"dims": 16, "max_length": 8, "epochs": 8, "batch_size": 32, "learning_rate": 1e-2},
        behaviour={"dims": 16, "width": 32, "epochs": 8, "batch_size": 128, "learning_rate": 1e-2},
    )
    if name == Models.ALS:
        from lakerec.stages.factorizing import fit_als

        return fit_als(spark(), data(), config.als, scratch, seed=3)
    if name == Models.SEQUENCE:
        model, histories = Sequence.fresh(SHAPE, data(), seed=3), data().histories
        torch.manual_seed(3)
        blocks = windows(histories.offsets, histories.items, SHAPE.max_length + 1, ITEMS)
        fit_sequence(model.network, WindowBatches(blocks, ITEMS, 32, 3), Recipe(epochs=8, learning_rate=1e-2, averaging=0.9))
        return model
    if name == Models.BLEND:
        weights = {Models.EASE: 1.0, Models.SEQUENCE: 0.5}
        return Blend([fit(member, spark, scratch) for member in weights], weights)
    model = catalog.build(name, config)
    model.fit(data())
    return model


@pytest.fixture(scope="module")
def spark_session(request):
    """Gives the session where it is asked for: what needs no Spark runs without Java."""
    return lambda: request.getfixturevalue("spark")


MODELS = [
    pytest.param(name, marks=[pytest.mark.spark] if name == Models.ALS else [])
    for name in Models.ALL
    if name != Models.DISTILLED
]
"""Of each kind; the distilled one is a sequence model."""


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name, spark_session, tmp_path_factory):
    return fit(name, spark_session, tmp_path_factory.mktemp("scratch"))


def test_it_scores_every_item_for_any_history(name, model):
    scores = model.score(ASKED)
    assert model.name == name
    assert scores.shape == (len(ASKED), ITEMS) and scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert model.score(Histories.from_lists([])).shape == (0, ITEMS)


def test_a_users_scores_do_not_depend_on_who_else_is_asked_for(model):
    alone = model.score(ASKED.take(np.array([3])))
    np.testing.assert_allclose(model.score(ASKED)[3], alone[0], rtol=1e-4, atol=1e-5)


def test_scoring_leaves_the_histories_as_they_were(model):
    given = ASKED.take(np.arange(len(ASKED)))
    model.score(given)
    for part in ("offsets", "items", "times"):
        np.testing.assert_array_equal(getattr(given, part), getattr(ASKED, part))


def test_it_is_saved_as_settings_and_weights_and_loaded_the_same(model, tmp_path):
    model.save(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert files == {storage.SETTINGS, storage.WEIGHTS}
    np.testing.assert_array_equal(catalog.load(tmp_path / "model").score(ASKED), model.score(ASKED))


def test_new_items_join_by_their_text_and_what_is_known_stays(name, model, tmp_path):
    """One new item with the text of the first group's, one of the last one's: scores tell whose they are."""
    new = data().item_vectors[[0, -1]]
    model.save(tmp_path / "model")
    longer = extended(catalog.load(tmp_path / "model"), new, ITEMS)
    scores, before = longer.score(ASKED), model.score(ASKED)
    assert longer.name == name and scores.shape == (len(ASKED), ITEMS + 2) and scores.dtype == np.float32
    if name != Models.BLEND:
        np.testing.assert_allclose(scores[:, :ITEMS], before, rtol=1e-4, atol=1e-5)
    first, last = scores[:2, ITEMS:]
    if name in READ_TEXT:
        assert first[0] > first[1] and last[1] > last[0]
        assert np.isfinite(longer.score(Histories.from_lists([[ITEMS, 0], [ITEMS + 1]]))).all(), "they may be in a history"
    elif name in LOWEST:
        np.testing.assert_array_equal(scores[:, ITEMS:], np.repeat(before.min(axis=1, keepdims=True), 2, axis=1))
    else:
        assert not scores[:, ITEMS:].any()
    with_new = Histories.from_lists([[ITEMS, 0, 1], [ITEMS + 1]])
    if name not in READ_TEXT:
        np.testing.assert_allclose(
            longer.score(with_new)[:, :ITEMS], model.score(Histories.from_lists([[0, 1], []])), atol=1e-5
        )


def test_the_same_seed_gives_the_same_scores_and_a_fit_by_steps_tells_each(name, model, spark_session, tmp_path):
    told = []
    with watched(lambda done, steps: told.append((done, steps))):
        again = fit(name, spark_session, tmp_path)
    np.testing.assert_allclose(again.score(ASKED), model.score(ASKED), rtol=1e-5, atol=1e-6)
    assert told == [(number + 1, len(told)) for number in range(len(told))] and bool(told) == (name in BY_STEPS)


def test_lists_hold_what_the_user_has_not_met(model):
    known = people(20, 7)
    for part, items, scores in recommend(model, known, 10, ITEMS):
        for row, user in enumerate(range(part.start, part.stop)):
            assert not set(items[row].tolist()) & set(known.row(user).tolist())
            assert len(set(items[row].tolist())) == 10
        assert (np.diff(scores, axis=1) <= 0).all()


def test_it_learns_what_can_be_learned(name, model):
    """People of whom it has seen nothing: their last item is looked for among the first K."""
    whole = people(400, 2)
    first = np.flatnonzero(np.arange(len(whole.items)) % (MET + 1) < MET)
    known = Histories(np.arange(len(whole) + 1) * MET, whole.items[first], whole.times[first])
    wanted = whole.items[MET :: MET + 1]
    hits = np.concatenate(
        [(items == wanted[part, None]).any(axis=1) for part, items, _ in recommend(model, known, K, ITEMS)]
    )
    assert hits.mean() >= FLOOR[name]
    assert name not in BASELINES or hits.mean() < 0.5 * STAYS
