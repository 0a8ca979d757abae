"""silver/items → gold/item_text: what a language model reads of an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.templates import ATTRIBUTE, pieces

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def item_text(items: DataFrame, templates: Sequence[str], max_description: int) -> DataFrame:
    """item_id, text (its parts joined by `. `), text_hash (SHA-256 of the text).

    Args:
        templates: a part each, as of `templates.pieces`; one of which a field is empty is left out.
        max_description: characters of a description that enter the text.
    """
    text = told(templates, max_description)
    return items.select(C.ITEM_ID, text.alias(C.TEXT), F.sha2(text, 256).alias(C.TEXT_HASH))


def told(templates: Sequence[str], max_description: int, between: str = ". ") -> Column:
    """An item's parts, joined; empty where none has all its fields."""
    return F.array_join(F.array_compact(F.array(*[_part(template, max_description) for template in templates])), between)


def _part(template: str, max_description: int) -> Column:
    """The template with an item's values; null where one of them is empty."""
    values = []
    for before, name in pieces(template):
        values.append(F.lit(before))
        if name is not None:
            field = _field(name, max_description)
            values.append(F.when(F.length(field) > 0, field))
    return F.concat(*values)  # null as soon as a part of it is


def _field(name: str, max_description: int) -> Column:
    if name == C.CATEGORIES:
        return F.concat_ws(", ", name)
    if name == C.DESCRIPTION:
        return F.col(name).substr(1, max_description)
    attribute = name.startswith(ATTRIBUTE)
    return F.col(C.ATTRIBUTES)[name.removeprefix(ATTRIBUTE)] if attribute else F.col(name)
