"""bronze/items and the events' own titles → silver/items; bronze/users → silver/users. One row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


DESCRIBED = (C.TITLE, C.DESCRIPTION, C.CATEGORIES, C.ATTRIBUTES)


def latest(rows: DataFrame, key: str) -> DataFrame:
    """One row for each key, with the newest value of each column that is not empty: by batch, then by file and place.

    A newer row that lacks a column does not hide what an older one says in it.
    """
    place = F.struct(C.INGESTED_AT, C.SOURCE_FILE, C.SOURCE_ROW, C.DIGEST)
    values = [(name, F.col(name) != "" if kind == "string" else F.size(name) > 0) for name, kind in rows.dtypes
              if name in DESCRIBED]  # fmt: skip
    return rows.groupBy(key).agg(*[F.max_by(name, F.when(filled, place)).alias(name) for name, filled in values])


def titles_in(events: DataFrame) -> DataFrame:
    """item_id, title (empty: none), n: how many of an item's events carry a title, and how many carry none."""
    said = F.coalesce(F.trim(F.col(C.CONTEXT)[C.TITLE]), F.lit(""))
    return events.groupBy(C.ITEM_ID, said.alias(C.TITLE)).agg(F.count("*").alias(C.N))


def add_titles(titles: DataFrame, more: DataFrame) -> DataFrame:
    """Rows of silver/item_titles that `more` changes, with their new counts. Both as of `titles_in`."""
    old = titles.select(C.ITEM_ID, C.TITLE, F.col(C.N).alias("_old"))
    joined = more.join(old, on=[C.ITEM_ID, C.TITLE], how="left")
    return joined.select(C.ITEM_ID, C.TITLE, (F.col(C.N) + F.coalesce("_old", F.lit(0))).alias(C.N))


def commonest(titles: DataFrame) -> DataFrame:
    """item_id, title: the title that most of an item's events carry (then the first by alphabet); null without any."""
    by_item = Window.partitionBy(C.ITEM_ID).orderBy(F.col(C.TITLE) == "", F.col(C.N).desc(), F.col(C.TITLE))
    ranked = titles.withColumn("_place", F.row_number().over(by_item)).where(F.col("_place") == 1)
    return ranked.select(C.ITEM_ID, F.when(F.col(C.TITLE) != "", F.col(C.TITLE)).alias(C.TITLE))


def clean_items(bronze_items: DataFrame, titles: DataFrame) -> DataFrame:
    """Rows of silver/items: every described item and every item of an event; the id stands in for a missing title.

    Args:
        titles: as of `titles_in`, over all events.
    """
    described = latest(bronze_items, C.ITEM_ID)
    titled = commonest(titles).withColumnRenamed(C.TITLE, "_title")
    joined = described.join(titled, on=C.ITEM_ID, how="full_outer")
    return joined.select(
        C.ITEM_ID,
        F.coalesce(F.col(C.TITLE), F.col("_title"), F.col(C.ITEM_ID)).alias(C.TITLE),
        C.DESCRIPTION,
        C.CATEGORIES,
        C.ATTRIBUTES,
    )


def clean_users(bronze_users: DataFrame) -> DataFrame:
    """Rows of silver/users."""
    return latest(bronze_users, C.USER_ID).select(C.USER_ID, C.ATTRIBUTES)
