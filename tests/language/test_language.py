"""The encoder against sentence-transformers, its batches, its files and its bridge to Spark."""

from threading import Event

import numpy as np
import pytest
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language.ahead import made_ahead
from lakerec.language.batching import GPU_BUDGET, GPU_ENOUGH, Ragged, padding_ratio, token_budget_batches
from lakerec.language.encoder import Encoder, encoder_fingerprint
from lakerec.language.files import resolve_model

TEXTS = ["Alien. Horror, Sci-Fi", "", "🎬", "word " * 5000, "Toy Story. Animation, Children's, Comedy", "a tea pot"]


@pytest.fixture(scope="module")
def encoder():
    return Encoder(EncoderConfig(precision="fp32"))


@pytest.fixture(scope="module")
def cutting():
    return Encoder(EncoderConfig(precision="fp32", long_texts="cut"))


def test_vectors_are_those_of_sentence_transformers_which_cuts(cutting):
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(resolve_model("minilm")), device="cpu")
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    found = cutting.encode(TEXTS).vectors
    cosines = (found * expected).sum(axis=1)
    assert cosines.min() > 0.9999


def test_bf16_stays_close(encoder):
    half = Encoder(EncoderConfig(precision="bf16"))
    cosines = (half.encode(TEXTS).vectors * encoder.encode(TEXTS).vectors).sum(axis=1)
    assert cosines.min() > 0.999


def test_odd_texts_have_finite_unit_vectors_and_do_not_touch_their_neighbours(encoder):
    together = encoder.encode(TEXTS)
    assert np.allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)
    assert together.errors == [None] * len(TEXTS)
    assert together.tokens.max() == 5000 + 2 * 20  # chunks of 254 words, each between two marks
    alone = np.stack([encoder.encode([text]).vectors[0] for text in TEXTS])
    np.testing.assert_allclose(together.vectors, alone, atol=1e-5)


def test_a_text_that_cannot_be_tokenized_gets_an_error_of_its_own(encoder):
    encoded = encoder.encode(["good", None, "also good"])
    assert encoded.errors == [None, "not tokenizable: TypeError", None]
    assert not encoded.vectors[1].any() and encoded.vectors[2].any()


def test_each_text_has_its_share_of_the_padding_and_of_the_time(encoder):
    few = Encoder(EncoderConfig(precision="fp32", token_budget=16))
    encoded = few.encode(["a b c d e f", "a", "word " * 600, "b c"])
    assert encoded.tokens.tolist() == [8, 3, 600 + 2 * 3, 4]
    assert encoded.padded.tolist() == [8, 3, 600 + 2 * 3, 8], "batches 254, 254, 98 | 8, 4 | 3 of at most 16"
    assert (encoded.seconds > 0).all() and encoded.seconds.argmax() == 2
    assert encoder.encode([]).vectors.shape == (0, 384)


def test_tables_are_encoded_in_their_order_with_the_next_ones_texts_tokenized_ahead(monkeypatch):
    import pyarrow as pa
    from lakerec.language import spark as bridge

    monkeypatch.setattr("lakerec.language.encoder.CPU_HELD", 2)
    names = [str(number) for number in range(7)]
    batches = [pa.RecordBatch.from_pydict({"text_hash": [name], "text": [f"text {name}"]}) for name in names]
    found = pa.Table.from_batches(list(bridge._encode_partition(EncoderConfig(precision="fp32"), None)(iter(batches))))
    assert found["text_hash"].to_pylist() == names
    alone = Encoder(EncoderConfig(precision="fp32")).encode(["text 4"]).vectors[0]
    np.testing.assert_allclose(found["vector"].to_pylist()[4], alone, atol=1e-5)


def test_batches_hold_every_text_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 300, 1000)
    batches = token_budget_batches(lengths, 2048)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert all(len(batch) * lengths[batch].max() <= 2048 for batch in batches)
    assert padding_ratio(lengths, batches) < 1.05
    assert [b.tolist() for b in token_budget_batches(np.array([9999, 5]), 100)] == [[0], [1]]


