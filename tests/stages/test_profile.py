"""People of a small shop: its four kinds of customers are found, named and followed from run to run."""

import numpy as np
import pytest
from lakerec.columns import Tables
from lakerec.language.encoder import Encoder
from lakerec.stages import explaining, pipeline
from lakerec.stages.base import last_run

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = ("ingest", "clean", "featurize", "embed", "profile")
ON = ("profile.people=true", "profile.segments=[2, 3, 4, 5]", "profile.user_text=[said]")


@pytest.fixture(scope="module")
def place(embedded_shop):
    """The shop's config after one run; two customers said something."""
    with pipeline.opened(shop.load(embedded_shop, *ON)) as context:
        pipeline.run(context, ["profile"])
    return embedded_shop


def segments(context):
    run = last_run(context.lake, "profile")
    return {row.segment: row for row in context.lake.read(Tables.SEGMENTS).where(f"run_id = '{run.run_id}'").collect()}


def test_the_four_kinds_of_customers_are_four_segments_named_by_what_they_buy(place):
    with pipeline.opened(shop.load(place, *ON)) as context:
        found = segments(context)
        portraits = context.lake.read(Tables.PORTRAITS).collect()
    assert sorted(row.name for row in found.values()) == sorted(shop.KINDS)
    assert [row.users for row in found.values()] == [10] * 4
    assert all(row.came_from == {-1: 10} for row in found.values())
    for row in portraits:
        assert found[row.segment].name == shop.KINDS[int(row.user_id[1:]) % 4]


def test_reasons_know_whose_segment_is_called_what(place):
    with pipeline.opened(shop.load(place, *ON)) as context:
        found, names = explaining.segments(context, {}, ["c0", "c1", "nobody", "c4"])
    assert sorted(names.values()) == sorted(shop.KINDS)
    assert [names.get(segment) for segment in found] == ["tea", "lamp", None, "tea"] and found[2] == -1


def test_a_portrait_says_why(place):
    with pipeline.opened(shop.load(place, *ON)) as context:
        row = context.lake.read(Tables.PORTRAITS).where("user_id = 'c0'").first()
    assert (row.events, row.hour, row.days_between) == (8, 10, 1.0)
    assert [(one.name, round(one.share, 6)) for one in row.interests] == [("tea", 1.0)]
    assert len(row.interests[0]["items"]) == 3 and all(title.startswith("tea ") for title in row.interests[0]["items"])
    assert row.sentence.startswith("8 interactions; mostly tea (100 %), such as tea ")
    assert "most often at 10 h UTC" in row.sentence and "back after some 1 day" in row.sentence


def test_vectors_are_of_items_met_and_of_what_was_said(place):
    with pipeline.opened(shop.load(place, *ON)) as context:
        rows = {row.user_id: row for row in context.lake.read(Tables.USER_VECTORS).collect()}
        expected = Encoder(context.config.encoder).encode(["where is my tea"]).vectors[0]
    assert len(rows) == 40
    np.testing.assert_allclose(np.linalg.norm([row.vector for row in rows.values()], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows["c0"].text_vector, expected, atol=1e-5)
    assert rows["c2"].text_vector is None


@pytest.mark.long
def test_segments_keep_their_numbers_and_say_where_their_users_came_from(place):
    with pipeline.opened(shop.load(place, *ON)) as context:
        before = segments(context)
        more = "\n".join(f"n{number},p{number % 8},2024-02-01 10:00:00,1,," for number in range(6))
        (place.parent / "raw" / "events" / "day-2.csv").write_text(f"customer,product,at,quantity,review,said\n{more}\n")
        assert not pipeline.run(context, STAGES)[-1].skipped
        after = segments(context)
        assert pipeline.run(context, ["profile"])[0].skipped
    assert {number: row.name for number, row in after.items()} == {number: row.name for number, row in before.items()}
    tea = next(number for number, row in after.items() if row.name == "tea")
    assert after[tea].came_from == {tea: 10, -1: 6}


@pytest.mark.long
def test_too_few_users_have_portraits_and_no_segments(spark, tmp_path):
    config = shop.config(tmp_path, *ON, users=3)
    with pipeline.opened(config) as context:
        pipeline.run(context, STAGES)
        assert not context.lake.exists(Tables.SEGMENTS) or context.lake.read(Tables.SEGMENTS).count() == 0
        assert {row.segment for row in context.lake.read(Tables.PORTRAITS).collect()} == {None}
