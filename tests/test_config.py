"""Config: layers in order, unknown keys with the nearest name, and every file under conf/."""

from pathlib import Path

import pytest
import yaml
from lakerec.config import Config
from lakerec.errors import ConfigError
from lakerec.loading import load_config
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

ROOT = Path(__file__).parents[1]
MINIMAL = "name: shop\nlake: {root: lake}\nsource: {events: {path: events.csv}}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path):
    assert load_config(path, environment={}).name


def test_later_layers_win_file_then_set_then_environment(file):
    child = file.with_name("child.yaml")
    child.write_text("extends: conf.yaml\ntrain: {epochs: 2, dims: 32}\n")
    config = load_config(child, ["train.epochs=3", "train.dims=16"], {"LAKEREC__TRAIN__EPOCHS": "4"})
    assert (config.train.epochs, config.train.dims, config.name) == (4, 16, "shop")


def test_a_file_changes_what_it_extends_as_words_would_beneath_its_own_keys(file):
    file.write_text(MINIMAL + "train: {dims: 32, als: {factors: 8}, choices: {recent_days: [3]}}\n")
    words = ["train.choices={}", "train.als={alpha: 3}", "train.dims=16", "encoder.prompt=film: ", "train.epochs=3"]
    child = file.with_name("child.yaml")
    child.write_text(yaml.safe_dump({"extends": "conf.yaml", "set": words, "train": {"epochs": 4}}))
    config = load_config(child, environment={})
    assert config == load_config(file, [*words, "train.epochs=4"], {})
    assert config.train.choices == {} and config.train.als.factors == 64, "a section in braces is the whole of it"
    child.write_text("extends: conf.yaml\nset: [train.epochs]\n")
    with pytest.raises(ConfigError, match=r"child\.yaml: set train\.epochs: expected key\.path=value"):
        load_config(child, environment={})
    child.write_text("extends: conf.yaml\nset: {train.epochs: 3}\n")
    with pytest.raises(ConfigError, match=r"child\.yaml: `set` is a list of key\.path=value, found \{'train\.epochs': 3\}"):
        load_config(child, environment={})


def test_words_before_a_colon_are_words_and_braces_a_section(file):
    config = load_config(file, ["encoder.prompt=film: ", "features.event_weights={view: 0.5}"], {})
    assert config.encoder.prompt == "film: " and config.features.event_weights == {"view": 0.5}


def test_spark_settings_keep_their_dots(file):
    config = load_config(file, ["spark.conf.spark.driver.memory=4g"], {})
    assert config.spark.conf == {"spark.driver.memory": "4g"}


