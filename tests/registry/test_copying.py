"""A version goes to another registry with its tags, and is the same there to the byte."""

import pytest
from lakerec.errors import IntegrityError
from lakerec.judging_config import CopyConfig
from lakerec.registry.copying import COPIED_FROM, follow
from lakerec.registry.gate import CHAMPION, alias_version, tags_of
from lakerec.registry.loading import registered as loaded

from tests.registry import packages


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def store(here):
    found = packages.tracker(here)
    assert packages.registered(found, packages.contents()) == "1"
    return found


def test_another_store_serves_the_same_files_with_tags_and_alias(store, tmp_path):
    target = CopyConfig(name="prod.shop.recommender", uri=f"sqlite:///{tmp_path}/there/mlflow.db")
    (tmp_path / "there").mkdir()
    assert follow(store, "shop", "1", target) == "1"
    assert follow(store, "shop", "1", target) == "1", "a copy that is there is not made again"
    here = tags_of(store, "shop", "1")
    assert loaded(store, "shop", "1")[0].name == "content", "asking the other store leaves this one the tracker's"
    there = packages.tracker(tmp_path / "there")  # what MLflow works on from here on
    assert tags_of(there, target.name, "1") == here | {COPIED_FROM: "shop/1"}
    assert alias_version(there, target.name, CHAMPION) == "1"
    assert there.client.get_model_version(target.name, "1").description == "content of train-1"
    assert loaded(there, target.name, "1")[1].tolist() == packages.ITEMS.tolist()
    store.use()


def test_another_name_in_this_store(store):
    target = CopyConfig(name="shop-prod")
    assert follow(store, "shop", "1", target) == follow(store, "shop", "1", target) == "1"
    assert tags_of(store, "shop-prod", "1")[COPIED_FROM] == "shop/1"
    assert alias_version(store, "shop-prod", CHAMPION) == "1"


def test_an_altered_version_is_not_copied(store, here):
    next(here.rglob("items.json")).write_text("[]")
    with pytest.raises(IntegrityError, match=r"shop/1 was altered .*items.json"):
        follow(store, "shop", "1", CopyConfig(name="elsewhere"))
    assert alias_version(store, "elsewhere", CHAMPION) is None
