"""Faults 25, 28 and 29, through the bridge to Spark and the embed stage; 26 and 27 need a cluster (tests/cluster)."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from lakerec.columns import Tables
from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem
from lakerec.language import spark as bridge
from lakerec.language.encoder import Encoder, encoder_fingerprint
from lakerec.language.files import resolve_model
from lakerec.stages import embed, encoding, pipeline

from tests import shop

pytestmark = pytest.mark.spark
ODD = ("", "🎬", "word " * 100_000)


def test_fault_25_out_of_memory_halves_the_batch_and_the_run_goes_on(monkeypatch):
    """Inside a task's own function, with a device that holds two texts at a time."""
    config = EncoderConfig(precision="fp32")
    texts = [f"a text of {number} words" for number in range(9)]
    expected, whole, sizes = Encoder(config).encode(texts).vectors, Encoder._forward, []

    def small_memory(encoder, held, read, rows):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return whole(encoder, held, read, rows)

    monkeypatch.setattr(Encoder, "_forward", small_memory)
    batch = pa.RecordBatch.from_pydict({"text_hash": [str(number) for number in range(9)], "text": texts})
    found = pa.Table.from_batches(list(bridge._encode_partition(config, None)(iter([batch]))))
    assert found["text_hash"].to_pylist() == batch["text_hash"].to_pylist() and found["error"].null_count == 9
    np.testing.assert_allclose(np.array(found["vector"].to_pylist()), expected, atol=1e-5)
    assert max(sizes) == 9 and min(sizes) <= 2


@pytest.mark.slow
def test_fault_28_odd_texts_have_finite_vectors_and_their_neighbours_do_not_notice(spark):
    config = EncoderConfig(precision="fp32")
    texts = ["a tea pot", *ODD, "a lamp"]
    frame = spark.createDataFrame(
        [(str(number), text) for number, text in enumerate(texts)], "text_hash string, text string"
    )
    rows = sorted(bridge.encode_texts(frame.repartition(1), config, 2).collect(), key=lambda row: int(row.text_hash))
    assert [row.error for row in rows] == [None] * len(texts)
    found = np.array([row.vector for row in rows])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert rows[3].tokens > 100_000, "all of it, in chunks"
    alone = Encoder(config).encode(["a tea pot", "a lamp"]).vectors
    np.testing.assert_allclose(found[[0, -1]], alone, atol=1e-5)


@pytest.mark.parametrize("when", ["between slices", pytest.param("between driver and worker", marks=pytest.mark.slow)])
def test_fault_29_files_that_change_give_no_vectors_of_two_versions(spark, tmp_path, monkeypatch, when):
    """Weights change in the midst of a run. A worker that has the old ones goes on with them, under their own fingerprint;
    one that would load the new ones stops the run. The next run encodes all by what is there then.
    """
    # a worker process of its own: any other that Spark keeps idle may take the second slice, and would have no weights yet
    monkeypatch.setitem(spark.sparkContext.environment, "LAKEREC_TEST", str(tmp_path))
    folder = tmp_path / "model"
    shutil.copytree(resolve_model("minilm"), folder)
    config = shop.config(tmp_path, f"encoder.model={folder}", "encoder.rows_per_slice=4")
    texts = [(str(number), f"text {number}", f"hash {number}") for number in range(12)]
    whole, slices = encoding._encode_slice, []

    def slice_and_change(*arguments):
        slices.append(arguments)
        if len(slices) == 1 and when == "between driver and worker":
            change(folder)
        whole(*arguments)
        if len(slices) == 1 and when == "between slices":
            change(folder)

    def vectors(context, encoder):
        rows = context.lake.read(Tables.TEXT_VECTORS).where(f"encoder = '{encoder}'").collect()
        assert len(rows) in (0, len(texts)) and len({row.text_hash for row in rows}) == len(rows)
        return np.array([row.vector for row in sorted(rows, key=lambda row: int(row.text_hash.split()[1]))])

    with pipeline.opened(config) as context:
        frame = spark.createDataFrame(texts, "item_id string, text string, text_hash string")
        context.lake.overwrite(frame, Tables.ITEM_TEXT)
        before, old = encoder_fingerprint(config.encoder), Encoder(config.encoder).encode([text for _, text, _ in texts])
        monkeypatch.setattr(encoding, "_encode_slice", slice_and_change)
        context.run_id = "first"
        if when == "between slices":
            embed.run(context, {})
            np.testing.assert_allclose(vectors(context, before), old.vectors, atol=1e-5)
        else:
            with pytest.raises(EnvironmentProblem, match=r"are not those that the run began with"):
                embed.run(context, {})
            assert context.lake.read(Tables.TEXT_VECTORS).count() == 0
        context.run_id, after = "second", encoder_fingerprint(config.encoder)
        assert after != before
        embed.run(context, {})
        new = Encoder(config.encoder).encode([text for _, text, _ in texts])
        np.testing.assert_allclose(vectors(context, after), new.vectors, atol=1e-5)
        assert np.abs(new.vectors - old.vectors).max() > 1e-3
        assert {row.encoder for row in context.lake.read(Tables.ITEM_VECTORS).collect()} == {after}


def change(folder):
    """Other weights in the same file."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    moved = {name: value + 0.02 * torch.sign(value) if "dense.weight" in name else value for name, value in weights.items()}
    save_file(moved, folder / "model.safetensors")
