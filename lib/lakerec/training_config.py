"""Keys of the recommenders: how they are fitted, and what a search of better settings tries."""

from __future__ import annotations

from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from lakerec.columns import Models
from lakerec.errors import nearest
from lakerec.source import Section


class UserCFConfig(Section):
    """Neighbourhoods of users."""

    neighbours: int = Field(50, ge=1, description="nearest users that count")
    users: int = Field(50_000, ge=1, description="users that neighbours are looked for among, at most; the latest ones")


class AlsConfig(Section):
    """Implicit alternating least squares, fitted by Spark's MLlib."""

    factors: int = Field(64, ge=1, description="numbers that describe a user or an item")
    iterations: int = Field(10, ge=1, description="each solves for all users and all items once")
    regularization: float = Field(0.05, gt=0, description="of a user or item, times the number of their interactions")
    alpha: float = Field(10.0, gt=0, description="confidence that an interaction adds to the 1 of what was not met")


class MultVaeConfig(Section):
    """A variational autoencoder of what users met."""

    hidden: int = Field(200, ge=1, description="width of encoder and decoder")
    latent: int = Field(64, ge=1, description="numbers that describe a user")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of what a user met that the encoder is not shown")
    kl_weight: float = Field(0.2, ge=0, le=1, description="of the divergence from the prior, reached half way")
    epochs: int = Field(100, ge=1)
    users: int = Field(20_000, ge=1, description="users of an epoch, at most, drawn anew each time")
    batch_size: int = Field(64, ge=1, description="users a step")
    learning_rate: float = Field(1e-3, gt=0)


class TwoTowerConfig(Section):
    """Vectors of items and of histories, learned together."""

    dims: int = Field(64, ge=1, description="numbers that describe an item or a history")
    half_lives: list[Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: [2.0, 10.0], min_length=1,
        description="events after which an older one counts half in a mean of the history; one mean for each",
    )  # fmt: skip
    max_length: int = Field(50, ge=1, description="events of a history that count")
    dropout: float = Field(0.2, ge=0, lt=1, description="of the means")
    unmet: float = Field(0.2, ge=0, lt=1, description="share of a step's items placed by their text alone")
    temperature: float = Field(0.2, gt=0, description="what cosines are divided by")
    half_life_days: float = Field(0.0, ge=0, description="days after which an event is drawn half as often; 0: never")
    gap: int = Field(
        9, ge=0, description="events right before the wanted one that a history lacks, at most, of half of them; drawn"
    )
    epochs: int = Field(8, ge=1)
    pairs: int = Field(50_000, ge=1, description="pairs of history and item of an epoch, at most, drawn anew each time")
    batch_size: int = Field(256, ge=2, description="pairs a step")
    negatives: int = Field(256, ge=0, description="items drawn a step, besides what else is wanted in it")
    learning_rate: float = Field(1e-2, gt=0)
    weight_decay: float = Field(0.01, ge=0, description="of all but the items' own numbers")


class AttentionConfig(Section):
    """Attention of each item over the history."""

    dims: int = Field(64, ge=1, description="width of the vectors")
    max_length: int = Field(50, ge=1, description="events of a history that it sees")
    smoothing: float = Field(0.5, gt=0, le=1, description="1: weights of a history sum to 1; less: longer ones say more")
    dropout: float = Field(0.2, ge=0, lt=1, description="of the history's vectors")
    candidates: int = Field(512, ge=2, description="items that a step tells the right ones from, drawn anew each time")
    epochs: int = Field(16, ge=1)
    windows: int = Field(10_000, ge=1, description="windows of histories of an epoch, at most, drawn anew each time")
    batch_size: int = Field(64, ge=1, description="windows a step")
    learning_rate: float = Field(3e-3, gt=0, description="the highest one")
    weight_decay: float = Field(0.3, ge=0, description="AdamW's")


class BehaviourConfig(Section):
    """Whether users engage with items, and what values they give: two tasks of one network."""

    rated: list[str] = Field(default_factory=lambda: ["rating"], description="types of events whose value is a rating")
    dims: int = Field(32, ge=1, description="width of the vectors")
    width: int = Field(64, ge=2, description="of the first layer; the second has half of it")
    max_length: int = Field(50, ge=1, description="events of a history that the user's vector is made of")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the first layer")
    negatives: int = Field(8, ge=1, description="items drawn for an event that the user has not met by then")
    value_weight: float = Field(0.2, ge=0, description="of the ratings' loss, beside that of the engagement")
    epochs: int = Field(8, ge=1)
    events: int = Field(100_000, ge=1, description="events of an epoch, at most, drawn anew each time")
    batch_size: int = Field(512, ge=1, description="events a step")
    learning_rate: float = Field(3e-3, gt=0, description="the highest one")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")


def _check_heads(dims: int, heads: int) -> None:
    if dims % heads:
        raise ValueError(f"dims ({dims}) must be a multiple of heads ({heads})")