def test_a_childs_column_mapping_replaces_the_parents(file):
    child = file.with_name("child.yaml")
    file.write_text(MINIMAL.replace("events.csv", "events.csv, columns: {user_id: a, value: b}"))
    child.write_text("extends: conf.yaml\nsource: {events: {columns: {user_id: c}}}\n")
    assert load_config(child, environment={}).source.events.columns == {"user_id": "c"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"unknown key `train\.epoch`; did you mean `epochs`\?"),
        ("trian.epochs=3", r"unknown key `trian`; did you mean `train`\?"),
        ("source.events.fromat=csv", r"did you mean `format`\?"),
        ("split.protocol=random", r"`split\.protocol`.*'temporal' or 'leave_last_out'.*found 'random'"),
        ("split.valid=0.95", r"valid \(0\.95\) must be below test"),
        ("train.models=[eas]", r"unknown model `eas`; did you mean `ease`\?"),
        ("train.dims=65", r"dims \(65\) must be a multiple of heads"),
        ("train.distilled.dims=33", r"dims \(33\) must be a multiple of heads"),
        ("train.models=[ease, distilled]", "`distilled` learns from `sequence`, which is not among"),
        ("lake.catalog=main", r"give either `root`, or `catalog` and `schema` together"),
        ("features.item_text=['{tilte}']", r"`\{tilte\}`: unknown field `tilte`.*did you mean `title`.*\{?attributes\.NAME"),
        ("features.item_text=['{attributes.}']", r"unknown field `attributes\.`"),
        ("features.item_text=['{title']", r"`\{title`: expected '\}' before end of string"),
        ("features.item_text=['{title!r}']", r"`\{title!r\}`: a field is taken as it stands, without a format"),
        ("features.item_text=[an item]", r"`an item` names no field, so it says the same of every item"),
        ("features.item_text=[]", r"features\.item_text"),
        ("features.price_bands=[2, 2]", r"price_bands must be rising prices above 0, found \[2\.0, 2\.0\]"),
        ("features.price_bands=[0, 2]", r"price_bands must be rising prices above 0"),
        ("features.price_bands=[2]", r"price_bands are part of the statistics: set statistics to true"),
        ("train.choices.half_life_days=[7, -7]", r"`train\.choices`: `half_life_days` cannot be -7: .*or equal to 0"),
        ("train.choices={als.alpha: [0]}", r"`train\.choices`: `als\.alpha` cannot be 0: .*greater than 0"),
        ("train.choices.recent_days=[7.5]", r"`recent_days` cannot be 7\.5: .*valid integer"),
        ("promote.model_name=main.recommender", r"`promote\.model_name`: .*must be one word or catalog\.schema\.model"),
        ("promote.copy_to={name: a/b}", r"`promote\.copy_to\.name`: .*must be one word"),
        ("backtest.cutoffs=[0.8, 0.6]", r"cutoffs must be rising shares between 0 and 1, found \[0\.8, 0\.6\]"),
        ("backtest.cutoffs=[0.5, 1]", r"cutoffs must be rising shares between 0 and 1"),
        ("train.epochs", r"expected key\.path=value"),
        ("name.first=x", r"`name` is a value, not a section"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(file, override, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(file, [override], {})
    assert "\n" not in str(error.value)


def test_a_mistake_is_where_it_was_made(file):
    with pytest.raises(ConfigError, match=r"^--set train\.epochs=many: `train\.epochs`: .*found 'many'"):
        load_config(file, ["train.dims=16", "train.epochs=many"], {})
    with pytest.raises(ConfigError, match=r"^LAKEREC__TRAIN__EPOCHS: `train\.epochs`"):
        load_config(file, ["train.epochs=2"], {"LAKEREC__TRAIN__EPOCHS": "many"})
    with pytest.raises(ConfigError, match=r"conf\.yaml with --set split\.valid=0\.95: .*must be below test"):
        load_config(file, ["train.epochs=2", "split.valid=0.95"], {})
    file.write_text(MINIMAL + "train: {epochs: many}\n")
    with pytest.raises(ConfigError, match=r"conf\.yaml: `train\.epochs`"):
        load_config(file, ["train.dims=16"], {})


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match="config file not found: .*nowhere.yaml"):
        load_config(tmp_path / "nowhere.yaml")
    circle = tmp_path / "circle.yaml"
    circle.write_text("extends: circle.yaml\n")
    with pytest.raises(ConfigError, match="goes in a circle"):
        load_config(circle)


def test_python_objects_in_yaml_are_refused(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        load_config(bad)


def test_base_names_every_key_with_its_default():
    found = yaml.safe_load((ROOT / "conf" / "base.yaml").read_text())
    _compare(Config, found, "")


def _compare(model: type[BaseModel], found: dict, where: str) -> None:
    for name, field in model.model_fields.items():
        key = field.alias or name
        assert key in found, f"conf/base.yaml lacks {where}{key}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            _compare(inner, found[key], f"{where}{key}.")
        elif not field.is_required() and f"{where}{key}" not in EXAMPLES:
            default = to_jsonable_python(field.get_default(call_default_factory=True))
            assert found[key] == default, f"conf/base.yaml: {where}{key}"


EXAMPLES = {"lake.root", "tracking.uri", "spark.master", "source.events.options"}
"""Keys where base.yaml shows a use instead of the bare default."""


def test_the_digest_depends_on_the_named_sections_only(file):
    first, second = load_config(file, environment={}), load_config(file, ["train.epochs=3"], {})
    assert first.digest("split") == second.digest("split")
    assert first.digest("train") != second.digest("train")
    assert first.digest() != second.digest()
