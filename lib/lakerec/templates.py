"""Templates such as `Brand: {attributes.brand}`: what a language model reads of an item, field by field."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator

from lakerec.columns import Columns as C
from lakerec.errors import nearest

FIELDS = (C.TITLE, C.CATEGORIES, C.DESCRIPTION)
ATTRIBUTE = f"{C.ATTRIBUTES}."
"""What stands before the name of an attribute."""


def pieces(template: str) -> list[tuple[str, str | None]]:
    """Each field of a template with the text before it; the text after the last one has none.

    Raises:
        ValueError: a brace stands alone, a field is unknown or wants a format, or there is none.

    >>> pieces("by {attributes.brand}!")
    [('by ', 'attributes.brand'), ('!', None)]
    """
    allowed = f"fields are {', '.join(FIELDS)} and {ATTRIBUTE}NAME"
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"`{template}`: {str(error).lower()}; {allowed}, each in braces") from None
    found = [(text, name) for text, name, _, _ in parsed]
    names = [name for _, name in found if name is not None]
    for name in names:
        if name not in FIELDS and (not name.startswith(ATTRIBUTE) or name == ATTRIBUTE):
            raise ValueError(f"`{template}`: unknown field `{name}`{nearest(name, FIELDS)}; {allowed}")
    if any(form or conversion for _, _, form, conversion in parsed):
        raise ValueError(f"`{template}`: a field is taken as it stands, without a format or `!`; {allowed}")
    if not names:
        raise ValueError(f"`{template}` names no field, so it says the same of every item; {allowed}")
    return found


def _sound(template: str) -> str:
    pieces(template)
    return template


Template = Annotated[str, AfterValidator(_sound)]
"""A template in a config."""