class DistilledConfig(Section):
    """A smaller sequence model that learns from the larger one, too."""

    dims: int = Field(32, ge=4, description="width")
    blocks: int = Field(1, ge=1, description="transformer blocks")
    heads: int = Field(2, ge=1, description="attention heads; dims must be a multiple")
    teaching: float = Field(
        0.5, ge=0, le=1, description="share of the loss that is what the larger one expects; the rest: what happened"
    )

    @model_validator(mode="after")
    def _divides(self) -> DistilledConfig:
        _check_heads(self.dims, self.heads)
        return self


Augmentation = Literal["crop", "mask", "reorder", "swap"]
Choice = Literal[
    "half_life_days", "recent_days", "history_half_life", "history_half_life_days", "regularization", "als.alpha",
    "als.regularization", "two_tower.half_life_days",
]  # fmt: skip


Division = Literal["lengths", "categories"]


def _divisions() -> list[Division]:
    return ["lengths", "categories"]


def _choices() -> dict[Choice, list[float]]:
    return {
        "half_life_days": [0, 7, 30], "recent_days": [1, 7, 30], "history_half_life": [0, 5, 20, 80],
        "history_half_life_days": [0, 30], "regularization": [100, 400], "als.alpha": [], "als.regularization": [],
        "two_tower.half_life_days": [7],
    }  # fmt: skip


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Keys with dots as sections.

    >>> nested({"dims": 32, "als.alpha": 5.0, "als.factors": 8})
    {'dims': 32, 'als': {'alpha': 5.0, 'factors': 8}}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        section, _, last = key.rpartition(".")
        (found.setdefault(section, {}) if section else found)[last] = value
    return found


class TrainConfig(Section):
    """The recommenders to fit and how the sequence model is trained."""

    models: list[str] = Field(default_factory=lambda: list(Models.DEFAULT))
    seeds: list[int] = Field(default_factory=lambda: [1], min_length=1, description="sequence is fitted once a seed")
    ranks: int = Field(1, ge=1, description="training processes (world size)")
    gpus_per_rank: int = Field(0, ge=0, le=1, description="GPUs of a rank")
    folder: str | None = Field(
        None, description="where fitted models go, a folder a lake; default: <lake>-models beside the lake"
    )
    validation_users: int = Field(
        10_000, ge=1, description="users that validation looks at, at most; fewer where their scores fill 1.4 GB in train"
    )
    dims: int = Field(64, ge=4, description="sequence: width")
    blocks: int = Field(2, ge=1, description="sequence: transformer blocks")
    heads: int = Field(2, ge=1, description="sequence: attention heads")
    max_length: int = Field(50, ge=2, description="sequence: events of a history that it sees")
    dropout: float = Field(0.2, ge=0, lt=1, description="sequence: dropout")
    times: bool = Field(True, description="sequence: whether it sees how much time passed between events")
    batch_size: int = Field(64, ge=1, description="sequence: windows a step, over all ranks together")
    epochs: int = Field(12, ge=1, description="sequence: length of the schedule; early stop may end sooner")
    patience: int = Field(4, ge=1, description="sequence: epochs without a better validation NDCG@10")
    learning_rate: float = Field(3e-3, gt=0, description="sequence: highest learning rate")
    weight_decay: float = Field(0.01, ge=0, description="sequence: AdamW's weight decay")
    negatives: int | None = Field(
        None, ge=0, description="sequence: items drawn a step that its softmax goes over; 0: all; null: all of up to 50,000"
    )
    start: Literal["scratch", "last"] = Field(
        "scratch", description="sequence: weights that its fits begin with; last: those of the last run, where it can be"
    )
    replay: float = Field(1.0, ge=0, description="sequence, from last: old windows of an epoch for each with new events")
    start_rate: float = Field(0.3, gt=0, le=1, description="sequence, from last: share of learning_rate")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="sequence: of its passes; bf16 takes less memory")
    micro_batch: int = Field(
        0, ge=0, description="sequence: windows that go through a rank's network at a time; 0: all of its part of a step"
    )
    checkpoint_minutes: float = Field(
        10.0, ge=0, description="sequence: between checkpoints within an epoch; 0: at the ends of epochs only"
    )
    relaunches: int = Field(
        2, ge=0, description="sequence: times that all ranks start again from the last checkpoint after one died"
    )
    augment: list[Augmentation] = Field(
        default_factory=list, description="sequence: ways in which half of the windows are varied, each as often"
    )
    adversarial: float = Field(
        0.0, ge=0, description="sequence: length of the worst step of an item's vector that is trained on too; 0: off"
    )
    regularization: float = Field(100.0, gt=0, description="ease: added to the diagonal of the item-item matrix")
    dense_items: int = Field(
        20_000, ge=1, description="ease (items³ time), mult_vae: left out where the catalogue is larger"
    )
    neighbours: int = Field(100, ge=1, description="item_cf: nearest items kept for an item")
    half_life_days: float = Field(
        0.0, ge=0, description="item_cf, als, ease: days after which an interaction counts half in the fit; 0: never"
    )
    history_half_life: float = Field(
        0.0,
        ge=0,
        description="user_cf, item_cf, als, ease: events after which an older one counts half when asked; 0: never",
    )
    history_half_life_days: float = Field(0.0, ge=0, description="the same by days")
    user_cf: UserCFConfig = UserCFConfig()
    als: AlsConfig = AlsConfig()
    mult_vae: MultVaeConfig = MultVaeConfig()
    attention: AttentionConfig = AttentionConfig()
    behaviour: BehaviourConfig = BehaviourConfig()
    two_tower: TwoTowerConfig = TwoTowerConfig()
    distilled: DistilledConfig = DistilledConfig()
    half_life: float = Field(2.0, gt=0, description="content: events after which an older item counts half")
    recent_days: int = Field(7, gt=0, description="recent_popular: days before the last event")
    slices: list[Division] = Field(
        default_factory=_divisions,
        description="blend: by what users are divided into slices, which get weights of their own where validation improves",
    )
    slice_users: int = Field(200, ge=20, description="blend: users of validation that a slice must have for that")
    cold_tolerance: float = Field(
        0.01, ge=0, lt=1, description="blend: share of validation's NDCG@10 that may go for finding items of few events"
    )
    choices: dict[Choice, list[float]] = Field(
        default_factory=_choices,
        description="what else these may be, chosen by validation for each model on every run",
    )

    @field_validator("choices")
    @classmethod
    def _as_the_keys(cls, choices: dict[Choice, list[float]]) -> dict[Choice, list[float]]:
        """Each is a value that its key may have."""
        for key, value in ((key, value) for key, values in choices.items() for value in values):
            try:
                cls.model_validate(nested({key: value}))
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                raise ValueError(f"`{key}` cannot be {value:g}: {message[:1].lower()}{message[1:]}") from None
        return choices

    @model_validator(mode="after")
    def _known_models(self) -> TrainConfig:
        if not set(self.models) - {Models.BLEND}:
            raise ValueError(f"models must name one besides blend, found {self.models}")
        for model in self.models:
            if model not in Models.ALL:
                raise ValueError(f"unknown model `{model}`{nearest(model, Models.ALL)}; allowed: {', '.join(Models.ALL)}")
        _check_heads(self.dims, self.heads)
        if Models.DISTILLED in self.models and Models.SEQUENCE not in self.models:
            raise ValueError(
                f"models: `{Models.DISTILLED}` learns from `{Models.SEQUENCE}`, which is not among {self.models}"
            )
        if min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be different numbers from 0 on, found {self.seeds}")
        return self

    def at(self, key: str) -> Any:
        """The value of a key, `als.alpha` say."""
        return reduce(getattr, key.split("."), self)

    def changed(self, key: str, value: Any) -> TrainConfig:
        """This config with another value of a key; a number takes the key's own type."""
        section, _, last = key.rpartition(".")
        own = self.at(section) if section else self
        new = own.model_copy(update={last: type(self.at(key))(value)})
        return self.model_copy(update={section: new}) if section else new


