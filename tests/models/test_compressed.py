"""A smaller item table scores as the whole one does, within its precision."""

import numpy as np
import pytest
from lakerec.columns import Models
from lakerec.models import catalog, storage
from lakerec.models.blend import Blend
from lakerec.models.compressed import PRECISIONS, CompressedSequence, compressed
from lakerec.models.data import Histories, TrainingData
from lakerec.models.popular import Popular
from lakerec.models.sequence import Sequence, Shape

ITEMS = 50
ASKED = Histories.from_lists([[0, 1], [ITEMS - 1], [], [1, 2, 3, 4, 0, 1, 2]])


@pytest.fixture(scope="module", params=[False, True], ids=["without times", "with times"])
def model(request):
    vectors = np.random.default_rng(1).normal(size=(ITEMS, 16)).astype(np.float32)
    data = TrainingData(ASKED, ITEMS, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return Sequence.fresh(
        Shape(dims=16, blocks=1, heads=2, max_length=4, dropout=0.1, text_dims=8, times=request.param), data, seed=2
    )


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.002), ("int8", 0.02)])
def test_scores_are_those_of_the_whole_table_within_its_precision(model, precision, share, monkeypatch, tmp_path):
    whole, small = model.score(ASKED), compressed(model, precision)
    scores = small.score(ASKED)
    assert small.name == model.name and scores.dtype == np.float32
    np.testing.assert_allclose(scores, whole, atol=share * np.abs(whole).max())
    assert not np.array_equal(scores, whole)
    monkeypatch.setattr("lakerec.models.compressed.ITEMS_AT_ONCE", 7)
    np.testing.assert_allclose(small.score(ASKED), scores, rtol=1e-5, atol=1e-6)
    small.save(tmp_path / "model")
    loaded = catalog.load(tmp_path / "model")
    assert isinstance(loaded, CompressedSequence)
    np.testing.assert_array_equal(loaded.score(ASKED), small.score(ASKED))


def test_bytes_on_disk_and_in_memory(model, tmp_path):
    sizes = {precision: compressed(model, precision).nbytes for precision in PRECISIONS}
    assert sizes == {"fp16": ITEMS * 16 * 2, "int8": ITEMS * (16 + 4)}
    on_disk = {}
    for precision in PRECISIONS:
        compressed(model, precision).save(tmp_path / precision)
        on_disk[precision] = (tmp_path / precision / storage.WEIGHTS).stat().st_size
    model.save(tmp_path / "whole")
    assert on_disk["int8"] < on_disk["fp16"] < (tmp_path / "whole" / storage.WEIGHTS).stat().st_size


def test_an_item_without_a_vector_scores_nothing():
    silent = Sequence.fresh(Shape(16, 1, 2, 4, 0.0, 8), TrainingData(ASKED, ITEMS, np.zeros((ITEMS, 16), np.float32)), 1)
    assert (compressed(silent, "int8").score(ASKED) == 0).all()


def test_of_a_blend_the_sequence_model_is_compressed(model, tmp_path):
    popular = Popular()
    popular.fit(TrainingData(ASKED, ITEMS))
    blend = Blend([popular, model], {Models.POPULAR: 1.0, Models.SEQUENCE: 0.5})
    small = compressed(blend, "int8")
    small.save(tmp_path)
    np.testing.assert_allclose(small.score(ASKED), blend.score(ASKED), atol=0.05)
    assert [type(member) for member in catalog.load(tmp_path).members] == [Popular, CompressedSequence]
    assert compressed(popular, "int8") is popular
