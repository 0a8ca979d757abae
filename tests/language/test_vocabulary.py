"""Objectives that a model is not made for are refused before it is loaded."""

import json

import pytest
from lakerec.errors import ConfigError
from lakerec.language.vocabulary import CAUSAL, vocabulary

from tests.small_models import small_gpt2


def test_a_model_that_tells_tokens_by_weights_of_their_own_is_refused_for_their_objectives(tmp_path):
    small_gpt2(tmp_path)
    assert vocabulary("gpt2", tmp_path, {CAUSAL: 1.0})["size"] == 30_522
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tie_word_embeddings": False}))
    with pytest.raises(ConfigError, match="`gpt2` has others: take pairs or views"):
        vocabulary("gpt2", tmp_path, {CAUSAL: 1.0})
    assert vocabulary("gpt2", tmp_path, {"pairs": 1.0})["mask"] >= 0
