"""Labels for many rows from few labelled ones: self-training over vectors, with confidence that means what it says.

    labelled vectors ─ logistic regression ─► unlabelled ─ the surest of each class join ─► again … (rounds)
    folds of the labelled rows, each predicted by the rest → rounds, strength, temperature, threshold → precision, coverage

Every labelled row is predicted once by a model that did not see it; what is chosen is chosen on these predictions, and
precision and coverage are theirs.

Source: self-training with a growing share of the surest, Cascante-Bonilla et al., Curriculum labeling, AAAI 2021;
temperature scaling, Guo et al., ICML 2017; batches of unsure and unlike rows, Zhdanov, Diverse mini-batch active learning,
2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS, FOLDS = 4, 5
STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse regularization of the logistic regression, to choose from."""
PSEUDO_WEIGHT = 0.5
"""Of a row that was labelled by the model, beside one that a person labelled."""
NEVER = -1e3
"""Logit of a class that was not learned."""
LEAST_OF_CLASS, LEAST_KEPT = 3, 5
"""Labelled rows that a class must have; predictions that a precision is worked out of."""


@dataclass(frozen=True)
class Labeller:
    """A calibrated classifier of unit vectors."""

    classes: list[str]
    weights: np.ndarray
    """float64 [classes, d]."""
    bias: np.ndarray
    temperature: float
    threshold: float
    """Least confidence of a label that is kept; above 1: none is."""
    precision: float | None
    """Share of the held-out rows above the threshold that are right; None where none is above."""
    coverage: float
    """Share of the held-out rows above the threshold."""
    accuracy: float
    """Of all held-out rows."""
    rounds: int
    """Of self-training; 0: it did not help."""
    labelled: int
    left_out: list[str]
    """Classes with too few labelled rows."""

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Calibrated, float64 [n, classes]."""
        return softmax((vectors @ self.weights.T + self.bias) / self.temperature)


def fit_labeller(
    vectors: np.ndarray, labels: Sequence[str], unlabelled: np.ndarray, precision: float, seed: int
) -> Labeller:
    """Learn from labelled vectors [n, d] and vectors without label [m, d].

    Args:
        precision: that labels which are kept shall have.

    Raises:
        ValueError: fewer than two classes have enough labelled rows.
    """
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    classes = names[counts >= LEAST_OF_CLASS]
    if len(classes) < 2:
        raise ValueError(f"{len(classes)} classes have {LEAST_OF_CLASS} labelled rows or more, two are needed")
    known = np.isin(labels, classes)
    kept, own = vectors[known], np.searchsorted(classes, np.asarray(labels)[known])
    logits = {strength: _held_out(kept, own, unlabelled, strength, seed) for strength in STRENGTHS}
    scored = {
        (strength, number): fit_temperature(found, own)
        for strength, rounds in logits.items()
        for number, found in enumerate(rounds)
    }
    (strength, rounds), (_, temperature) = min(scored.items(), key=lambda each: (round(each[1][0], 6), each[0][1]))
    held_out = softmax(logits[strength][rounds] / temperature)
    threshold, reached, coverage = least_confidence(held_out.max(axis=1), held_out.argmax(axis=1) == own, precision)
    *_, (weights, bias) = _self_training(kept, own, unlabelled, len(classes), strength, rounds)
    return Labeller(
        classes=[str(name) for name in classes], weights=weights, bias=bias, temperature=temperature, threshold=threshold,
        precision=reached, coverage=coverage, accuracy=float((held_out.argmax(axis=1) == own).mean()), rounds=rounds,
        labelled=len(own), left_out=[str(name) for name in names[counts < LEAST_OF_CLASS]],
    )  # fmt: skip


def requests(vectors: np.ndarray, probabilities: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Rows that a person should label next, int64 [at most `most`]: small margin, and unlike each other.

    Of ten times as many with the smallest margin, those nearest to the centres of weighted k-means.
    """
    from sklearn.cluster import KMeans

    most = min(most, len(vectors))
    if not most:
        return np.zeros(0, dtype=np.int64)
    margins = margin(probabilities)
    unsure = np.argsort(margins, kind="stable")[: 10 * most]
    weights = np.maximum(1e-6, 1 - margins[unsure])
    centres = KMeans(most, n_init=1, random_state=seed).fit(vectors[unsure], sample_weight=weights).cluster_centers_
    near = {int(row) for row in (vectors[unsure] @ centres.T).argmax(axis=0)}
    rest = [place for place in range(len(unsure)) if place not in near][: most - len(near)]
    found = unsure[sorted([*near, *rest])]
    return found[np.argsort(margins[found], kind="stable")]


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Probability of the likeliest class less that of the second, float64 [n]."""
    ordered = np.sort(probabilities, axis=1)
    found: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return found


def _held_out(vectors: np.ndarray, own: np.ndarray, unlabelled: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """Logits of each row by models that did not see it, float64 [rounds + 1, n, classes]."""
    from sklearn.model_selection import StratifiedKFold

    classes = int(own.max()) + 1
    found = np.zeros((ROUNDS + 1, len(own), classes))
    folds = StratifiedKFold(min(FOLDS, int(np.bincount(own).min())), shuffle=True, random_state=seed)
    for train, held in folds.split(vectors, own):
        fits = _self_training(vectors[train], own[train], unlabelled, classes, strength, ROUNDS)
        for number, (weights, bias) in enumerate(fits):
            found[number, held] = vectors[held] @ weights.T + bias
    return found


def _self_training(
    vectors: np.ndarray, own: np.ndarray, unlabelled: np.ndarray, classes: int, strength: float, rounds: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weights and bias after each round, that without unlabelled rows first; classes join as often as they were labelled."""
    weights, bias = logistic(vectors, own, np.ones(len(own)), classes, strength)
    yield weights, bias
    shares = np.bincount(own, minlength=classes) / len(own)
    for number in range(1, rounds + 1):
        if not len(unlabelled):
            yield weights, bias
            continue
        probabilities = softmax(unlabelled @ weights.T + bias)
        guess, surest = probabilities.argmax(axis=1), probabilities.max(axis=1)
        taken = [
            np.flatnonzero(guess == each)[np.argsort(-surest[guess == each], kind="stable")][
                : int(len(unlabelled) * shares[each] * number / ROUNDS)
            ]
            for each in range(classes)
        ]
        rows = np.concatenate(taken)
        every = np.concatenate([vectors, unlabelled[rows]])
        labels, counts = np.concatenate([own, guess[rows]]), np.full(len(own) + len(rows), PSEUDO_WEIGHT)
        counts[: len(own)] = 1
        weights, bias = logistic(every, labels, counts, classes, strength)
        yield weights, bias


