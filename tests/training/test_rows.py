"""The loss over a draw estimates the one over all, and rows that wait are kept as if they had not."""

import numpy as np
import pytest
import torch
from lakerec.training.rows import Rows, drawn, sampled_logits
from torch.nn import functional as F

ITEMS, DIMS = 40, 6


def given(seed=0, targets=5):
    random = torch.Generator().manual_seed(seed)
    table, hidden = (torch.randn(count, DIMS, generator=random) for count in (ITEMS, targets))
    return hidden, torch.randint(0, ITEMS, (targets,), generator=random), table


def full(hidden, targets, table):
    return F.cross_entropy(hidden @ table.T, targets, reduction="sum")


def sampled_loss(hidden, targets, negatives, table, num_items):
    logits = sampled_logits(hidden, targets, negatives, table, num_items)
    return F.cross_entropy(logits, torch.zeros_like(targets), reduction="sum")


def test_a_draw_follows_from_seed_and_step_and_holds_no_item_twice():
    draw = drawn(1, 7, 100_000, 128)
    assert torch.equal(draw, drawn(1, 7, 100_000, 128)) and len(draw.unique()) == 128
    assert not torch.equal(draw, drawn(1, 8, 100_000, 128)) and not torch.equal(draw, drawn(2, 7, 100_000, 128))
    counts = torch.bincount(torch.cat([drawn(1, step, ITEMS, 10) for step in range(2000)]), minlength=ITEMS)
    assert counts.min() > 420 and counts.max() < 580, "500 expected of each, deviation 19"
    assert drawn(1, 1, 5, 9).sort().values.tolist() == [0, 1, 2, 3, 4]


def test_with_all_items_drawn_it_is_the_full_softmax():
    hidden, targets, table = given()
    assert sampled_loss(hidden, targets, drawn(0, 0, ITEMS, ITEMS), table, ITEMS).item() == pytest.approx(
        full(hidden, targets, table).item(), rel=1e-6
    )


def test_the_sum_over_the_catalogue_is_right_on_average_and_the_loss_nears_the_full_one():
    """exp(loss) · exp(own score) estimates the sum over all items without bias, the target itself never drawn."""
    hidden, targets, table = given(targets=1)
    own, wanted = (hidden @ table[targets].T).item(), (hidden @ table.T).exp().sum().item()
    sums = [sampled_loss(hidden, targets, drawn(3, step, ITEMS, 8), table, ITEMS).exp().item() for step in range(4000)]
    assert np.mean(sums) * np.exp(own) == pytest.approx(wanted, rel=0.03)
    hidden, targets, table = given()
    gaps = [
        np.mean([sampled_loss(hidden, targets, drawn(3, step, ITEMS, count), table, ITEMS).item() for step in range(300)])
        - full(hidden, targets, table).item()
        for count in (4, 12, 36)
    ]
    assert abs(gaps[2]) < 0.1 and abs(gaps[0]) > abs(gaps[1]) > abs(gaps[2])


def test_a_target_that_is_drawn_is_no_wrong_answer():
    hidden, targets, table = given(targets=1)
    without = torch.tensor([item for item in range(ITEMS) if item != targets.item()])[:10]
    both = torch.cat([without[:9], targets])
    low = sampled_loss(hidden, targets, both, table, ITEMS).item()
    weights = (hidden @ table.T)[0].exp()
    expected = torch.log1p(weights[without[:9]].sum() * ITEMS / 10 / weights[targets[0]]).item()
    assert low == pytest.approx(expected, rel=1e-5)


def test_steps_on_all_rows_are_those_of_adamw():
    table = torch.nn.Parameter(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))
    own = table.detach().clone()
    rows = Rows(own, own.clone(), 0.1, (0.9, 0.98))
    optimizer = torch.optim.AdamW([table], 0.05, weight_decay=0.1, betas=(0.9, 0.98), fused=True)
    for step in range(1, 6):
        table.grad = torch.sin(table.detach() + step)
        rows.take(torch.arange(5), torch.arange(2))
        rows.taken.grad.copy_(torch.sin(own + step))
        optimizer.step()
        rows.step(step, 0.05)
    torch.testing.assert_close(own, table.detach(), atol=1e-6, rtol=1e-5)


def test_what_waits_does_not_move_and_its_average_is_what_each_step_would_have_made_it():
    random = np.random.default_rng(2)
    table = torch.from_numpy(random.normal(size=(8, 3)).astype(np.float32))
    expected, before = table.clone(), table.clone()
    rows = Rows(table, table.clone(), 0.0, (0.9, 0.98))
    for step in range(1, 30):
        items = torch.from_numpy(np.sort(random.choice(7, 2, replace=False)))
        rows.take(items, items)
        rows.taken.grad.normal_(generator=torch.Generator().manual_seed(step))
        rows.step(step, 0.1)
        decay = min(0.9, step / (step + 9))
        rows.averaged(decay)
        expected.lerp_(table, 1 - decay)
    assert torch.equal(table[7], before[7]) and (table[:7] != before[:7]).all()
    rows.catch_up()
    torch.testing.assert_close(rows.average, expected, atol=1e-5, rtol=1e-4)
