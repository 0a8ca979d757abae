"""Adaptation from files to a folder: what is learned, each method's folder as the encoder loads it, ranks, bad losses."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.errors import TrainingError
from lakerec.language.encoder import Encoder
from lakerec.language.files import BOTTLENECKS, fingerprint, is_decoder
from lakerec.language.tokens import load_tokenizer
from lakerec.training.adapt import Adaptation, Task, adapt, save_texts
from safetensors.numpy import load_file

from tests.ranks import on_two_ranks
from tests.small_models import small_bert, small_gpt2

KINDS = ("tea", "lamp", "chair", "plant")
TEXTS = [f"{kind} {word}" for kind in KINDS for word in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
RANK = """import json, pathlib, sys
import torch
from lakerec.training.adapt import Adaptation, adapt
from safetensors.torch import save_file

folder, counted = pathlib.Path(sys.argv[1]), Adaptation.parameters


def kept(work):
    weights = {str(number): weight.detach() for number, weight in enumerate(work.weights)}
    save_file({**weights, "seed": torch.tensor(torch.initial_seed())}, folder / f"rank-{work.place}.safetensors")
    return counted(work)


Adaptation.parameters = kept
adapt(json.loads((folder / "task.json").read_text()))
"""
PAIRS = np.array([[a, b] for a in range(32) for b in range(32) if a != b and a // 8 == b // 8])


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("bert"), learns=True)


def task(model, folder, **changed):
    """A task over TEXTS and PAIRS, small enough for seconds."""
    tokenizer = load_tokenizer(_path(model), 30)
    save_texts(folder / "texts.safetensors", [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)], PAIRS)
    encoder = EncoderConfig(model=model, precision="fp32")
    made = Task(
        folder=model, inputs=str(folder / "texts.safetensors"), output=str(folder / "out"),
        encoder=encoder.model_dump(mode="json"), objectives={"pairs": 1.0},
        vocabulary={"size": 30_522, "mask": 103, "special": [0, 100, 101, 102, 103]}, rank=8, epochs=12, batch=32,
        learning_rate=1e-2, temperature=0.2,
    )  # fmt: skip
    return {**asdict(made), **changed}


def _path(model):
    from pathlib import Path

    return Path(model)


def vectors(folder):
    return Encoder(EncoderConfig(model=str(folder), precision="fp32"), "cpu").encode(TEXTS).vectors


def kinship(found):
    """Share of texts of its own kind among the seven nearest of each."""
    cosines = found @ found.T - 2 * np.eye(32)
    near = np.argsort(-cosines, axis=1)[:, :7]
    return float((near // 8 == np.arange(32)[:, None] // 8).mean())


@pytest.mark.parametrize("method", ["full", "lora", "adalora", "bottleneck"])
def test_pairs_bring_together_what_belongs_together_and_any_reader_has_it(bert, tmp_path, method):
    done = adapt(task(bert, tmp_path, method=method))
    curve = [point["pairs"] for point in done["curve"]]
    assert curve[-1] < curve[0]
    assert kinship(vectors(tmp_path / "out")) > kinship(vectors(bert)) + 0.2
    assert (done["trained"] == done["parameters"]) == (method == "full")
    assert (tmp_path / "out" / BOTTLENECKS).is_file() == (method == "bottleneck")
    assert not list(tmp_path.glob(".out-*")), "nothing half-written stays"


def test_a_bottleneck_comes_back_as_it_was_trained_and_is_part_of_the_fingerprint(bert, tmp_path):
    spec = Task(**task(bert, tmp_path, method="bottleneck", epochs=1))
    work = Adaptation(spec, "cpu", 0, 1)
    work.epoch(1)
    work.model.eval()
    with torch.no_grad():
        expected = work._vectors(work.ids).numpy()
    work.save()
    np.testing.assert_allclose(vectors(tmp_path / "out"), expected, atol=1e-5)
    config = EncoderConfig(model=str(tmp_path / "out"), precision="fp32")
    whole = fingerprint(config)
    (tmp_path / "out" / BOTTLENECKS).unlink()
    assert fingerprint(config) != whole


def test_tokens_and_views_are_learned_too(bert, tmp_path):
    done = adapt(task(bert, tmp_path, objectives={"views": 1.0, "masked_lm": 0.5}, method="full", epochs=12))
    first, last = done["curve"][0], done["curve"][-1]
    assert last["masked_lm"] < first["masked_lm"] and last["views"] < first["views"]
    assert done["steps"] == 1, "steps go by texts where pairs are no objective"


def test_a_decoder_learns_to_go_on_and_is_told_from_an_encoder(bert, tmp_path):
    (tmp_path / "gpt2").mkdir()
    decoder = small_gpt2(tmp_path / "gpt2", learns=True)
    assert is_decoder(_path(decoder)) and not is_decoder(_path(bert))
    done = adapt(task(decoder, tmp_path, objectives={"causal_lm": 1.0}, method="full", epochs=12))
    assert done["curve"][-1]["causal_lm"] < done["curve"][0]["causal_lm"] - 0.8


def test_the_same_seed_gives_the_same_weights(bert, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        adapt(task(bert, folder, epochs=1, objectives={"pairs": 1.0, "views": 0.5, "masked_lm": 0.1}))
    np.testing.assert_array_equal(vectors(first / "out"), vectors(second / "out"))


def test_a_loss_that_is_not_finite_leaves_no_model(bert, tmp_path):
    with pytest.raises(TrainingError, match=r"epoch 1: lower adapt\.learning_rate"):
        adapt(task(bert, tmp_path, learning_rate=1e30, method="full"))
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(300)
def test_two_ranks_end_with_the_same_weights_and_draw_dropout_of_their_own(bert, tmp_path):
    (tmp_path / "task.json").write_text(json.dumps(task(bert, tmp_path, epochs=1)))
    on_two_ranks(RANK, tmp_path)
    one, other = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert one.pop("seed") != other.pop("seed")
    for name, weights in one.items():
        np.testing.assert_array_equal(weights, other[name])


@pytest.mark.spark
def test_two_ranks_take_a_step_together(bert, tmp_path, spark):
    from lakerec.training.launcher import launch

    done = launch(adapt, task(bert, tmp_path, epochs=6), 2, 0, spark, "adapt")
    assert done["ranks"] == 2 and kinship(vectors(tmp_path / "out")) > kinship(vectors(bert))
