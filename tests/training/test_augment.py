"""Varied windows, by hand and by their laws."""

import numpy as np
import pytest
import torch
from lakerec.training.augment import NEAREST, WAYS, Augmented, Draw, nearest_by_text
from lakerec.training.batches import WindowBatches

PAD, WIDTH = 100, 8
BLOCKS = np.full((40, WIDTH), PAD, dtype=np.int32)
for row in range(40):
    BLOCKS[row, : 2 + row % 7] = np.arange(2 + row % 7) + 10 * (row % 5)
ITSELF = nearest_by_text(np.zeros((PAD, 0), np.float32))
OTHERS = (np.arange(PAD)[:, None] + 50 + np.arange(NEAREST)).astype(np.int32) % PAD


def draw(windows, size=0.0, place=0.0, hit=0.99, which=0.0):
    windows = np.array(windows, dtype=np.int32)
    lengths = (windows != PAD).sum(axis=1, keepdims=True)
    columns = [np.full((len(windows), 1), value) for value in (size, place)]
    return Draw(windows, windows * 10, lengths, *columns, *(np.broadcast_to(value, windows.shape) for value in (hit, which)))


@pytest.mark.parametrize(
    ("kind", "drawn", "expected"),
    [
        ("crop", {"size": 0.0, "place": 0.99}, [3, 4, 5, PAD, PAD, PAD, PAD]),
        ("crop", {"size": 0.99, "place": 0.0}, [0, 1, 2, 3, 4, 5, PAD]),
        ("mask", {"hit": [[0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.9]]}, [0, PAD, 2, 3, PAD, 5, PAD]),
        ("reorder", {"place": 0.3, "hit": [[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]]}, [0, 2, 1, 3, 4, 5, PAD]),
        ("swap", {"hit": [[0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1]], "which": 0.99}, [54, 1, 2, 3, 4, 59, PAD]),
    ],
)
def test_each_way_by_hand(kind, drawn, expected):
    window = [[0, 1, 2, 3, 4, 5, PAD]]
    drawn = {name: np.array(value) if isinstance(value, list) else value for name, value in drawn.items()}
    varied, seconds = WAYS[kind](draw(window, **drawn), PAD, OTHERS)
    assert varied.tolist() == [expected]
    if kind == "crop":
        assert (seconds == varied * 10)[varied != PAD].all(), "an event keeps its time"
    else:
        assert seconds.tolist() == [[10 * item for item in window[0]]], "a place keeps its time"


def test_crop_leaves_something_to_predict():
    assert WAYS["crop"](draw([[7, 8, PAD]]), PAD, ITSELF)[0].tolist() == [[7, 8, PAD]]


def test_times_go_with_the_windows():
    plain = WindowBatches(np.hstack([BLOCKS, 10 * BLOCKS]), PAD, 16, 3)
    timed = torch.cat(list(Augmented(plain, ["crop"], WIDTH, PAD, 16, 3, OTHERS).epoch(1)))
    assert torch.equal(timed[:, :WIDTH], torch.cat(epoch(["crop"])))
    real = timed[:, :WIDTH] != PAD
    assert torch.equal(timed[:, WIDTH:][real], 10 * timed[:, :WIDTH][real])


def epoch(kinds, number=1, done=0, rank=0, ranks=1, nearest=OTHERS):
    plain = WindowBatches(BLOCKS, PAD, 16, 3, rank, ranks)
    return list(Augmented(plain, kinds, WIDTH, PAD, 16, 3, nearest, rank, ranks).epoch(number, done))


@pytest.mark.parametrize("kind", sorted(WAYS))
def test_about_half_of_the_windows_are_varied_and_keep_to_the_law_of_the_way(kind):
    plain = torch.cat(list(WindowBatches(BLOCKS, PAD, 16, 3).epoch(1))).numpy()
    varied = torch.cat(epoch([kind])).numpy()
    assert varied.dtype == np.int32 and varied.shape == plain.shape
    changed = (plain != varied).any(axis=1)
    assert 4 <= changed.sum() <= 30
    for before, after in zip(plain[changed], varied[changed], strict=True):
        events, kept = before[before != PAD], after[after != PAD]
        if kind == "crop":
            assert any((events[start : start + len(kept)] == kept).all() for start in range(len(events)))
        elif kind == "mask":
            assert ((after == before) | (after == PAD)).all()
        elif kind == "reorder":
            assert sorted(after) == sorted(before)
        else:
            assert all(new == old or new in OTHERS[old] for old, new in zip(events, kept, strict=True))


def test_what_is_drawn_follows_from_seed_epoch_and_step_alone():
    whole, again, later = epoch(sorted(WAYS)), epoch(sorted(WAYS)), epoch(sorted(WAYS), number=2)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(one, other)
    assert not all(torch.equal(one, other) for one, other in zip(whole, later, strict=True))
    assert torch.equal(epoch(sorted(WAYS), done=2)[0], whole[2])


def test_two_ranks_vary_a_window_as_one_does():
    whole = epoch(sorted(WAYS))
    parts = [epoch(sorted(WAYS), rank=rank, ranks=2) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        assert torch.equal(parts[0][step], batch[0::2]) and torch.equal(parts[1][step], batch[1::2])


def test_nearest_items_by_text():
    angles = np.arange(12) * 0.1
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    vectors[3] = 0
    found = nearest_by_text(3 * vectors)
    assert set(found[0].tolist()) == {1, 2, 4, 5, 6} and set(found[3].tolist()) == {3}
    assert set(nearest_by_text(vectors[:4])[0].tolist()) == {0}, "too few to choose among"
