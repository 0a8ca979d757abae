"""The embed stage on a few item texts: what it measures, and vectors in fewer dimensions that go on to compare."""

import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError
from lakerec.stages import embed, pipeline
from pyspark.sql import functions as F

from tests import shop

pytestmark = pytest.mark.spark
WORDS = ("tea", "lamp", "garden", "chair", "book", "green", "wooden", "tall", "of the sea", "with a long and winding name")


@pytest.fixture
def opened(spark, tmp_path):
    """A context by overrides of the shop's config, in one lake; item texts stand in it, no stage has run."""
    conf = shop.write(tmp_path)

    def open_(*overrides, texts=WORDS, full=False):
        with pipeline.opened(shop.load(conf, *overrides)) as context:
            rows = [(text.replace(" ", "-"), text, f"hash of {text}") for text in texts]
            context.lake.overwrite(
                spark.createDataFrame(rows, "item_id string, text string, text_hash string"), Tables.ITEM_TEXT
            )
            context.run_id, context.full = f"test-{len(texts)}-{full}", full
            return context, embed.run(context, {})

    return open_


def labels(context):
    return {row.encoder for row in context.lake.read(Tables.ITEM_VECTORS).collect()}


def sizes(context):
    return {len(row.vector) for row in context.lake.read(Tables.ITEM_VECTORS).collect()}


def test_a_run_that_encodes_says_how_fast_how_padded_and_at_what_cost(opened):
    context, result = opened("encoder.price_per_hour=3.6")
    rows = context.lake.read(Tables.TEXT_VECTORS).collect()
    assert all(0 < row.tokens <= row.padded and row.seconds > 0 for row in rows)
    metrics = result.metrics
    assert metrics["padding_ratio"] == sum(row.padded for row in rows) / sum(row.tokens for row in rows)
    assert 0 < metrics["model_share"] < 1
    seconds = len(WORDS) / metrics["texts_per_second"]
    assert metrics["tokens_per_second"] == pytest.approx(sum(row.tokens for row in rows) / seconds)
    assert metrics["cost_per_million_texts"] == pytest.approx(3.6 * seconds / 3600 / len(WORDS) * 1_000_000)
    context, again = opened("encoder.price_per_hour=3.6")
    assert again.metrics == {} and again.details["encoded"] == "0"
    older = context.lake.read(Tables.TEXT_VECTORS).drop("padded", "seconds").localCheckpoint()
    place = context.lake.name(Tables.TEXT_VECTORS)
    older.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(place)
    _, again = opened(texts=(*WORDS, "new"))
    assert again.details["encoded"] == "1", "a table of an older lakerec gains what it lacks, and keeps its vectors"


@pytest.mark.slow
def test_components_stay_when_items_come_and_go_when_all_is_built_anew(opened):
    context, result = opened("encoder.dimensions=4")
    first = labels(context)
    assert sizes(context) == {4} and len(first) == 1
    assert 0.4 < result.metrics["kept_variance"] < 1
    assert result.details["kept_variance"] == f"{result.metrics['kept_variance']:.4f}"
    more = (*WORDS, "a submarine", "an opera", "seven samurai")
    context, later = opened("encoder.dimensions=4", texts=more)
    assert labels(context) == first and context.lake.read(Tables.ITEM_VECTORS).count() == len(more)
    assert later.details["encoded"] == "3" and later.metrics["kept_variance"] < result.metrics["kept_variance"]
    context, anew = opened("encoder.dimensions=4", texts=more, full=True)
    assert labels(context) != first and anew.metrics["kept_variance"] > later.metrics["kept_variance"]
    assert context.lake.read(Tables.REDUCTIONS).count() == 1
    assert {len(row.vector) for row in context.lake.read(Tables.TEXT_VECTORS).collect()} == {384}, "texts keep all"


def test_a_cut_needs_no_components_and_has_a_label_of_its_own(opened):
    context, _ = opened("encoder.dimensions=16", "encoder.reduction=cut")
    assert sizes(context) == {16} and labels(context) == {f"{embed.fingerprint(context)}-cut16"}
    assert not context.lake.exists(Tables.REDUCTIONS)


def test_more_dimensions_than_the_model_gives_are_refused_before_anything_is_encoded(opened, tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.dimensions \(512\) must be at most the 384 that `minilm` gives"):
        opened("encoder.dimensions=512")
    assert not (tmp_path / "lake" / "gold" / "text_vectors").exists()


def test_only_items_whose_text_changed_are_written_and_the_table_is_as_built_anew(opened, spark):
    context, _ = opened()

    def row(item, text):
        return spark.createDataFrame([(item, text, f"hash of {text}")], "item_id string, text string, text_hash string")

    def stored():
        rows = context.lake.read(Tables.ITEM_VECTORS).withColumn("file", F.col("_metadata.file_path")).collect()
        return {row.item_id: list(row.vector) for row in rows}, {row.item_id: row.file for row in rows}

    pipeline.run(context, ["embed"])
    before, old_files = stored()
    context.lake.merge(row("tea", "a pot of tea").union(row("kettle", "a kettle")), Tables.ITEM_TEXT)
    context.lake.delete(Tables.ITEM_TEXT, F.col("item_id") == "lamp")
    outcome = pipeline.run(context, ["embed"])[0]
    after, files = stored()
    assert outcome.row["details"]["encoded"] == "2"
    assert set(after) == {*before, "kettle"} - {"lamp"} and after["tea"] != before["tea"]
    assert {item for item in after if files[item] != old_files.get(item)} == {"tea", "kettle"}
    pipeline.run(context, ["embed"], force=True)
    anew, new_files = stored()
    assert anew == after and not set(new_files.values()) & set(files.values())
