"""Vectors that others made, and the graph's: chosen on validation, kept while nothing changes."""

import json

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError, InputError
from lakerec.stages import pipeline
from lakerec.stages.base import last_run

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(spark, embedded_shop):
    """A shop, embedded; images that tell what comes next, and noise, as Parquet."""
    angle = np.arange(32) % 8 / 8 * 2 * np.pi
    telling = np.zeros((32, 12))
    for item in range(32):
        telling[item, 2 * (item // 8) : 2 * (item // 8) + 2] = np.cos(angle[item]), np.sin(angle[item])
    noise = np.random.default_rng(0).normal(size=(32, 6))
    for name, block in (("images", telling), ("noise", noise)):
        rows = [(f"p{item}", row.tolist()) for item, row in enumerate(block)]
        rows += [(None, [1.0]), ("p1", None), ("p2", [float("nan")] * 12), ("p3", [1.0])]
        spark.createDataFrame(rows, "item_id string, vector array<double>").write.parquet(str(embedded_shop.parent / name))
    return embedded_shop


def embedded(conf, *overrides, full=False):
    with pipeline.opened(shop.load(conf, *overrides)) as context:
        context.full = full
        pipeline.run(context, ["embed"], force=True)
        return last_run(context.lake, "embed"), context.lake.read(Tables.ITEM_VECTORS).collect()


def test_what_helps_on_validation_joins_and_what_does_not_stays_out(place):
    both = f"{{images: {{path: {place.parent}/images}}, noise: {{path: {place.parent}/noise}}}}"
    run, rows = embedded(place, f"fusion.others={both}")
    chosen = json.loads(run.details["fusion"])
    assert chosen["weights"]["images"] > 0 and chosen["ndcg"]["images"] > chosen["ndcg"]["text"]
    size = 384 + 12 + (6 if chosen["weights"]["noise"] else 0)
    assert {len(row.vector) for row in rows} == {size} and len(rows) == 32
    assert len({row.encoder for row in rows}) == 1 and "+images" in rows[0].encoder
    again, _ = embedded(place, f"fusion.others={both}")
    assert again.details["fusion"] == run.details["fusion"]
    with pipeline.opened(shop.load(place, f"fusion.others={both}")) as context:
        images = context.spark.read.parquet(f"{place.parent}/images").localCheckpoint()
        assert pipeline.run(context, ["embed"])[0].skipped
        images.write.mode("overwrite").parquet(f"{place.parent}/images")
        assert not pipeline.run(context, ["embed"])[0].skipped, "others wrote their vectors anew"
        other = json.loads(last_run(context.lake, "embed").details["fusion"])
    assert other["of"] != chosen["of"] and other["weights"] == chosen["weights"], "chosen anew"


def test_a_weight_that_is_given_is_not_questioned(place):
    given = f"{{noise: {{path: {place.parent}/noise, weight: 0.3}}}}"
    run, rows = embedded(place, f"fusion.others={given}")
    assert json.loads(run.details["fusion"])["weights"] == {"noise": 0.3} and {len(row.vector) for row in rows} == {390}


def test_tables_without_vectors_and_a_graph_that_is_not_there_are_told(place):
    nowhere, images = place.parent / "nowhere", place.parent / "images"
    for table, said in (
        (f"{{path: {nowhere}}}", r"fusion.others.x.path: .*nowhere cannot be read"),
        (f"{{path: {images}, vector: vectr}}", r"has no column `vectr`; did you mean `vector`\?; found: item_id, vector"),
    ):
        with pytest.raises(InputError, match=said):
            embedded(place, f"fusion.others={{x: {table}}}")
    with pytest.raises(EmptyDataError, match=r"needs a knowledge graph: describe source\.graph"):
        embedded(place, "fusion.graph_dimensions=8")
