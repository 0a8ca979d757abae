"""What a package takes out of the lake: the texts' own vectors, whatever the models are given; else why it takes no text."""

from types import SimpleNamespace

import pandas as pd
import pytest
from lakerec.columns import Models
from lakerec.language_config import EncoderConfig
from lakerec.registry import gate
from lakerec.registry.answers import Answers
from lakerec.registry.contents import FOLDER, Contents
from lakerec.registry.integrity import checked
from lakerec.stages import packing, pipeline

from tests import shop
from tests.small_models import small_bert


@pytest.mark.parametrize(
    ("embedded", "largest", "said"),
    [
        (None, packing.LARGEST, "embed has not run in this lake"),
        ("other-0123", packing.LARGEST, "encoded by other-0123, which is not the config's encoder"),
        ("own", 1, "its encoder has 0.0 GB, and a package takes 0 GB of one"),
        ("nowhere", packing.LARGEST, "`nowhere` was not found"),
    ],
)
def test_why_a_package_takes_no_text(monkeypatch, tmp_path, embedded, largest, said):
    config = EncoderConfig(model="nowhere" if embedded == "nowhere" else small_bert(tmp_path))
    own = packing._fingerprints(config)[0] if embedded == "own" else embedded
    run = None if embedded is None else SimpleNamespace(details={packing.ENCODER: own})
    monkeypatch.setattr(packing, "last_run", lambda *_: run)
    monkeypatch.setattr(packing, "chosen_encoder", lambda _: config)
    monkeypatch.setattr(packing, "LARGEST", largest)
    side, why = packing.text_side(SimpleNamespace(lake=None), {}, 4)
    assert side is None and said in why


def test_a_package_made_otherwise_is_another_version():
    made = SimpleNamespace(free_text=True, known_users=False)
    assert packing.tags(made) == {"free_text": "true", "known_users": "false"}


@pytest.mark.long
@pytest.mark.spark
def test_the_champion_answers_texts_and_users_out_of_a_lake_whose_item_vectors_are_reduced(spark, tmp_path):
    config = shop.config(
        tmp_path, "promote.free_text=true", "promote.known_users=true", "encoder.dimensions=8",
        "promote.copy_to={name: shop-prod}", "train.models=[popular, item_cf]",
    )  # fmt: skip
    with pipeline.opened(config) as context:
        pipeline.run(context, ["ingest", "clean", "featurize", "embed", "train", "evaluate", "promote"])
        name = "lakerec-shop"
        assert gate.alias_version(context.tracker, name, gate.CHAMPION) == "1"
        assert gate.alias_version(context.tracker, "shop-prod", gate.CHAMPION) == "1"
        (tmp_path / "copy").mkdir()
        folder = checked(context.tracker, "shop-prod", "1", tmp_path / "copy")
    page = (folder / "model_card.md").read_text()
    assert "| ndcg@10 |" in page and "gold/sequences" in page and "histories of 40 people" in page
    contents = Contents.load(folder / FOLDER)
    assert contents.recommender.name in (Models.ITEM_CF, Models.POPULAR)
    assert contents.text.vectors.shape[1] == 384, "as the encoder gives them, not the 8 that the models have"
    asked = pd.DataFrame({"text": ["lamp 3 lamp", None], "user_id": [None, "c1"]})
    found = Answers(contents).of(asked, 4)
    first = {row.row: row.item_id for row in found[found["rank"] == 1].itertuples()}
    assert first[0] == "p11", "lamp 3"
    assert set(found["basis"]) == {"text", "user_id"}
    met = {f"p{contents.users.histories.row(contents.users.places['c1'])[0]}"}
    assert not met & set(found[found["row"] == 1]["item_id"])
