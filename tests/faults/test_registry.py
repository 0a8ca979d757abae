"""Faults 38 to 40: a model altered after it was registered, pickles planted beside weights, configs that name code."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from lakerec.errors import EnvironmentProblem, IntegrityError
from lakerec.language.encoder import Encoder
from lakerec.language.files import resolve_model
from lakerec.language_config import EncoderConfig
from lakerec.registry.loading import registered as loaded

from tests.registry import packages
from tests.small_models import small_bert


class Marker:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    tracker = packages.tracker(folder)
    packages.registered(tracker, packages.contents())
    return tracker, next(folder.rglob("MLmodel")).parent


@pytest.fixture
def package(store, tmp_path):
    """The files of shop/1, put back as they were after the test."""
    tracker, folder = store
    shutil.copytree(folder, tmp_path / "kept")
    yield tracker, folder
    shutil.rmtree(folder)
    shutil.move(tmp_path / "kept", folder)


ALTERED = {
    "weights": "artifacts/model/recommender/weights.safetensors",
    "items": "artifacts/model/items.json",
    "code": "code/lakerec/registry/answers.py",
    "loader": "served_model.py",
    "description": "MLmodel",
    "pins": "requirements.txt",
    "card": "model_card.md",
    "list": "manifest.json",
}


@pytest.mark.parametrize("name", ALTERED.values(), ids=ALTERED)
def test_fault_38_an_artifact_altered_after_logging_is_refused_and_named(package, name):
    tracker, folder = package
    loaded(tracker, "shop", "1")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"shop/1 was altered after it was registered \({name}\): refused"):
        loaded(tracker, "shop", "1")


def test_fault_38_a_file_added_and_one_taken_away(package):
    tracker, folder = package
    (folder / "code" / "sitecustomize.py").write_text("")
    (folder / "artifacts" / "model" / "items.json").unlink()
    with pytest.raises(IntegrityError, match=r"\(artifacts/model/items.json and 1 more\)"):
        loaded(tracker, "shop", "1")


def test_fault_38_what_mlflow_loads_by_itself_is_compared_with_the_packages_own_list(package, monkeypatch):
    tracker, folder = package
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the package's code there
    assert tracker.mlflow.pyfunc.load_model("models:/shop/1").predict([{"items": ["cup"]}])["item_id"].iloc[0] == "mug"
    (folder / "artifacts" / "model" / "items.json").write_text('["mug", "cup", "lamp", "vase"]')
    with pytest.raises(IntegrityError, match=r"this model was altered .*\(artifacts/model/items.json\)"):
        tracker.mlflow.pyfunc.load_model("models:/shop/1")


def test_fault_39_a_pickle_in_place_of_the_model_is_never_read(package, tmp_path):
    tracker, folder = package
    marker = tmp_path / "marker"
    planted = pickle.dumps(Marker(marker))
    for name in ("python_model.pkl", "artifacts/model/recommender/weights.pt", "artifacts/model/recommender/model.bin"):
        (folder / name).write_bytes(planted)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["python_function"] |= {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    with pytest.raises(IntegrityError):
        loaded(tracker, "shop", "1")
    assert not marker.exists()
    pickle.loads(planted)
    assert marker.exists(), "the pickle would have made it"


def test_fault_39_pickles_beside_an_encoders_weights_are_never_read(tmp_path):
    folder = Path(small_bert(tmp_path))
    marker = tmp_path / "marker"
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "tokenizer.pkl", "adapter_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Marker(marker)))
    assert Encoder(EncoderConfig(model=str(folder), precision="fp32"), "cpu").encode(["tea"]).vectors.any()
    assert not marker.exists()
    (folder / "model.safetensors").write_bytes(pickle.dumps(Marker(marker)))
    with pytest.raises(EnvironmentProblem, match="cannot load this model"):
        Encoder(EncoderConfig(model=str(folder), precision="fp32"), "cpu")
    assert not marker.exists()


HOSTILE = {
    "auto_map": {"auto_map": {"AutoModel": "code.Planted"}},
    "trust_remote_code": {"trust_remote_code": True},
    "within another": {"text_config": {"auto_map": {"AutoModel": "evil/repository--code.Planted"}}},
    "other weights": {"transformers_weights": "adapter_model.bin"},
    "fetched attention": {"attn_implementation": "evil/kernels"},
    "no kind": {"model_type": None},
    "a path": {"model_type": "../../code"},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_fault_40_a_config_that_names_code_is_refused_before_anything_is_loaded(tmp_path, change):
    folder = Path(small_bert(tmp_path))
    (folder / "code.py").write_text(f"import os; os.mkdir({str(tmp_path / 'marker')!r})")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(EnvironmentProblem, match=r"config.json(:| has `).*"):
        resolve_model(str(folder))
    assert not (tmp_path / "marker").exists()


def test_fault_40_a_kind_that_transformers_does_not_know_and_an_adapter_are_refused_in_one_line(tmp_path):
    folder = Path(small_bert(tmp_path))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "planted"}))
    with pytest.raises(EnvironmentProblem) as refused:
        Encoder(EncoderConfig(model=str(folder), precision="fp32"), "cpu")
    assert "transformers cannot load this model" in str(refused.value) and "\n" not in str(refused.value)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/repository"}')
    with pytest.raises(EnvironmentProblem, match="merge the adapter"):
        resolve_model(str(folder))


def test_fault_40_a_loader_that_is_not_ours_is_refused_even_where_the_digest_is_right(store, tmp_path):
    """As somebody registers it who may write to the registry."""
    from lakerec.registry.integrity import check, write_manifest

    _, folder = store
    shutil.copytree(folder, tmp_path / "package")
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["python_function"]["loader_module"] = "planted"
    (tmp_path / "package" / "MLmodel").write_text(yaml.safe_dump(described))
    with pytest.raises(IntegrityError, match="its MLmodel has planted load it: refused"):
        check(tmp_path / "package", write_manifest(tmp_path / "package"), "shop/1")
