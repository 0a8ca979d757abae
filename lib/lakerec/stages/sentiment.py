"""profile.sentiment: what customers' texts say of items, in place of the values of their events.

events ─ the text of their context ─ its label, by a person or by profile.labels ─ scores ─► value of an event
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.language_config import SentimentConfig
from lakerec.stages.base import Context
from lakerec.stages.given import ID
from lakerec.stages.labels import given_labels

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def felt(context: Context, events: DataFrame, config: SentimentConfig) -> DataFrame:
    """The events with the score of their text's label as value; null where the text has none, or there is no text."""
    task = context.config.profile.labels[config.task]
    guessed = context.lake.read(Tables.PSEUDO_LABELS).where(F.col(C.TASK) == config.task).select(ID, C.LABEL)
    labels = given_labels(context, config.task, task).unionByName(guessed)
    scores = F.create_map(*(F.lit(each) for pair in config.scores.items() for each in pair))
    scored = labels.select(ID, scores[F.col(C.LABEL)].cast("double").alias(C.VALUE)).where(F.col(C.VALUE).isNotNull())
    said = context.lake.read(Tables.BRONZE_EVENTS).dropDuplicates([C.EVENT_ID])
    texts = said.select(C.EVENT_ID, F.sha2(F.trim(F.col(C.CONTEXT)[task.field]), 256).alias(ID))
    return events.drop(C.VALUE).join(texts.join(scored, on=ID).drop(ID), on=C.EVENT_ID, how="left")
