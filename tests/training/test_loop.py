"""The loop learns what can be learned, repeats itself to the bit, goes on where it was cut short, and stops well."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.models.data import Histories, TrainingData
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.windows import windows
from lakerec.training import keeper
from lakerec.training.batches import WindowBatches
from lakerec.training.keeper import Keeper
from lakerec.training.loop import FULL_SOFTMAX_ITEMS, NEGATIVES, Recipe, Trainer, fit_sequence, recipe_of
from lakerec.training.status import read_status
from lakerec.training_config import TrainConfig

ITEMS = 12
SHAPE = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=0.1)
DRY = replace(SHAPE, dropout=0.0)


def cyclic(users=120, length=9, seed=0):
    """Histories in which item n is always followed by n + 1, modulo ITEMS."""
    starts = np.random.default_rng(seed).integers(0, ITEMS, users)
    return Histories.from_lists([[(start + step) % ITEMS for step in range(length)] for start in starts])


def trained(recipe, seed=1, histories=None, shape=SHAPE, **named):
    histories = histories or cyclic()
    model = Sequence.fresh(shape, TrainingData(histories, ITEMS), seed)
    torch.manual_seed(seed)
    width = shape.max_length + 1
    times = histories.times if shape.times else None
    blocks = windows(histories.offsets, histories.items, width, ITEMS, times)
    batches = WindowBatches(blocks, ITEMS, 32, seed)
    return model, fit_sequence(model.network, batches, recipe, seed=seed, **named)


def keeping(folder, minutes=0.0):
    return Keeper(folder, "cpu", 1, 0, 1, minutes, 99)


def cut_at(monkeypatch, at):
    """The loop is interrupted, once, when it has done so many steps."""
    step, left = Trainer._step, [at]

    def cut(trainer, batch):
        if trainer.state.step in left:
            left.clear()
            raise KeyboardInterrupt
        return step(trainer, batch)

    monkeypatch.setattr(Trainer, "_step", cut)


@pytest.mark.parametrize("negatives", [0, 3], ids=["all items", "three drawn"])
def test_sequences_that_can_be_predicted_are(negatives):
    model, fit = trained(Recipe(epochs=25, learning_rate=1e-2, averaging=0.9, negatives=negatives))
    asked = Histories.from_lists([[n, (n + 1) % ITEMS] for n in range(ITEMS)])
    hits = model.score(asked).argmax(axis=1) == (np.arange(ITEMS) + 2) % ITEMS
    assert hits.mean() >= 0.9
    assert fit.curve[-1].loss < fit.curve[0].loss / 2


@pytest.mark.parametrize("negatives", [0, 6], ids=["all items", "six drawn"])
def test_what_follows_from_the_pauses_between_events_is_learned_where_times_are_told(negatives):
    """A pause of a minute is followed by the next item, one of days by the one three further on."""
    random = np.random.default_rng(3)
    items, times = [], []
    for start in random.integers(0, ITEMS, 200):
        long = random.random(9) < 0.5
        steps = np.where(long[:-1], 3, 1)
        items.append(((start + np.concatenate([[0], np.cumsum(steps)])) % ITEMS).tolist())
        times.append(np.cumsum(np.where(long, 300_000, 60) + random.integers(0, 20, 9)).tolist())
    histories = Histories.from_lists(items, times)
    asked = Histories.from_lists([[n, n + 1] for n in range(8)] * 2, [[0, 70]] * 8 + [[0, 300_010]] * 8)
    right = [n + 2 for n in range(8)] + [n + 4 for n in range(8)]
    found = {}
    for told in (True, False):
        recipe = Recipe(epochs=20, learning_rate=1e-2, averaging=0.9, negatives=negatives)
        model, _ = trained(recipe, histories=histories, shape=replace(DRY, times=told))
        found[told] = (model.score(asked).argmax(axis=1) == right).mean()
    assert found[True] >= 0.9 and found[False] <= 0.6


@pytest.mark.parametrize("negatives", [0, 6], ids=["all items", "six drawn"])
def test_what_a_teacher_knows_is_learned_from_histories_that_do_not_show_it(negatives):
    teacher, _ = trained(Recipe(epochs=25, learning_rate=1e-2, averaging=0.9))
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    noise = np.random.default_rng(5).integers(0, ITEMS, (300, 9))
    recipe = Recipe(epochs=12, learning_rate=1e-2, averaging=0.9, negatives=negatives)
    asked = Histories.from_lists([[n, (n + 1) % ITEMS] for n in range(ITEMS)])
    found = {}
    for teaching in (0.0, 1.0):
        student, _ = trained(
            replace(recipe, teaching=teaching), histories=Histories.from_lists(noise.tolist()),
            shape=replace(SHAPE, dims=8), teacher=teacher.network.eval(),
        )  # fmt: skip
        found[teaching] = (student.score(asked).argmax(axis=1) == (np.arange(ITEMS) + 2) % ITEMS).mean()
    assert found[1.0] >= 0.9 and found[0.0] <= 0.4
    assert all(torch.equal(before[name], value) for name, value in teacher.network.state_dict().items())


def test_with_all_items_drawn_steps_are_those_of_the_full_softmax():
    """Loss, clipping, AdamW and average, whichever way the rows are worked on."""
    full, fit = trained(Recipe(epochs=2), shape=DRY)
    rows, drawn = trained(Recipe(epochs=2, negatives=ITEMS), shape=DRY)
    assert [point.loss for point in drawn.curve] == pytest.approx([point.loss for point in fit.curve], rel=1e-4)
    for one, other in zip(rows.network.parameters(), full.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_how_many_items_are_drawn_follows_from_the_catalogue_unless_told():
    drawn = [recipe_of(TrainConfig(negatives=given), 2_000_000).negatives for given in (None, 0, 128)]
    assert drawn == [NEGATIVES, 0, 128]
    assert recipe_of(TrainConfig(), FULL_SOFTMAX_ITEMS).negatives == 0


@pytest.mark.parametrize("negatives", [0, 3])
def test_the_same_seed_gives_the_same_weights(negatives):
    recipe = Recipe(epochs=2, negatives=negatives)
    first, second = (trained(recipe)[0].network.state_dict() for _ in range(2))
    other = trained(recipe, seed=2)[0].network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_early_stop_keeps_the_best_epoch():
    values = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    seen = {}

    def validate(network):
        value = next(values)
        seen[value] = network.delta.detach().clone()
        return value

    model, fit = trained(Recipe(epochs=9, patience=2), validate=validate)
    assert (fit.best_epoch, fit.best_value, len(fit.curve)) == (2, 0.5, 4)
    assert torch.equal(model.network.delta, seen[0.5])


@pytest.mark.parametrize(("at", "goes_on_from", "negatives"), [(3, 0, 0), (4, 4, 0), (7, 4, 0), (9, 8, 0), (9, 8, 3)])
def test_cut_short_anywhere_it_goes_on_from_the_last_epoch_to_the_bit(tmp_path, monkeypatch, at, goes_on_from, negatives):
    """Four steps an epoch; dropout, early stop and the curve go on as if nothing had been."""

    def validate(network):
        return float(network.delta.sum())

    recipe = Recipe(epochs=4, patience=2, negatives=negatives)
    whole, fit = trained(recipe, validate=validate)
    cut_at(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        trained(recipe, validate=validate, keeper=keeping(tmp_path))
    assert read_status(tmp_path).step == goes_on_from
    again, resumed = trained(recipe, validate=validate, keeper=keeping(tmp_path))
    assert resumed == fit
    assert all(torch.equal(*pair) for pair in zip(again.network.parameters(), whole.network.parameters(), strict=True))


@pytest.mark.parametrize("negatives", [0, 3])
def test_within_a_long_epoch_it_goes_on_from_the_step_where_a_checkpoint_was_due(tmp_path, monkeypatch, negatives):
    recipe = Recipe(epochs=2, negatives=negatives)
    whole, fit = trained(recipe)
    monkeypatch.setattr(keeper, "ASK_EVERY", 2)
    cut_at(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        trained(recipe, keeper=keeping(tmp_path, minutes=1e-9))
    again, resumed = trained(recipe, keeper=keeping(tmp_path, minutes=1e-9))
    assert read_status(tmp_path).notes == ["goes on from step 6, in epoch 2"] and resumed == fit
    assert all(torch.equal(*pair) for pair in zip(again.network.parameters(), whole.network.parameters(), strict=True))


@pytest.mark.parametrize("negatives", [0, 3], ids=["all items", "three drawn"])
@pytest.mark.parametrize(("micro_batch", "fits", "sizes"), [(5, 99, {5, 2, 4}), (0, 9, {8})], ids=["set", "out of memory"])
def test_a_step_is_the_same_in_parts(tmp_path, monkeypatch, micro_batch, fits, sizes, negatives):
    """A memory that holds 9 windows halves 32 twice; what a try that failed left of gradients does not count."""
    recipe = Recipe(epochs=2, negatives=negatives)
    whole, seen, backward = trained(recipe, shape=DRY)[0], [], Trainer._backward

    def small_memory(trainer, batch):
        if len(batch) > fits:
            backward(trainer, batch[:fits])
            raise torch.OutOfMemoryError
        seen.append(len(batch))
        return backward(trainer, batch)

    monkeypatch.setattr(Trainer, "_backward", small_memory)
    parts, _ = trained(recipe, shape=DRY, micro_batch=micro_batch, keeper=keeping(tmp_path))
    assert set(seen) == sizes
    for one, other in zip(parts.network.parameters(), whole.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    told = read_status(tmp_path).notes
    assert told == ([] if micro_batch else [f"out of memory: {n} windows at a time from step 0 on" for n in (16, 8)])


def test_a_window_that_no_memory_holds_is_said(monkeypatch):
    def no_memory(trainer, batch):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Trainer, "_backward", no_memory)
    with pytest.raises(TrainingError, match=r"single window: lower train\.dims"):
        trained(Recipe(epochs=1))


def test_the_worst_step_of_the_items_vectors_is_trained_on_too(monkeypatch):
    losses, loss = [], Trainer._loss

    def seen(trainer, *arguments):
        found = loss(trainer, *arguments)
        losses.append(found.item())
        return found

    monkeypatch.setattr(Trainer, "_loss", seen)
    recipe = Recipe(epochs=12, learning_rate=1e-2, averaging=0.9, adversarial=0.02)
    model, fit = trained(recipe, shape=DRY)
    pairs = np.array(losses).reshape(-1, 2)
    assert (pairs[:, 1] > pairs[:, 0]).all() and fit.curve[-1].loss < fit.curve[0].loss / 2
    asked = Histories.from_lists([[n, (n + 1) % ITEMS] for n in range(ITEMS)])
    assert (model.score(asked).argmax(axis=1) == (np.arange(ITEMS) + 2) % ITEMS).mean() >= 0.9


def test_passes_in_bf16_learn_as_well():
    _, fit = trained(Recipe(epochs=6, learning_rate=1e-2))
    model, half = trained(Recipe(epochs=6, learning_rate=1e-2, precision="bf16"))
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert half.curve != fit.curve and half.curve[-1].loss == pytest.approx(fit.curve[-1].loss, rel=0.05)


@pytest.mark.parametrize(("steps", "batch"), [(30, 32), (1, 1000)], ids=["loss", "weights after the last step"])
def test_what_is_not_finite_stops_and_the_last_good_weights_are_kept(steps, batch):
    histories = cyclic()
    model = Sequence.fresh(SHAPE, TrainingData(histories, ITEMS), 1)
    blocks = windows(histories.offsets, histories.items, SHAPE.max_length + 1, ITEMS)
    recipe = Recipe(epochs=steps, learning_rate=float("inf") if steps == 1 else 1e30, warm_up=0.0, clip=1e30)
    with pytest.raises(TrainingError, match=r"lower train\.learning_rate"):
        fit_sequence(model.network, WindowBatches(blocks, ITEMS, batch, 1), recipe)
    assert all(weight.isfinite().all() for weight in model.network.state_dict().values())


def test_padding_is_never_a_target_and_short_histories_teach_nothing():
    histories = Histories.from_lists([[1], [2], [3, 4]])
    _, fit = trained(Recipe(epochs=1), histories=histories)
    assert fit.curve[0].loss == pytest.approx(np.log(ITEMS), rel=0.05)


def test_windows_make_every_event_but_the_first_a_target_once():
    histories = Histories.from_lists([list(range(7)), [7], [8, 9]])
    found = windows(histories.offsets, histories.items, 4, 99)
    assert found.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [8, 9, 99, 99]]
    odd = Histories.from_lists([list(range(6))])
    assert windows(odd.offsets, odd.items, 4, 99).tolist() == [[0, 1, 2, 99], [2, 3, 4, 5]]
