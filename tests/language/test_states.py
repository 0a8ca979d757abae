"""Vectors of tokens and where they stand, against transformers run on one text at a time."""

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.language.encoder import Encoder
from transformers import BertModel

from tests.processor import vnni
from tests.small_models import small_bert, small_gpt2

TEXTS = ["Café Ölung, solid oak", "", "🎬 tea"]


def words_at(text, states):
    return [text[start:end] for start, end in states.places]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("prompt", ["", "Größe: "])
def test_tokens_have_their_last_hidden_states_and_stand_where_the_text_itself_has_them(bert, prompt):
    encoder = Encoder(EncoderConfig(model=bert, precision="fp32", prompt=prompt, token_budget=40), "cpu")
    found = encoder.states(TEXTS)
    assert words_at(TEXTS[0], found[0]) == ["Café", "Öl", "ung", ",", "solid", "oak"]
    assert found[1].vectors.shape == (0, 16) and words_at(TEXTS[2], found[2])[-1] == "tea"
    ids = torch.tensor([encoder.tokenizer.encode(prompt + TEXTS[0]).ids])
    with torch.inference_mode():
        whole = BertModel.from_pretrained(bert).eval()(input_ids=ids).last_hidden_state[0].numpy()
    np.testing.assert_allclose(found[0].vectors, whole[-7:-1], atol=1e-5)  # the last one is the mark behind the text


def test_tokens_of_all_chunks_are_there_unless_the_rest_is_cut(bert):
    text = "green tea black tea white tea red tea mint tea iced tea hot tea old tea new tea raw tea a tea b tea pot"
    config = EncoderConfig(model=bert, max_tokens=12, precision="fp32")
    (states,) = Encoder(config, "cpu").states([text])
    assert words_at(text, states) == text.split() and (np.diff(states.places[:, 0]) > 0).all()
    (cut,) = Encoder(config.model_copy(update={"long_texts": "cut"}), "cpu").states([text])
    np.testing.assert_allclose(cut.vectors, states.vectors[:10], atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", pytest.param("int8", marks=vnni)])
def test_other_precisions_are_near_and_decoders_have_no_marks(tmp_path, monkeypatch, precision):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for model in ("minilm", small_gpt2(tmp_path / "decoder")):
        plain, other = (
            Encoder(EncoderConfig(model=model, precision=name), "cpu").states(["a brass lamp, made by hand"])[0]
            for name in ("fp32", precision)
        )
        assert other.vectors.dtype == np.float32 and (other.places == plain.places).all()
        lengths = np.linalg.norm(plain.vectors, axis=1) * np.linalg.norm(other.vectors, axis=1)
        assert ((plain.vectors * other.vectors).sum(axis=1) / lengths).min() > 0.95
