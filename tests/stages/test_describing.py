"""Descriptions as a stage: written by a model of the catalogue, checked against the row, and only once."""

import json

import pytest
from lakerec.columns import Tables
from lakerec.errors import EnvironmentProblem
from lakerec.features.grounding import lacks
from lakerec.stages import pipeline
from lakerec.stages.base import last_run

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = ("ingest", "clean", "profile")


def described(conf, stages=STAGES, **changed):
    """Descriptions by item after a run, what the run says, and how many were written in it."""
    settings = {"model": "catalogue", "epochs": 30, "width": 64, "layers": 1, "temperature": 0, **changed}
    with pipeline.opened(shop.load(conf, f"profile.descriptions={json.dumps(settings)}")) as context:
        outcome = pipeline.run(context, stages)[-1]
        rows = context.lake.read(Tables.ITEM_DESCRIPTIONS).collect()
        run = last_run(context.lake, "profile")
        assert run.run_id == outcome.run_id and not outcome.skipped
        new = sum(row.run_id == run.run_id for row in rows)
        return {row.item_id: row for row in rows}, json.loads(run.details["descriptions"]), new


def test_items_get_a_grounded_description_once_and_anew_where_they_change(spark, tmp_path):
    conf = shop.write(tmp_path)
    items = tmp_path / "raw" / "items.csv"
    rows, said, new = described(conf)
    assert len(rows) == said["items"] == new == 32
    by_model = [row for row in rows.values() if row.written_by == "model"]
    assert said["by_model"] == len(by_model) >= 16, "it learned how this catalogue's items are told"
    for row in rows.values():
        kind, number = shop.KINDS[int(row.item_id[1:]) // 8], int(row.item_id[1:]) % 8
        if row.written_by == "model":
            assert row.description == row.written and not row.refused
            assert not lacks(row.description, f"{kind} {number}", set(shop.KINDS))
        else:
            assert row.description == f"{kind} {number}. {kind}" and row.refused
    assert len({row.prompt_hash for row in rows.values()}) == 1 and len({row.input_hash for row in rows.values()}) == 32

    text = items.read_text().replace("p3,tea 3,tea", "p3,tea 33,tea")
    (tmp_path / "raw" / "newer.csv").write_text(text)
    conf.write_text(conf.read_text().replace("raw/items.csv", "raw/*.csv"))
    again, _, new = described(conf)
    assert new == 1 and again["p3"].run_id != rows["p3"].run_id
    assert {name: row for name, row in again.items() if name != "p3"} == {
        name: row for name, row in rows.items() if name != "p3"
    }
    other, _, new = described(conf, ["profile"], temperature=1.0)
    assert new == 32 and {row.model for row in other.values()}.isdisjoint(row.model for row in rows.values())


def test_a_model_that_is_nowhere_or_no_decoder_is_told(spark, tmp_path):
    conf = shop.write(tmp_path)
    for model, said in (("nowhere", "was not found"), ("minilm", "is no causal model")):
        with pytest.raises(EnvironmentProblem, match=said):
            described(conf, model=model)
