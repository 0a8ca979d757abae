"""MLlib's factors, and what folding in makes of them."""

import numpy as np
import pytest
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.factors import Als
from lakerec.stages.factorizing import factorized, fit_als
from lakerec.training_config import AlsConfig

pytestmark = pytest.mark.spark
CONFIG = AlsConfig(factors=6, iterations=5, regularization=0.1, alpha=5.0)


@pytest.fixture
def data():
    """60 users with 1 to 15 of 40 items over 50 days; two items that nobody met."""
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 16, 60)
    items = [rng.permutation(40)[:length].tolist() for length in lengths]
    times = [np.sort(rng.integers(0, 50 * DAY, length)).tolist() for length in lengths]
    return TrainingData(Histories.from_lists(items, times), 42)


@pytest.mark.parametrize("half_life_days", [0.0, 10.0])
def test_folding_a_training_history_in_gives_mllibs_factors_of_that_user(spark, data, half_life_days, monkeypatch, tmp_path):
    monkeypatch.setattr("lakerec.stages.factorizing.INTERACTIONS_A_BLOCK", 200)
    model = fit_als(spark, data, CONFIG, tmp_path, half_life_days, seed=4)
    mllib = factorized(spark, data, CONFIG, tmp_path, half_life_days, seed=4)
    theirs = {row.id: row.features for row in mllib.userFactors.collect()}
    ours = model.fold_in(data.histories.matrix(42, half_life_days))
    np.testing.assert_allclose(ours, [theirs[user] for user in range(60)], rtol=1e-3, atol=1e-4)
    assert isinstance(model, Als) and not model.factors[40:].any()


def test_scores_for_a_training_user_are_mllibs_predictions(spark, data, tmp_path):
    model, mllib = fit_als(spark, data, CONFIG, tmp_path), factorized(spark, data, CONFIG, tmp_path)
    pairs = [(user, item) for user in range(5) for item in range(10)]
    rows = mllib.transform(spark.createDataFrame(pairs, "user int, item int")).collect()
    scores = model.score(data.histories)
    for row in rows:
        assert row.prediction == pytest.approx(scores[row.user, row.item], rel=1e-3, abs=1e-4)


def test_many_iterations_do_not_overflow_the_stack(spark, data, tmp_path):
    model = fit_als(spark, data, CONFIG.model_copy(update={"iterations": 40}), tmp_path)
    assert np.isfinite(model.factors).all() and model.factors.any()
