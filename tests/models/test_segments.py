"""Segments: the number that is there is found, none is made of noise with confidence, and numbers go on from run to run."""

import numpy as np
import pytest
from lakerec.models.segments import nearest, numbered, segment


def blobs(number, each=60, size=8, spread=0.15, seed=0):
    chance = np.random.default_rng(seed)
    centres = np.linalg.qr(chance.normal(size=(size, size)))[0][:number]
    vectors = np.repeat(centres, each, axis=0) + chance.normal(size=(number * each, size)) * spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(number), each)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_number_that_is_there_is_chosen(number):
    vectors, truth = blobs(number)
    found = segment(vectors, [2, 3, 4, 5, 6], seed=1)
    assert len(found.centres) == number
    own = nearest(vectors, found.centres)
    assert all(len(np.unique(own[truth == each])) == 1 for each in range(number))
    best = next(each for each in found.candidates if each.number == number)
    assert best.stability > 0.95 and best.silhouette > 0.5


def test_noise_scores_near_nothing():
    noise = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert max(each.score for each in segment(noise, [3, 5, 8], seed=1).candidates) < 0.05


def test_the_same_seed_gives_the_same_centres_and_too_few_users_are_told():
    vectors, _ = blobs(3)
    np.testing.assert_array_equal(segment(vectors, [3, 4], 7).centres, segment(vectors, [3, 4], 7).centres)
    with pytest.raises(ValueError, match="5 users are too few for 3 segments"):
        segment(vectors[:5], [3, 4], 7)


def test_segments_keep_their_numbers_where_they_are_the_same():
    before = np.eye(4)[:3]
    assert numbered(np.eye(4)[[2, 0, 1]], before, [5, 6, 9]) == [9, 5, 6]
    assert numbered(np.eye(4)[[3, 0]], before, [5, 6, 9]) == [10, 5], "what was not there gets a number never used"
    assert numbered(np.eye(4)[:2], np.zeros((0, 4)), []) == [0, 1]
    assert numbered(np.eye(4)[:2], np.zeros((0, 4)), [], used=[7, 3]) == [8, 9], "those of another encoder's segments"