def test_a_large_batch_ends_where_texts_get_much_shorter():
    lengths = np.array([100, 99, 50, 50, 10, 9, 3])
    assert [b.tolist() for b in token_budget_batches(lengths, 1_000, 200)] == [[0, 1], [2, 3, 4, 5], [6]]
    assert [b.tolist() for b in token_budget_batches(lengths, 1_000)] == [[0, 1, 2, 3, 4, 5, 6]]
    many = np.clip(np.random.default_rng(0).lognormal(3.4, 0.85, 20_000), 2, 256).astype(int)
    batches = token_budget_batches(many, GPU_BUDGET, GPU_ENOUGH)
    assert sorted(np.concatenate(batches)) == list(range(20_000))
    assert all(len(batch) * many[batch].max() <= GPU_BUDGET for batch in batches)
    assert padding_ratio(many, batches) < 1.05 < padding_ratio(many, token_budget_batches(many, GPU_BUDGET))


def test_rows_of_any_lengths_are_blocks_in_the_order_that_is_asked():
    rows = Ragged.of([[7, 8, 9], [], [5]])
    block, real = rows.block(np.array([2, 1, 0]))
    assert block.tolist() == [[5, 0, 0], [0, 0, 0], [7, 8, 9]] and real.sum(axis=1).tolist() == [1, 0, 3]
    assert rows.block()[0].tolist() == [[7, 8, 9], [0, 0, 0], [5, 0, 0]]
    assert Ragged.of([]).lengths.shape == (0,)


def test_what_is_made_ahead_comes_in_order_and_so_do_its_errors():
    begun = Event()

    def shared(number):
        if number == 2:
            begun.set()
        return 6 // number

    made = made_ahead(shared, [3, 2, 0, 1])
    assert next(made) == (3, 2) and begun.wait(5), "the second is made though nobody asked for it"
    assert next(made) == (2, 3)
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_an_encoder_that_is_nowhere_says_where_it_was_looked_for():
    with pytest.raises(EnvironmentProblem, match="`no/such` was not found.*directory no/such.*Hugging Face cache"):
        resolve_model("no/such")


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EnvironmentProblem, match=r"lacks model\.safetensors, tokenizer\.json"):
        resolve_model(str(tmp_path))


def test_the_fingerprint_changes_with_whatever_changes_vectors(tmp_path):
    import shutil

    base = encoder_fingerprint(EncoderConfig(precision="fp32"))
    assert base == encoder_fingerprint(EncoderConfig(precision="fp32", token_budget=4096))
    others = [
        EncoderConfig(precision="bf16"),
        EncoderConfig(precision="fp32", max_tokens=128),
        EncoderConfig(precision="fp32", pooling="cls"),
        EncoderConfig(precision="fp32", long_texts="cut"),
        EncoderConfig(precision="fp32", prompt="query: "),
    ]
    assert len({base, *map(encoder_fingerprint, others)}) == 1 + len(others)
    copy = tmp_path / "minilm"
    shutil.copytree(resolve_model("minilm"), copy)
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + " ")
    assert encoder_fingerprint(EncoderConfig(precision="fp32", model=str(copy))) != base


@pytest.mark.spark
def test_the_bridge_gives_one_row_a_text_and_the_udf_the_same_vectors(spark, encoder):
    from lakerec.language.spark import encode_texts, vectorizer

    config = EncoderConfig(precision="fp32")
    frame = spark.createDataFrame(
        [(str(n), text) for n, text in enumerate(TEXTS)] + [("none", None)], "text_hash string, text string"
    )
    rows = {row.text_hash: row for row in encode_texts(frame.repartition(2), config, threads=1).collect()}
    assert len(rows) == len(TEXTS) + 1
    assert rows["none"].vector is None and rows["none"].error == "not tokenizable: TypeError"
    expected = encoder.encode(TEXTS).vectors
    found = np.array([rows[str(n)].vector for n in range(len(TEXTS))])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    spark.udf.register("vectorize", vectorizer(config, threads=1))
    frame.where("text is not null").createOrReplaceTempView("texts")
    by_sql = spark.sql("SELECT text_hash, vectorize(text) AS vector FROM texts").collect()
    np.testing.assert_allclose([row.vector for row in by_sql], [rows[row.text_hash].vector for row in by_sql], atol=1e-5)
