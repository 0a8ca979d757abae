"""The sequence model on a CUDA device: the processor's losses, and the step that memory does not suffice for. No Spark."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from lakerec.models.data import Histories, TrainingData
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.windows import windows
from lakerec.training.batches import WindowBatches
from lakerec.training.loop import Recipe, Trainer, fit_sequence

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
ITEMS, USERS, LENGTH = 3_000, 256, 51
SHAPE = Shape(dims=32, blocks=2, heads=2, max_length=LENGTH - 1, dropout=0.0, times=True)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    items = random.integers(0, ITEMS, (USERS, LENGTH)).tolist()
    times = np.cumsum(random.integers(0, 10**6, (USERS, LENGTH)), axis=1).tolist()
    vectors = random.normal(size=(ITEMS, 48)).astype(np.float32)
    return TrainingData(Histories.from_lists(items, times), ITEMS, item_vectors=vectors)


def losses(data, device, recipe, shape=SHAPE):
    """Mean loss of each epoch."""
    model = Sequence.fresh(shape, data, 1)
    met = data.histories
    blocks = windows(met.offsets, met.items, LENGTH, ITEMS, met.times if shape.times else None)
    fit = fit_sequence(model.network.to(device), WindowBatches(blocks, ITEMS, 64, 1), recipe, seed=1)
    return [point.loss for point in fit.curve]


@pytest.mark.parametrize("negatives", [0, 200], ids=["all items", "drawn"])
@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-3), ("bf16", 2e-2)])
def test_losses_are_those_of_the_processor(data, negatives, precision, near):
    recipe = Recipe(epochs=4, negatives=negatives)
    found = losses(data, "cuda", replace(recipe, precision=precision))
    assert found == pytest.approx(losses(data, "cpu", recipe), rel=near)
    assert found[-1] < found[0]


def test_where_memory_does_not_suffice_fewer_windows_go_through_at_a_time(data, monkeypatch):
    sizes, backward = [], Trainer._backward

    def seen(trainer, batch):
        sizes.append(len(batch))
        return backward(trainer, batch)

    monkeypatch.setattr(Trainer, "_backward", seen)
    recipe = Recipe(epochs=1)
    expected = losses(data, "cuda", recipe)
    assert set(sizes) == {64}
    gc.collect()
    torch.cuda.empty_cache()
    filled, before = [], torch.cuda.memory_reserved()
    while torch.cuda.memory_reserved() == before:  # what other tests left reserved would be memory to take
        filled.append(torch.empty(2**21, dtype=torch.uint8, device="cuda"))
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 70_000_000) / total)
    try:
        found = losses(data, "cuda", recipe)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert min(sizes) < 64
    assert found == pytest.approx(expected, rel=1e-4)


def test_being_told_the_times_costs_little():
    """By indices the gradient of the time bias alone took 6 × as long as all the rest of a step."""
    random = np.random.default_rng(0)
    items = torch.from_numpy(random.integers(0, ITEMS, (256, LENGTH - 1))).cuda()
    seconds = torch.from_numpy(np.cumsum(random.integers(0, 10**6, (256, LENGTH - 1)), axis=1)).cuda()

    def milliseconds(times):
        model = Sequence.fresh(replace(SHAPE, times=times), TrainingData(Histories.from_lists([[0, 1]]), ITEMS), 1)
        network = model.network.cuda()
        found = []
        for _ in range(12):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            network(items, network.table(), seconds if times else None).sum().backward()
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end))
        return sorted(found)[len(found) // 2]

    assert milliseconds(True) < 3 * milliseconds(False)
