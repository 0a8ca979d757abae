"""Spans as a stage: brands and materials in item texts, from a table of those that a person marked in some."""

import json
from dataclasses import replace

import pytest
from lakerec.columns import Tables
from lakerec.errors import EmptyDataError, InputError
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages import pipeline, profile
from lakerec.stages.report_labels import learned

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]
BRANDS = ("Zorvik", "Blue Fern", "Kirwood")
MATERIALS = ("brass", "oak", "linen", "steel")
FORMS = ("{brand} {material} lamp {number} cm", "{material} vase by {brand} no. {number}", "vase set of {number}")


def spoken(number):
    """Text of item p<number>, and the spans that are true of it; one in three names nothing."""
    own = {"brand": BRANDS[number % 5 % 3], "material": MATERIALS[number % 4], "number": number}
    text = FORMS[number % 3].format(**own)
    truth = {(text.index(own[kind]), text.index(own[kind]) + len(own[kind]), kind) for kind in ("brand", "material")
             if own[kind] in text}  # fmt: skip
    return text, truth


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):
    """A lake with the texts of 90 such items; what the first 40 name is told in capitals, beside one that is not there."""
    folder = tmp_path_factory.mktemp("spans")
    conf = shop.write(folder)
    rows = ["nowhere,brass,material", "p0,gold,material"]
    for number in range(40):
        text, truth = spoken(number)
        rows += [f"p{number},{text[start:end].upper()},{label}" for start, end, label in truth] or [f"p{number},,"]
    (folder / "named.csv").write_text("item_id,span,label\n" + "\n".join(rows) + "\n")
    texts = [(f"p{number}", spoken(number)[0], str(number)) for number in range(90)]
    with pipeline.opened(shop.load(conf)) as context:
        schema = CONTRACTS[Tables.ITEM_TEXT].schema
        context.lake.overwrite(spark.createDataFrame([*texts, ("empty", None, "none")], schema), Tables.ITEM_TEXT)
    return conf


def profiled(conf, tasks):
    with pipeline.opened(shop.load(conf, f"profile.spans={tasks}")) as context:
        result = profile.run(replace(context, run_id="r1"), {})
        shown = learned(context, {"details": result.details})
        return result, context.lake.read(Tables.PSEUDO_SPANS).collect(), shown


def test_spans_that_nobody_marked_are_found_as_precisely_as_was_asked(place):
    result, found, (shown,) = profiled(place, f"{{named: {{path: {place.parent}/named.csv}}}}")
    figures = json.loads(result.details["spans.named"])
    assert figures["labelled"] == 40 and figures["marked"] == 54 and figures["labels"] == ["brand", "material"]
    assert figures["missed"] == 1, "gold is not in the text of p0"
    assert figures["kept"] == len(found) > 0 and figures["precision"] >= 0.9 and figures["f1"] > 0.8
    assert result.metrics["coverage_spans_named"] == figures["coverage"] > 0.7
    assert all(spoken(int(row.id[1:]))[0][row.start : row.end] == row.text for row in found)
    assert all(int(row.id[1:]) >= 40 for row in found), "what a person marked is not marked again"
    assert all(row.confidence >= figures["threshold"] and row.encoder and row.run_id == "r1" for row in found)
    ours = {(row.id, row.start, row.end, row.label) for row in found}
    truth = {(f"p{number}", *span) for number in range(40, 90) for span in spoken(number)[1]}
    assert len(ours & truth) / len(ours) >= 0.9, "the precision that was asked for"
    assert len(ours & truth) / len(truth) > 0.7
    assert shown["kept"] == sum(row["rows"] for row in shown["labels"]) and shown["coverage"] == figures["coverage"]
    brands = next(row["words"] for row in shown["labels"] if row["label"] == "brand")
    assert set(brands.split(", ")) == {brand.lower() for brand in BRANDS}
    _, found, shown = profiled(place, "{}")
    assert not found and not shown, "a task that is gone takes its spans along"


def test_a_table_that_is_not_there_or_too_small_is_told(place):
    folder = place.parent
    (folder / "texts.csv").write_text("text,span,label\na,a,b\n")
    (folder / "few.csv").write_text("item_id,span,label\np1,vase,kind\np9,,\n")
    for table, kind, said in (
        ("nowhere.csv", InputError, r"profile.spans.named.path: .*nowhere.csv cannot be read"),
        ("texts.csv", InputError, r"profile.spans.named: .*texts.csv has no column `item_id`.*; found: text, span, label"),
        ("few.csv", EmptyDataError, r"profile.spans.named: of 2 texts .*few.csv.* no label stands in 3 texts or more"),
    ):
        with pytest.raises(kind, match=said) as error:
            profiled(place, f"{{named: {{path: {folder}/{table}}}}}")
        assert "\n" not in str(error.value)
