"""Models by name: new ones from the config, saved ones from a folder."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from lakerec.columns import Models
from lakerec.models import storage
from lakerec.models.attention import Attention, AttentionRecipe
from lakerec.models.autoencoder import MultVae, VaeRecipe
from lakerec.models.behaviour import Behaviour, BehaviourRecipe
from lakerec.models.blend import Blend
from lakerec.models.compressed import KIND, CompressedSequence
from lakerec.models.content import Content
from lakerec.models.data import Recency
from lakerec.models.factors import Als
from lakerec.models.linear import Ease, ItemCF
from lakerec.models.neighbours import UserCF
from lakerec.models.popular import Popular
from lakerec.models.protocol import Recommender
from lakerec.models.sequence import Sequence, Shape
from lakerec.models.two_tower import TowerRecipe, TwoTower
from lakerec.training_config import Choice, TrainConfig

CLASSES: dict[str, type[Recommender]] = {
    Models.POPULAR: Popular,
    Models.RECENT_POPULAR: Popular,
    Models.USER_CF: UserCF,
    Models.ITEM_CF: ItemCF,
    Models.ALS: Als,
    Models.EASE: Ease,
    Models.MULT_VAE: MultVae,
    Models.CONTENT: Content,
    Models.TWO_TOWER: TwoTower,
    Models.SEQUENCE: Sequence,
    Models.ATTENTION: Attention,
    Models.BEHAVIOUR: Behaviour,
    Models.BLEND: Blend,
    KIND: CompressedSequence,
}

OWN_SETTINGS: dict[str, tuple[str, ...]] = {
    Models.RECENT_POPULAR: ("recent_days",),
    Models.USER_CF: ("user_cf.neighbours",),
    Models.ITEM_CF: ("neighbours",),
    Models.EASE: ("regularization",),
    Models.MULT_VAE: tuple(f"mult_vae.{key}" for key in ("latent", "hidden", "dropout", "kl_weight", "learning_rate")),
    Models.CONTENT: ("half_life",),
    Models.TWO_TOWER: tuple(
        f"two_tower.{key}"
        for key in ("dims", "dropout", "temperature", "half_life_days", "gap", "epochs", "learning_rate", "weight_decay")
    ),
    Models.ATTENTION: tuple(
        f"attention.{key}" for key in ("dims", "smoothing", "dropout", "epochs", "learning_rate", "weight_decay")
    ),
    Models.BEHAVIOUR: tuple(
        f"behaviour.{key}"
        for key in ("dims", "width", "dropout", "negatives", "value_weight", "epochs", "learning_rate", "weight_decay")
    ),
    Models.SEQUENCE: (
        "dims", "blocks", "heads", "max_length", "dropout", "batch_size", "epochs", "learning_rate", "weight_decay",
    ),
}  # fmt: skip
"""The keys of `train` that are of one model only."""

AT_SCORING: tuple[Choice, ...] = ("history_half_life", "history_half_life_days")
"""The keys that a fitted model takes as well: they weigh the history that it is asked about."""
CHOSEN: dict[str, tuple[Choice, ...]] = {
    Models.RECENT_POPULAR: ("recent_days",),
    Models.USER_CF: AT_SCORING,
    Models.ITEM_CF: (*AT_SCORING, "half_life_days"),
    Models.ALS: (*AT_SCORING, "half_life_days", "als.alpha", "als.regularization"),
    Models.EASE: (*AT_SCORING, "half_life_days", "regularization"),
    Models.TWO_TOWER: ("two_tower.half_life_days",),
}
"""The keys of `train` that validation chooses on every run, among `train.choices`, one after the other."""


def setting(name: str, key: Choice) -> str:
    """How a train run's details name what validation chose for a model's key.

    >>> setting("ease", "half_life_days"), setting("als", "als.alpha")
    ('ease.half_life_days', 'als.alpha')
    """
    return f"{name}.{key.removeprefix(f'{name}.')}"


def others(key: Choice, config: TrainConfig) -> list[TrainConfig]:
    """The config with each of a key's choices that is not its value already."""
    changed = [config.changed(key, value) for value in config.choices.get(key, ())]
    return [each for each in changed if each.at(key) != config.at(key)]


def recency_of(config: TrainConfig) -> Recency:
    """How the config wants a history's events weighed by the models of `AT_SCORING`."""
    return Recency(config.history_half_life, config.history_half_life_days)


def reweighed(model: Recommender, config: TrainConfig) -> Recommender:
    """A fitted model of `AT_SCORING` for histories weighed as the config wants; its weights are shared."""
    again: Any = copy(model)
    again.recency = recency_of(config)
    return cast(Recommender, again)


def build(name: str, config: TrainConfig) -> Recommender:
    """An unfitted model that `fit` alone can fit: not als (Spark), sequence and distilled (batches), blend (validation)."""
    recency = recency_of(config)
    makers: dict[str, Callable[[], Recommender]] = {
        Models.POPULAR: Popular,
        Models.RECENT_POPULAR: lambda: Popular(config.recent_days),
        Models.USER_CF: lambda: UserCF(config.user_cf.neighbours, config.user_cf.users, recency),
        Models.ITEM_CF: lambda: ItemCF(config.neighbours, config.half_life_days, recency),
        Models.EASE: lambda: Ease(config.regularization, config.half_life_days, recency),
        Models.MULT_VAE: lambda: MultVae(VaeRecipe(**config.mult_vae.model_dump()), config.seeds[0]),
        Models.CONTENT: lambda: Content(config.half_life),
        Models.ATTENTION: lambda: Attention(AttentionRecipe(**config.attention.model_dump()), config.seeds[0]),
        Models.BEHAVIOUR: lambda: Behaviour(
            BehaviourRecipe(**config.behaviour.model_dump(exclude={"rated"})), config.seeds[0]
        ),
        Models.TWO_TOWER: lambda: TwoTower(TowerRecipe(**config.two_tower.model_dump()), config.seeds[0]),
    }
    return makers[name]()


def shape_of(config: TrainConfig) -> Shape:
    """The sequence network's size."""
    c = config
    return Shape(c.dims, c.blocks, c.heads, c.max_length, c.dropout, times=c.times)


def small_shape_of(config: TrainConfig) -> Shape:
    """The distilled network's."""
    small = config.distilled
    return replace(shape_of(config), dims=small.dims, blocks=small.blocks, heads=small.heads)


def seeded(name: str, seed: int, seeds: list[int]) -> str:
    """Folder of a model fitted once a seed: its name for the first seed, name#seed for the others."""
    return name if seed == seeds[0] else f"{name}#{seed}"


def load(folder: Path) -> Recommender:
    """The model saved in `folder`."""
    return CLASSES[storage.settings(folder)["model"]].load(folder)
