"""Every section and key of a configuration, with its type, default and limits (`lakerec.loading` reads files into it).

Relative paths mean: relative to the working directory, so that one command in the project's folder finds them on every
machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from lakerec.columns import Columns, Metrics
from lakerec.errors import nearest
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


class OffPolicyConfig(Section):
    """Which events say what was shown, with which probability, and what it earned."""

    impression: str = Field(description="type of the events that say that an item was shown")
    reward: str = Field(description="type of the events that an impression is to bring, such as click")
    propensity: str = Field("propensity", description="name in their context of the probability that the item was shown")
    request: str | None = Field(
        None, description="name in their context that those shown together share; null: the same user and moment"
    )
    within_minutes: float = Field(30.0, gt=0, description="from an impression to its reward, at most")
    clip: float = Field(0.0, ge=0, description="largest weight of an impression; 0: any")

    @model_validator(mode="after")
    def _two_types(self) -> OffPolicyConfig:
        if self.impression == self.reward:
            raise ValueError(f"impression and reward must be two types of events, found `{self.reward}` twice")
        return self


class EvaluateConfig(Section):
    """Full-catalogue ranking on the test users."""

    k: list[int] = Field(default_factory=lambda: [10], min_length=1)
    depth: int = Field(100, ge=100, description="length of the lists in eval/predictions")
    bootstrap: int = Field(1000, ge=100, description="resamples behind a confidence interval")
    groups: list[str] = Field(
        default_factory=list, description="attributes of silver/users; users of each value are a slice, <attribute>:<value>"
    )
    off_policy: OffPolicyConfig | None = Field(
        None, description="estimates from logged impressions with propensities; null: none"
    )

    @model_validator(mode="after")
    def _within(self) -> EvaluateConfig:
        if min(self.k) < 1 or max(self.k) > self.depth:
            raise ValueError(f"k must lie between 1 and depth ({self.depth}), found {self.k}")
        return self


class BacktestConfig(Section):
    """Models fitted on what came before several cutoffs, judged on what came after each."""

    cutoffs: list[float] = Field(
        default_factory=lambda: [0.6, 0.7, 0.8], min_length=1, description="quantiles of event time, rising"
    )
    models: list[str] = Field(
        default_factory=list, description="which; none: those of train.models that are fitted on histories alone"
    )

    @model_validator(mode="after")
    def _rising(self) -> BacktestConfig:
        if any(low >= high for low, high in pairwise([0.0, *self.cutoffs, 1.0])):
            raise ValueError(f"cutoffs must be rising shares between 0 and 1, found {self.cutoffs}")
        return self


class GuardrailConfig(Section):
    """What a challenger must not break, however good its metric is."""

    slices: float = Field(
        0.1, ge=0, lt=1, description="share of the champion's value that a slice of users or items may lose, beyond chance"
    )
    coverage: float = Field(
        0.5, ge=0, le=1, description="share of the champion's coverage that the challenger's lists must keep; 0: any"
    )
    latency_ms: float = Field(250.0, ge=0, description="longest time for one user's list; 0: any")
    drift: bool = Field(True, description="whether a challenger is refused that `lakerec drift` says to fit anew")


def _registered_name(value: str) -> str:
    if not re.fullmatch(r"[^\s./:%'\"\\]+(\.[^\s./:%'\"\\]+){0,2}", value) or value.count(".") == 1:
        raise ValueError("must be one word or catalog.schema.model, without spaces, quotes and any of / : % \\")
    return value


RegisteredName = Annotated[str, AfterValidator(_registered_name)]
"""A plain name of MLflow's registry, or Unity Catalog's."""


class CopyConfig(Section):
    """Another registry, or another name in this one, that serves copies of what is promoted."""

    name: RegisteredName = Field(description="registered name there, such as catalog.schema.model")
    uri: str | None = Field(None, description="its MLflow, such as databricks or sqlite:///…; null: this one")
    experiment: str | None = Field(
        None, description="experiment there that keeps the files, such as /Shared/lakerec; null: the name"
    )


class PromoteConfig(Section):
    """What makes a challenger the champion, and what its package holds."""

    model_name: RegisteredName | None = Field(
        None, description="registered model name, or catalog.schema.model; default: lakerec-<name>"
    )
    model: str | None = Field(None, description="the model that is offered; null: the one that validation likes best")
    metric: Literal["ndcg", "hit_rate", "recall", "precision", "f1", "mrr", "map"] = Metrics.NDCG
    k: int = Field(10, ge=1)
    minimum_gain: float = Field(
        0.0, gt=-1, description="how much better, as a share of the champion's value; below 0: how much worse may be"
    )
    certainty: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the resampled test users in which the gain must exceed the minimum; 0: its mean",
    )
    guardrails: GuardrailConfig = GuardrailConfig()
    table: Literal["fp32", "fp16", "int8"] = Field(
        "fp32", description="precision of the sequence model's items as it serves"
    )
    free_text: bool = Field(True, description="put the encoder into the package, so that it answers texts")
    known_users: bool = Field(False, description="put everybody's history into the package, so that it answers user ids")
    copy_to: CopyConfig | None = Field(None, description="where else each champion is to serve")


class RecommendConfig(Section):
    """Lists for serving."""

    k: int = Field(10, ge=1, description="items a user")
    attribution: Literal["leave_one_out", "integrated_gradients"] = Field(
        "leave_one_out", description="how reasons are found for the sequence model; others have one way"
    )


class DriftConfig(Section):
    """What makes `lakerec drift` say that the champion is to be fitted again."""

    psi: float = Field(0.25, gt=0, description="population stability index of event types, values and popularity")
    new_items: float = Field(0.05, gt=0, le=1, description="share of the new events on items that the model does not know")
    mmd: float = Field(0.02, gt=0, description="squared maximum mean discrepancy of the events' item vectors")
    p: float = Field(0.01, ge=0.005, lt=1, description="p value that the discrepancy must be below besides")
    metric_days: int = Field(3, ge=0, description="days in a row with a recall below what was evaluated; 0: not looked at")
    minimum_events: int = Field(100, ge=1, description="new events below which nothing is decided")


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
