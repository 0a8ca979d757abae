"""Poolings, chunks and kinds of models, against transformers run on one text at a time, without padding."""

import shutil

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language.encoder import Encoder
from tokenizers import Tokenizer
from transformers import BertModel, GPT2Model, RobertaConfig, RobertaModel

from tests.small_models import SMALL, saved, small_bert, small_gpt2

TEXTS = ["a tea pot", "Toy Story. Animation, Children's, Comedy", "Alien. Horror, Sci-Fi"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return small_gpt2(tmp_path_factory.mktemp("gpt2"))


def alone(folder, kind, pool):
    """Unit vectors of TEXTS by transformers itself."""
    model = kind.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with torch.inference_mode():
        found = [pool(model(input_ids=torch.tensor([tokenizer.encode(text).ids])))[0] for text in TEXTS]
    return torch.nn.functional.normalize(torch.stack(found), dim=1).numpy()


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ("mean", lambda output: output.last_hidden_state.mean(dim=1)),
        ("cls", lambda output: output.last_hidden_state[:, 0]),
        ("pooler", lambda output: output.pooler_output),
        ("last_token", lambda output: output.last_hidden_state[:, -1]),
    ],
)
def test_each_pooling_of_a_batch_is_that_of_each_text_alone(bert, pooling, pool):
    found = Encoder(EncoderConfig(model=bert, pooling=pooling, precision="fp32"), "cpu").encode(TEXTS).vectors
    np.testing.assert_allclose(found, alone(bert, BertModel, pool), atol=1e-5)


def test_a_decoder_gives_the_vector_of_its_last_token_whatever_pads_the_batch(decoder):
    encoder = Encoder(EncoderConfig(model=decoder, pooling="last_token", precision="fp32"), "cpu")
    encoded = encoder.encode([*TEXTS, ""])
    np.testing.assert_allclose(
        encoded.vectors[:3], alone(decoder, GPT2Model, lambda output: output.last_hidden_state[:, -1]), atol=1e-5
    )
    assert encoded.errors == [None] * 4 and encoded.tokens[3] == 1  # the mark at the end of a text
    np.testing.assert_allclose(encoded.vectors[3], encoder.encode(["[SEP]"]).vectors[0], atol=1e-5)


def test_a_long_text_is_the_mean_of_its_chunks_by_their_tokens(bert):
    """25 words are chunks of 10, 10 and 5 between two marks each."""
    config = EncoderConfig(model=bert, max_tokens=12, precision="fp32")
    text = "green tea black tea white tea red tea mint tea iced tea hot tea old tea new tea raw tea a tea b tea pot"
    parts = text.split()
    pieces = [" ".join(parts[:10]), " ".join(parts[10:20]), " ".join(parts[20:])]
    encoder = Encoder(config, "cpu")
    encoded, each = encoder.encode(["short", text]), encoder.encode(pieces)
    assert encoded.tokens.tolist() == [3, 12 + 12 + 7] and each.tokens.tolist() == [12, 12, 7]
    expected = (each.vectors * each.tokens[:, None]).sum(axis=0)
    np.testing.assert_allclose(encoded.vectors[1], expected / np.linalg.norm(expected), atol=1e-5)
    np.testing.assert_allclose(encoded.vectors[0], encoder.encode(["short"]).vectors[0], atol=1e-6)
    cut = Encoder(config.model_copy(update={"long_texts": "cut"}), "cpu").encode([text])
    np.testing.assert_allclose(cut.vectors[0], each.vectors[0], atol=1e-5)
    assert cut.tokens.tolist() == [12]


def test_a_prompt_stands_before_each_text(bert):
    config = EncoderConfig(model=bert, precision="fp32")
    encoded = Encoder(config.model_copy(update={"prompt": "query: "}), "cpu").encode(["a tea pot", None, ""])
    expected = Encoder(config, "cpu").encode(["query: a tea pot", "query: "])
    np.testing.assert_allclose(encoded.vectors[[0, 2]], expected.vectors, atol=1e-6)
    assert encoded.errors == [None, "not tokenizable: TypeError", None]


def test_a_model_that_counts_places_from_behind_its_padding_sees_so_many_fewer_tokens(tmp_path):
    config = RobertaConfig(**SMALL, num_hidden_layers=1, intermediate_size=32, pad_token_id=1)
    encoder = Encoder(EncoderConfig(model=saved(RobertaModel(config), tmp_path), precision="fp32"), "cpu")
    encoded = encoder.encode(["tea " * 40])
    assert encoded.errors == [None]
    assert encoded.tokens.tolist() == [32 + 12]  # 30 words between two marks, then 10


def test_weights_that_the_files_lack_are_no_random_vectors(bert, decoder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(bert, tmp_path / "bert")
    file = tmp_path / "bert" / "model.safetensors"
    kept = {name: values for name, values in load_file(file).items() if not name.startswith("pooler.")}
    save_file(kept, file, metadata={"format": "pt"})
    config = EncoderConfig(model=str(tmp_path / "bert"), precision="fp32")
    assert Encoder(config, "cpu").encode(TEXTS).errors == [None] * 3
    with pytest.raises(EnvironmentProblem, match=r"lack 2 weights, such as pooler\.dense\.bias"):
        Encoder(config.model_copy(update={"pooling": "pooler"}), "cpu")
    with pytest.raises(EnvironmentProblem, match="has no pooler: take mean, cls or last_token"):
        Encoder(EncoderConfig(model=decoder, pooling="pooler", precision="fp32"), "cpu")
    save_file({name: values for name, values in kept.items() if ".layer.1." not in name}, file, metadata={"format": "pt"})
    with pytest.raises(EnvironmentProblem, match=r"lack 16 weights, such as encoder\.layer\.1\."):
        Encoder(config, "cpu")
