"""Poolings, chunks and kinds of models, against transformers run on one text at a time, without padding."""

import shutil

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language.encoder import Encoder, encoder_fingerprint
from lakerec.language.files import resolve_model
from tokenizers import Tokenizer
from transformers import BertModel, BloomConfig, BloomModel, GPT2Model, RobertaConfig, RobertaModel

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


def test_weights_in_several_files_are_one_model_and_each_is_in_its_fingerprint(bert, tmp_path):
    whole, folder = EncoderConfig(model=bert, precision="fp32"), tmp_path / "bert"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()
    BertModel.from_pretrained(bert).save_pretrained(folder, max_shard_size="1MB")
    parts = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(parts) > 1 and not (folder / "model.safetensors").exists()
    config = EncoderConfig(model=str(folder), precision="fp32")
    np.testing.assert_array_equal(Encoder(config, "cpu").encode(TEXTS).vectors, Encoder(whole, "cpu").encode(TEXTS).vectors)
    before, index = encoder_fingerprint(config), folder / "model.safetensors.index.json"
    (folder / parts[-1]).write_bytes((folder / parts[-1]).read_bytes() + b" ")
    assert encoder_fingerprint(config) != before
    (folder / parts[-1]).unlink()
    with pytest.raises(EnvironmentProblem, match=f"lacks {parts[-1]}"):
        resolve_model(str(folder))
    index.write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(EnvironmentProblem, match=r"names `\.\./other\.safetensors`: weights only as safetensors beside it"):
        resolve_model(str(folder))
    index.write_text('{"weight_map": 3}')
    with pytest.raises(EnvironmentProblem, match="names no files of weights"):
        resolve_model(str(folder))


def test_a_model_that_counts_no_places_reads_texts_of_any_length(tmp_path):
    config = BloomConfig(vocab_size=30_522, hidden_size=16, n_head=2, n_layer=1)
    folder = saved(BloomModel(config), tmp_path, bare=True)
    encoded = Encoder(EncoderConfig(model=folder, precision="fp32", pooling="last_token"), "cpu").encode(["tea " * 300])
    assert (encoded.errors, encoded.tokens.tolist()) == ([None], [300])
