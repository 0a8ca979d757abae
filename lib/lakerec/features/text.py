"""silver/items → gold/item_text: what a language model reads of an item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def item_text(items: DataFrame, max_description: int) -> DataFrame:
    """item_id, text (`title. category, category. description`), text_hash (SHA-256 of the text)."""
    categories = F.concat_ws(", ", C.CATEGORIES)
    description = F.col(C.DESCRIPTION).substr(1, max_description)
    parts = F.filter(F.array(F.col(C.TITLE), categories, description), lambda part: F.length(part) > 0)
    text = F.array_join(parts, ". ")
    return items.select(C.ITEM_ID, text.alias(C.TEXT), F.sha2(text, 256).alias(C.TEXT_HASH))
