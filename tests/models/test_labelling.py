"""Labels from few labelled rows: calibrated, above the threshold as precise as asked, honest where it cannot be."""

import numpy as np
import pytest
from lakerec.models.labelling import Labeller, fit_labeller, margin, requests


def rows(count, noise, seed=0, classes=3, size=12):
    """Unit vectors round the corners of a cube, and their classes by name."""
    chance = np.random.default_rng(seed)
    own = np.arange(count) % classes
    vectors = np.eye(size)[own] + chance.normal(size=(count, size)) * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), [f"k{each}" for each in own]


def test_confident_labels_are_as_right_as_they_say():
    vectors, labels = rows(90, 0.45)
    rest, truth = rows(3_000, 0.45, seed=1)
    found = fit_labeller(vectors, labels, rest, precision=0.9, seed=1)
    probabilities = found.probabilities(rest)
    confidence = probabilities.max(axis=1)
    right = np.array(found.classes)[probabilities.argmax(axis=1)] == np.array(truth)
    kept = confidence >= found.threshold
    assert right[kept].mean() > 0.85 and right[kept].mean() > right[~kept].mean() + 0.1
    assert abs(kept.mean() - found.coverage) < 0.15
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        part = (confidence >= low) & (confidence < high)
        assert abs(right[part].mean() - confidence[part].mean()) < 0.12, "confidence is a probability"


def test_self_training_helps_where_few_rows_are_labelled():
    vectors, labels = rows(18, 0.45, seed=2)
    rest, truth = rows(2_000, 0.45, seed=102)

    def accuracy(found):
        return (np.array(found.classes)[found.probabilities(rest).argmax(axis=1)] == np.array(truth)).mean()

    alone = fit_labeller(vectors, labels, rest[:0], 0.9, 1)
    helped = fit_labeller(vectors, labels, rest, 0.9, 1)
    assert helped.rounds > 0 == alone.rounds and accuracy(helped) > accuracy(alone) + 0.04


def test_labels_by_chance_are_not_kept():
    vectors, _ = rows(120, 0.3)
    random = [f"k{each}" for each in np.random.default_rng(5).integers(0, 3, 120)]
    found = fit_labeller(vectors, random, vectors[:0], precision=0.9, seed=1)
    assert found.precision is None and found.coverage == 0 and found.threshold > 1
    assert found.probabilities(vectors).max() < 0.9


def test_a_class_with_too_few_rows_is_left_out_and_one_class_is_none():
    vectors, labels = rows(30, 0.2)
    found = fit_labeller(vectors, ["rare", "rare", *labels[2:]], vectors[:0], 0.9, 1)
    assert found.left_out == ["rare"] and found.labelled == 28 and found.classes == ["k0", "k1", "k2"]
    with pytest.raises(ValueError, match="1 classes have 3 labelled rows or more, two are needed"):
        fit_labeller(vectors, ["same"] * 30, vectors[:0], 0.9, 1)


def test_two_classes_are_one_row_of_weights_split_in_two():
    vectors, labels = rows(40, 0.3, classes=2)
    found = fit_labeller(vectors, labels, vectors[:0], 0.9, 1)
    assert found.weights.shape == (2, 12) and found.accuracy > 0.9
    assert (np.array(found.classes)[found.probabilities(vectors).argmax(axis=1)] == np.array(labels)).mean() > 0.9


def test_requests_are_unsure_and_unlike_each_other():
    probabilities = np.array([[0.5, 0.5]] * 6 + [[0.9, 0.1]] * 94)
    vectors = np.concatenate([np.eye(3)[[0, 0, 0, 1, 1, 1]], np.repeat(np.eye(3)[[2]], 94, axis=0)])
    chosen = requests(vectors, probabilities, 3, seed=1)
    assert len(set(chosen.tolist())) == 3 and {int(vectors[row].argmax()) for row in chosen} == {0, 1, 2}
    assert (np.diff(margin(probabilities)[chosen]) >= 0).all()
    assert len(requests(vectors[:2], probabilities[:2], 5, 1)) == 2 and not len(
        requests(vectors[:0], probabilities[:0], 5, 1)
    )


def test_probabilities_sum_to_one_and_follow_the_temperature():
    weights = np.eye(2)
    for temperature, expected in ((1.0, 0.7311), (0.5, 0.8808)):
        found = Labeller(["a", "b"], weights, np.zeros(2), temperature, 0.5, None, 0, 0, 0, 2, [])
        np.testing.assert_allclose(found.probabilities(np.array([[1.0, 0.0]])), [[expected, 1 - expected]], atol=1e-4)