class Range(Section):
    """Numbers to choose from, both ends among them."""

    low: float
    high: float
    log: bool = Field(False, description="whether a tenth and a fifth are as far apart as one and two")

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"low must be below high, and above 0 where log is true; found {self.low} and {self.high}")
        return self


def _space() -> dict[str, Range | list[float]]:
    return {
        "learning_rate": Range(low=0.0005, high=0.01, log=True), "dropout": Range(low=0.0, high=0.5),
        "weight_decay": Range(low=0.0001, high=0.1, log=True), "dims": [32, 64, 128], "blocks": [1, 2, 3],
        "max_length": [20, 50, 100], "regularization": Range(low=10, high=5000, log=True),
        "neighbours": Range(low=20, high=500, log=True), "half_life": Range(low=0.5, high=50, log=True),
        "recent_days": Range(low=1, high=60, log=True), "user_cf.neighbours": Range(low=10, high=300, log=True),
        "mult_vae.latent": [32, 64, 128], "mult_vae.kl_weight": Range(low=0.0, high=1.0),
        "two_tower.temperature": Range(low=0.05, high=0.5, log=True), "two_tower.half_life_days": [0, 7, 30],
        "two_tower.learning_rate": Range(low=0.002, high=0.05, log=True),
        "attention.smoothing": Range(low=0.1, high=1.0), "attention.learning_rate": Range(low=0.0005, high=0.01, log=True),
        "behaviour.negatives": [4, 8, 16], "behaviour.learning_rate": Range(low=0.0005, high=0.01, log=True),
    }  # fmt: skip


class TuneConfig(Section):
    """The search for better settings of the recommenders, by what validation says."""

    models: list[str] = Field(default_factory=list, description="whose settings; none: all of train.models that have some")
    trials: int = Field(20, ge=1, description="of each model, those of an earlier run on the same data among them")
    minutes: float = Field(0.0, ge=0, description="for each model; 0: as long as its trials take")
    parallel: int = Field(1, ge=1, description="trials at a time, each a task of the cluster")
    space: dict[str, Range | list[float]] = Field(
        default_factory=_space, description="what each setting of train may be: values, or low, high and log; []: as it is"
    )
