"""Every section and key of a configuration, with its type, default and limits (`lakerec.loading` reads files into it).

Relative paths mean: relative to the working directory, so that one command in the project's folder finds them on every
machine.
"""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from lakerec.columns import Columns
from lakerec.errors import nearest
from lakerec.judging_config import BacktestConfig, DriftConfig, EvaluateConfig, PromoteConfig
from lakerec.language_config import AdaptConfig, EncoderConfig, FusionConfig, ProfileConfig
from lakerec.source import Section, SourceConfig
from lakerec.templates import Template
from lakerec.training_config import TrainConfig, TuneConfig


class LakeConfig(Section):
    """Where the Delta tables live: `root` (path mode) or `catalog` and `schema` (catalog mode)."""

    root: str | None = Field(None, description="folder or URI; tables are <root>/<layer>/<table>")
    catalog: str | None = Field(None, description="catalog of catalog mode, such as `main` or `spark_catalog`")
    schema_name: str | None = Field(None, alias="schema", description="schema of catalog mode")
    retention_days: int = Field(7, ge=7, description="maintain: files that left a table stay so long, pinned ones longer")

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


class BotConfig(Section):
    """Thresholds on one day of one user, beyond which the user is marked is_bot; 0 or null: not looked at."""

    events_per_minute: int = Field(0, ge=0, description="events in a minute of the clock")
    items_per_day: int = Field(0, ge=0, description="different items on a day")
    least_variation: float = Field(
        0, ge=0, lt=1, description="standard deviation of the pauses between a day's events as a share of their mean"
    )
    regular_pauses: int = Field(20, ge=2, description="pauses a day must have for their variation to count")
    agent: str | None = Field(None, description="name in the events' context of the user agent")
    agent_pattern: str = Field("(?i)bot|crawl|spider|headless|curl|python-requests", description="regular expression")

    @property
    def looks(self) -> bool:
        """Whether anything is looked at."""
        return bool(self.events_per_minute or self.items_per_day or self.least_variation or self.agent)


class CleanConfig(Section):
    """From raw to typed and deduplicated."""

    session_gap_minutes: int = Field(30, gt=0, description="a longer pause starts a new session")
    natural_key: list[str] | None = Field(
        None, description="columns that two rows of one event share; none: user, item, type and time, without event ids"
    )
    cancels: dict[str, str] = Field(default_factory=dict, description="event type: the type of the events it takes back")
    bots: BotConfig = BotConfig()

    @model_validator(mode="after")
    def _known_key(self) -> CleanConfig:
        known = (Columns.EVENT_ID, Columns.USER_ID, Columns.ITEM_ID, Columns.EVENT_TYPE, Columns.EVENT_TIME, Columns.VALUE)
        for name in self.natural_key or ():
            if name not in known:
                raise ValueError(
                    f"unknown column `{name}` in natural_key{nearest(name, known)}; allowed: {', '.join(known)}"
                )
        if loops := set(self.cancels) & set(self.cancels.values()):
            raise ValueError(f"cancels: `{sorted(loops)[0]}` cannot both cancel and be cancelled")
        return self


class FeatureConfig(Section):
    """From events to what the models read."""

    event_weights: dict[str, float] = Field(
        default_factory=dict,
        description="weight of an interaction by event type; 1 where not named, 0 leaves it out",
    )
    item_text: list[Template] = Field(
        default_factory=lambda: ["{title}", "{categories}", "{description}"],
        min_length=1,
        description="parts of an item's text, joined by `. `; one of which a field is empty is left out",
    )
    max_description: int = Field(1000, gt=0, description="characters of a description that enter an item's text")
    statistics: bool = Field(False, description="whether statistics of users, items and sessions are kept")
    half_life_days: float = Field(30.0, gt=0, description="days after which an event counts half in decayed weights")
    price_bands: list[float] = Field(
        default_factory=list, description="prices where a new price band begins, rising; none: no bands"
    )
    affinity: int = Field(0, ge=0, description="categories kept of a user and day, the strongest first; 0: off")
    item_pairs: int = Field(0, ge=0, description="items kept that occur together with an item; 0: off")
    pairs_within: Literal["user", "session"] = Field("session", description="what two items must share to occur together")
    pairs_last: int = Field(50, ge=2, description="items of a user or session that pairs are made of, the latest ones")
    k_core: int = Field(0, ge=0, description="fewest items of a user and users of an item that stay interactions; 0: off")

    @model_validator(mode="after")
    def _bands_rise(self) -> FeatureConfig:
        if any(low >= high for low, high in pairwise([0.0, *self.price_bands])):
            raise ValueError(f"price_bands must be rising prices above 0, found {self.price_bands}")
        if self.price_bands and not self.statistics:
            raise ValueError("price_bands are part of the statistics: set statistics to true, or leave them out")
        return self


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


class RecommendConfig(Section):
    """Lists for serving."""

    k: int = Field(10, ge=1, description="items a user")
    attribution: Literal["leave_one_out", "integrated_gradients"] = Field(
        "leave_one_out", description="how reasons are found for the sequence model; others have one way"
    )


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
    adapt: AdaptConfig = AdaptConfig()
    fusion: FusionConfig = FusionConfig()
    profile: ProfileConfig = ProfileConfig()
    train: TrainConfig = TrainConfig()
    tune: TuneConfig = TuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    backtest: BacktestConfig = BacktestConfig()
    promote: PromoteConfig = PromoteConfig()
    recommend: RecommendConfig = RecommendConfig()
    drift: DriftConfig = DriftConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _promoted_is_evaluated(self) -> Config:
        if self.promote.k not in self.evaluate.k:
            raise ValueError(f"promote.k ({self.promote.k}) must be one of evaluate.k ({self.evaluate.k})")
        copy, own = self.promote.copy_to, self.promote.model_name or f"lakerec-{self.name}"
        if copy is not None and copy.uri is None and copy.name == own:
            raise ValueError(f"promote.copy_to: {own} in this registry is what is copied: give another name, or a uri")
        model, fitted = self.promote.model, self.train.models
        if model is not None and model not in fitted:
            raise ValueError(
                f"promote.model: `{model}` is not among train.models{nearest(model, fitted)}: {', '.join(fitted)}"
            )
        return self

    @model_validator(mode="after")
    def _impressions_are_no_interactions(self) -> Config:
        off_policy = self.evaluate.off_policy
        if off_policy is None:
            return self
        if self.features.event_weights.get(off_policy.impression, 1.0) > 0:
            raise ValueError(
                f"evaluate.off_policy: `{off_policy.impression}` events would be learned from as interactions: set "
                f"features.event_weights.{off_policy.impression} to 0"
            )
        if self.split.protocol != "temporal":
            raise ValueError(
                "evaluate.off_policy needs split.protocol temporal: of leave_last_out, what a user did last is the test, "
                "and no impression lies after a moment that all share"
            )
        return self

    def digest(self, *sections: str) -> str:
        """Hex digest of the named sections (all when none is named): equal configs, equal digests."""
        whole = self.model_dump(mode="json", by_alias=True)
        chosen = {section: whole[section] for section in sections} if sections else whole
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]