def logistic(
    vectors: np.ndarray, own: np.ndarray, counts: np.ndarray, classes: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights float64 [classes, d] and bias [classes] of a logistic regression; a class that no row has is never chosen.

    Args:
        own: class of each row, from 0; two classes or more.
        counts: weight of each row.
        strength: inverse of the regularization.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=500).fit(vectors, own, sample_weight=counts)
    rows, single = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:  # one row of weights, for the second class
        rows, single = np.concatenate([-rows, rows]) / 2, np.concatenate([-single, single]) / 2
    weights, bias = np.zeros((classes, vectors.shape[1])), np.full(classes, NEVER)
    weights[model.classes_], bias[model.classes_] = rows, single
    return weights, bias


def fit_temperature(logits: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """(loss, temperature) at which the held-out rows are likeliest.

    Of n rows that are all right, the next one is right by (n + 1) / (n + 2), not for certain: targets are smoothed so far
    (Platt, Probabilistic outputs for support vector machines, 1999).
    """
    from scipy.optimize import minimize_scalar

    rows, classes = logits.shape
    doubt = 1 / (rows + 2)
    targets = np.full((rows, classes), doubt / (classes - 1))
    targets[np.arange(rows), own] = 1 - doubt

    def loss(power: float) -> float:
        return float(-(targets * np.log(np.maximum(softmax(logits / np.exp(power)), 1e-12))).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=(-4, 4), method="bounded")
    return float(found.fun), float(np.exp(found.x))


def least_confidence(confidence: np.ndarray, right: np.ndarray, precision: float) -> tuple[float, float | None, float]:
    """The least confidence from which on so many are right, their precision, and the share of rows that is."""
    order = np.argsort(-confidence, kind="stable")
    sums = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    whole = np.append(confidence[order][1:] < confidence[order][:-1], True)  # rows of equal confidence go together
    enough = np.flatnonzero((sums >= precision) & whole & (np.arange(1, len(order) + 1) >= LEAST_KEPT))
    if not len(enough):
        return 2.0, None, 0.0
    last = int(enough[-1])
    return float(confidence[order][last]), float(sums[last]), (last + 1) / len(order)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row, float64 [n, classes]."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return found
