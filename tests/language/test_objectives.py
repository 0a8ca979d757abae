"""What a language model is adapted by: each loss by hand, and what is hidden or left out."""

import pytest
import torch
from lakerec.language.objectives import IGNORED, Vocabulary, consistency, contrastive, drop, hide, told
from torch.nn.functional import normalize

WORDS = Vocabulary(size=1000, mask=103, special=frozenset({0, 101, 102, 103}))


def ids(*numbers):
    return torch.tensor(numbers)


def test_contrast_is_cross_entropy_both_ways_over_the_batch():
    left = torch.eye(3)
    right = normalize(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 1.0]]), dim=1)
    scores = left @ right.T / 0.5
    expected = [(torch.logsumexp(side[i], 0) - side[i, i]).item() for side in (scores, scores.T) for i in range(3)]
    assert contrastive(left, right, ids(1, 2, 3), ids(4, 5, 6), 0.5).item() == pytest.approx(sum(expected) / 6)


def test_the_same_text_elsewhere_in_the_batch_is_no_negative():
    left, right = torch.eye(3), torch.eye(3)[[0, 0, 2]]  # rows 0 and 1 of right are one text
    apart = contrastive(left[[0, 2]], right[[0, 2]], ids(1, 3), ids(7, 9), 0.05)
    together = contrastive(left[[0, 0, 2]], right, ids(1, 1, 3), ids(7, 7, 9), 0.05)
    assert together.item() == pytest.approx(apart.item(), abs=1e-4)
    assert contrastive(left[[0, 0, 2]], right, ids(1, 2, 3), ids(7, 8, 9), 0.05) > 0.2


def test_views_that_see_their_batch_alike_have_no_divergence():
    torch.manual_seed(0)
    vectors = normalize(torch.randn(6, 8), dim=1)
    rotated = vectors @ torch.linalg.qr(torch.randn(8, 8))[0]
    assert consistency(vectors, rotated, 0.1).item() == pytest.approx(0, abs=1e-5)
    assert consistency(vectors, normalize(torch.randn(6, 8), dim=1), 0.1) > 0.1
    assert consistency(vectors[:2], vectors[:2], 0.1) == 0


def test_tokens_are_hidden_as_bert_does_and_marks_never():
    block = torch.randint(200, 1000, (400, 50), generator=torch.Generator().manual_seed(1))
    block[:, 0], block[:, -1] = 101, 0
    real = torch.ones_like(block, dtype=torch.bool)
    real[:, -1] = False
    inputs, labels = hide(block, real, WORDS, 0.15, torch.Generator().manual_seed(2))
    asked = labels != IGNORED
    assert not asked[:, 0].any() and not asked[:, -1].any()
    assert asked[:, 1:-1].float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(labels[asked], block[asked]) and torch.equal(inputs[~asked], block[~asked])
    assert (inputs[asked] == WORDS.mask).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert (inputs[asked] == block[asked]).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_a_view_lacks_some_tokens_keeps_its_marks_and_is_never_empty():
    chance = torch.Generator().manual_seed(3)
    views = [drop([101, *range(200, 300), 102], WORDS, 0.1, chance) for _ in range(50)]
    assert all(view[0] == 101 and view[-1] == 102 and sorted(view[1:-1]) == view[1:-1] for view in views)
    assert sum(len(view) for view in views) / 50 == pytest.approx(2 + 90, abs=2)
    assert drop([101, 200, 102], WORDS, 0.999, chance) == [101, 200, 102]
    assert drop([101, 102], WORDS, 0.999, chance) == [101, 102]


def test_tokens_are_told_by_the_input_embeddings():
    embeddings = torch.eye(4) * 20
    hidden = torch.eye(4)[None, [2, 1, 3]]
    right = torch.tensor([[2, 1, IGNORED]])
    assert told(hidden, right, embeddings, torch.zeros(4)) < 1e-6
    assert told(hidden, torch.tensor([[0, 1, IGNORED]]), embeddings, torch.zeros(4)).item() == pytest.approx(10, abs=0.1)
    assert told(hidden, torch.full((1, 3), IGNORED), embeddings, torch.zeros(4)) == 0
