"""Encoders with 8-bit products: vectors near those of fp32, quantized once, refused where they would be wrong."""

import sys

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language import int8
from lakerec.language.encoder import Encoder

from tests.processor import vnni
from tests.small_models import small_bert, small_gpt2

TEXTS = ["Toy Story", "", "A lamp of brass, with a shade of green glass " * 5, "Red mug", "Blue mug, set of four"]


@pytest.fixture()
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lakerec" / "int8"


@vnni
@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("minilm", "mean"), ("minilm", "cls"), (small_bert, "pooler"), (small_gpt2, "last_token")],
    ids=["mean", "cls", "pooler", "decoder"],
)
def test_vectors_are_near_those_of_fp32_in_batches_that_pad(cache, tmp_path, kind, pooling):
    model = kind if isinstance(kind, str) else kind(tmp_path / "model")
    plain, small = (
        Encoder(EncoderConfig(model=model, precision=name, pooling=pooling), "cpu").encode(TEXTS).vectors
        for name in ("fp32", "int8")
    )
    cosines = (plain * small).sum(axis=1)
    assert cosines.min() > 0.97
    assert not np.allclose(plain, small, atol=1e-5), "8-bit products would be others"


@vnni
def test_a_model_is_quantized_once(cache, monkeypatch):
    config = EncoderConfig(precision="int8")
    first = Encoder(config, "cpu").encode(TEXTS).vectors
    assert len(list(cache.iterdir())) == 1, "nothing half-made is left"
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("exported again"))
    np.testing.assert_array_equal(Encoder(config, "cpu").encode(TEXTS).vectors, first)


def test_a_processor_whose_sums_overflow_is_refused(cache, monkeypatch):
    monkeypatch.setattr(int8.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(int8, "processor_has", lambda _: False)
    with pytest.raises(EnvironmentProblem, match="int8 needs a processor with avx512_vnni"):
        Encoder(EncoderConfig(precision="int8"), "cpu")


@vnni
def test_without_onnx_runtime_the_message_says_how_to_get_it(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EnvironmentProblem, match="pip install onnx onnxruntime"):
        Encoder(EncoderConfig(precision="int8"), "cpu")


def test_int8_is_not_for_gpus():
    with pytest.raises(ValueError, match="int8 is for processors"):
        EncoderConfig(precision="int8", gpus_per_task=1)
