"""The encoder on a CUDA device: the processor's vectors, and out of memory. No Spark needed."""

import numpy as np
import pytest
import torch
from lakerec.config import EncoderConfig
from lakerec.language.encoder import Encoder

from tests.benchmarks.texts import make_texts

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(scope="module")
def texts():
    return [*make_texts(2_000), "", "🎬", "word " * 5_000]


@pytest.fixture(scope="module")
def expected(texts):
    return Encoder(EncoderConfig(precision="fp32"), "cpu").encode(texts)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("bf16", 0.999)])
def test_vectors_are_those_of_the_processor(texts, expected, precision, least):
    encoded = Encoder(EncoderConfig(precision=precision, token_budget=4_096), "cuda").encode(texts)
    assert (encoded.vectors * expected.vectors).sum(axis=1).min() > least
    assert encoded.tokens.tolist() == expected.tokens.tolist() and (encoded.seconds > 0).all()


def test_out_of_memory_halves_batches_and_gives_the_same_vectors(texts, expected, monkeypatch):
    encoder = Encoder(EncoderConfig(precision="fp32", token_budget=500_000), "cuda")
    encoder.enough = None  # so that a batch is as large as its budget
    sizes, forward = [], Encoder._forward

    def seen(encoder, held, read, rows):
        sizes.append(len(rows))
        return forward(encoder, held, read, rows)

    monkeypatch.setattr(Encoder, "_forward", seen)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1_000_000_000) / total)
    try:
        found = encoder.encode(texts).vectors
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose((found * expected.vectors).sum(axis=1), 1, atol=1e-4)
    assert sum(sizes) > len(texts) + 19, "chunks of the long text are 20; what did not fit went through again"


def test_many_texts_are_encoded_in_parts_with_their_errors_where_they_were(texts, expected, monkeypatch):
    monkeypatch.setattr("lakerec.language.encoder.GPU_HELD", 500)
    monkeypatch.setattr("lakerec.language.chunker.PART", 150)
    found = Encoder(EncoderConfig(precision="fp32"), "cuda").encode([*texts[:1_000], None, *texts[1_000:]])
    assert found.errors[1_000] and sum(error is not None for error in found.errors) == 1
    np.testing.assert_allclose((np.delete(found.vectors, 1_000, 0) * expected.vectors).sum(axis=1), 1, atol=1e-4)
    assert np.delete(found.tokens, 1_000).tolist() == expected.tokens.tolist()
