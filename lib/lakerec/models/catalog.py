"""Models by name: new ones from the config, saved ones from a folder."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

from lakerec.columns import Models
from lakerec.models import storage
from lakerec.models.autoencoder import MultVae, VaeRecipe
from lakerec.models.blend import Blend
from lakerec.models.content import Content
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
    Models.BLEND: Blend,
}

OWN_SETTINGS: dict[str, tuple[str, ...]] = {
    Models.RECENT_POPULAR: ("recent_days",),
    Models.ITEM_CF: ("neighbours",),
    Models.EASE: ("regularization",),
    Models.CONTENT: ("half_life",),
    Models.SEQUENCE: (
        "dims", "blocks", "heads", "max_length", "dropout", "batch_size", "epochs", "learning_rate", "weight_decay",
    ),
}  # fmt: skip
"""The keys of `train` that are of one model only."""

CHOSEN: dict[str, tuple[Choice, ...]] = {
    Models.RECENT_POPULAR: ("recent_days",),
    Models.ITEM_CF: ("half_life_days",),
    Models.EASE: ("half_life_days",),
}
"""The keys of `train` that validation chooses on every run, among `train.choices`."""


def variants(name: str, config: TrainConfig) -> list[TrainConfig]:
    """The config, and the config with each of its choices for a model."""
    keys = CHOSEN.get(name, ())
    own = [getattr(config, key) for key in keys]
    values = [dict.fromkeys([now, *map(type(now), config.choices.get(key, ()))]) for key, now in zip(keys, own, strict=True)]
    return [config.model_copy(update=dict(zip(keys, each, strict=True))) for each in product(*values)]


def build(name: str, config: TrainConfig) -> Recommender:
    """An unfitted model that `fit` alone can fit (not als, sequence and blend, which need Spark, batches and validation)."""
    makers: dict[str, Callable[[], Recommender]] = {
        Models.POPULAR: Popular,
        Models.RECENT_POPULAR: lambda: Popular(config.recent_days),
        Models.USER_CF: lambda: UserCF(config.user_cf.neighbours, config.user_cf.users),
        Models.ITEM_CF: lambda: ItemCF(config.neighbours, config.half_life_days),
        Models.EASE: lambda: Ease(config.regularization, config.half_life_days),
        Models.MULT_VAE: lambda: MultVae(VaeRecipe(**config.mult_vae.model_dump()), config.seeds[0]),
        Models.CONTENT: lambda: Content(config.half_life),
        Models.TWO_TOWER: lambda: TwoTower(TowerRecipe(**config.two_tower.model_dump()), config.seeds[0]),
    }
    return makers[name]()


def shape_of(config: TrainConfig) -> Shape:
    """The sequence network's size."""
    return Shape(config.dims, config.blocks, config.heads, config.max_length, config.dropout)


def seeded(name: str, seed: int, seeds: list[int]) -> str:
    """Folder of a model fitted once a seed: its name for the first seed, name#seed for the others."""
    return name if seed == seeds[0] else f"{name}#{seed}"


def load(folder: Path) -> Recommender:
    """The model saved in `folder`."""
    return CLASSES[storage.settings(folder)["model"]].load(folder)
