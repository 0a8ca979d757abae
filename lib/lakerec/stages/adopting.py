"""Which encoder the stages after `adapt` use: the config's, or what adaptation made of it where that was better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakerec.config import EncoderConfig
from lakerec.stages.base import Context, last_run

if TYPE_CHECKING:
    from pyspark.sql import Row

ADAPT = "adapt"
KEPT, MODEL, BASE = "kept", "model", "base"
"""Details of an adapt run: whether its model is used, its folder, and the fingerprint of the encoder it came from."""
LEARNED = "learned"
"""Detail of an adapt run: the file that says which texts and pairs that model learned from."""


def chosen_encoder(context: Context) -> EncoderConfig:
    """The config's encoder, with the adapted model in place of its own where `adapt` is on and kept one."""
    config = context.config.encoder
    if not context.config.adapt.objectives:
        return config
    return adopted(config, last_run(context.lake, ADAPT))


def adopted(config: EncoderConfig, run: Row | None) -> EncoderConfig:
    """The same by an adapt run at hand."""
    if run is None or run.details[KEPT] != "true":
        return config
    return config.model_copy(update={"model": run.details[MODEL]})
