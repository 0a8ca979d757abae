"""What a train run's blend is chosen by."""

import pytest
from lakerec.columns import Models
from lakerec.stages import blending


@pytest.mark.parametrize("best", [Models.EASE, Models.SEQUENCE])
def test_the_search_for_weights_begins_with_the_model_that_validation_likes_best(monkeypatch, best):
    def begun(_scores, _holdout, first):
        raise LookupError(first)

    monkeypatch.setattr(blending, "fit_weights", begun)
    values = {Models.SEQUENCE: 0.2, Models.EASE: 0.1} | {best: 0.3}
    with pytest.raises(LookupError, match=best):
        blending.mixture(dict.fromkeys(values), values, None, None, (), None)
