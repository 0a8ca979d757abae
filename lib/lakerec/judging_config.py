"""Config of what judges models and of what is decided by it: evaluate, backtest, promote, drift."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lakerec.columns import Metrics
from lakerec.source import Section


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


class DriftConfig(Section):
    """What makes `lakerec drift` say that the champion is to be fitted again."""

    psi: float = Field(0.25, gt=0, description="population stability index of event types, values and popularity")
    new_items: float = Field(0.05, gt=0, le=1, description="share of the new events on items that the model does not know")
    mmd: float = Field(0.02, gt=0, description="squared maximum mean discrepancy of the events' item vectors")
    p: float = Field(0.01, ge=0.005, lt=1, description="p value that the discrepancy must be below besides")
    metric_days: int = Field(3, ge=0, description="days in a row with a recall below what was evaluated; 0: not looked at")
    minimum_events: int = Field(100, ge=1, description="new events below which nothing is decided")
