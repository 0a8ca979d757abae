"""The variational autoencoder's loss, its training and its bounds."""

import numpy as np
import pytest
import torch
from lakerec.errors import TrainingError
from lakerec.models.autoencoder import MultVae, VaeNetwork, VaeRecipe
from lakerec.models.data import Histories, TrainingData

ITEMS = 10
RECIPE = {
    "hidden": 12, "latent": 4, "dropout": 0.0, "kl_weight": 0.2, "epochs": 30, "users": 1000, "batch_size": 8,
    "learning_rate": 1e-2,
}  # fmt: skip
PAIRS = Histories.from_lists([[2 * (n % 5), 2 * (n % 5) + 1] for n in range(40)] + [[]])


def fitted(**changed):
    model = MultVae(VaeRecipe(**RECIPE | changed), seed=1)
    model.fit(TrainingData(PAIRS, ITEMS))
    return model


def test_the_loss_is_the_evidence_lower_bound_with_a_weight_on_the_divergence():
    model = MultVae(VaeRecipe(**RECIPE))
    model.network = VaeNetwork(ITEMS, model.recipe).eval()
    met = torch.zeros(1, ITEMS)
    met[0, [3, 7]] = 1
    logits, mean, log_variance = (part[0].detach().double() for part in model.network(met))
    logs = logits - logits.exp().sum().log()
    prior = torch.distributions.Normal(0.0, 1.0)
    own = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(own, prior).sum()
    assert model._loss(met, 0.3).item() == pytest.approx(float(0.3 * divergence - logs[3] - logs[7]), rel=1e-5)


def test_what_goes_together_is_learned():
    scores = fitted().score(Histories.from_lists([[2], [9]]))
    scores[[0, 1], [2, 9]] = -np.inf
    assert scores.argmax(axis=1).tolist() == [3, 8]


def test_an_epoch_is_no_longer_than_asked_and_draws_others_each_time():
    model = MultVae(VaeRecipe(**RECIPE | {"epochs": 3, "users": 20}))
    batches = list(model._batches(40))
    assert [len(rows) for rows in batches] == [8, 8, 4] * 3
    assert len(set(np.concatenate(batches).tolist())) > 20
    assert len(set(np.concatenate(batches[:3]).tolist())) == 20


def test_other_seeds_give_other_weights_and_torchs_own_seed_is_left_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one = fitted(epochs=1).score(PAIRS)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = MultVae(VaeRecipe(**RECIPE | {"epochs": 1}), seed=2)
    other.fit(TrainingData(PAIRS, ITEMS))
    assert np.abs(other.score(PAIRS) - one).max() > 1e-3


def test_it_is_the_same_however_many_are_scored_at_once(monkeypatch):
    model = fitted(epochs=1)
    whole = model.score(PAIRS)
    monkeypatch.setattr("lakerec.models.autoencoder.CELLS_AT_ONCE", 3 * ITEMS)
    np.testing.assert_allclose(model.score(PAIRS), whole, rtol=1e-5, atol=1e-6)


def test_weights_that_are_not_finite_are_an_error():
    with pytest.raises(TrainingError, match=r"lower train\.mult_vae\.learning_rate"):
        fitted(learning_rate=1e30)
