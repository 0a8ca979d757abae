"""The loop learns what can be learned, repeats itself to the bit, and stops well."""

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.models.data import Histories, TrainingData
from lakerec.models.sequence import Sequence, Shape
from lakerec.training.batches import WindowBatches, windows
from lakerec.training.loop import Recipe, fit_sequence

ITEMS = 12
SHAPE = Shape(dims=16, blocks=1, heads=2, max_length=8, dropout=0.1)


def cyclic(users=120, length=9, seed=0):
    """Histories in which item n is always followed by n + 1, modulo ITEMS."""
    starts = np.random.default_rng(seed).integers(0, ITEMS, users)
    return Histories.from_lists([[(start + step) % ITEMS for step in range(length)] for start in starts])


def trained(recipe, seed=1, histories=None, **named):
    histories = histories or cyclic()
    model = Sequence.fresh(SHAPE, TrainingData(histories, ITEMS), seed)
    torch.manual_seed(seed)
    batches = WindowBatches(windows(histories.offsets, histories.items, SHAPE.max_length + 1, ITEMS), ITEMS, 32, seed)
    return model, fit_sequence(model.network, batches, recipe, **named)


def test_sequences_that_can_be_predicted_are():
    model, fit = trained(Recipe(epochs=25, learning_rate=1e-2, averaging=0.9))
    asked = Histories.from_lists([[n, (n + 1) % ITEMS] for n in range(ITEMS)])
    hits = model.score(asked).argmax(axis=1) == (np.arange(ITEMS) + 2) % ITEMS
    assert hits.mean() >= 0.9
    assert fit.curve[-1].loss < fit.curve[0].loss / 2


def test_the_same_seed_gives_the_same_weights():
    first, second = (trained(Recipe(epochs=2))[0].network.state_dict() for _ in range(2))
    other = trained(Recipe(epochs=2), seed=2)[0].network.state_dict()
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
