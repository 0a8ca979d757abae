"""What of a personal value a page may show: its shape, never itself."""

from __future__ import annotations

import json
import re

PSEUDONYM = re.compile("[0-9a-f]{64}")
"""What `source.*.personal: hash` makes of a value."""
SHOWN = 12
"""Digits of a pseudonym that are shown, enough to tell users apart."""


def mask(text: str) -> str:
    """The shape of a row without its values: letters become x, digits 0; the names of a JSON object's columns stay.

    >>> mask('{"id": "Ann-17"}')
    '{"id": "xxx-00"}'
    >>> mask("Ann-17,5")
    'xxx-00,0'
    """
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if isinstance(row, dict):
        return json.dumps({name: mask(f"{value}") for name, value in row.items()}, ensure_ascii=False)
    return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))


def mask_user(user: str) -> str:
    """A user for a page: of a pseudonym the first digits, of a plain id the shape.

    >>> mask_user("ann@example.org"), mask_user("0123456789abcdef" * 4)
    ('xxx@xxxxxxx.xxx', '0123456789ab…')
    """
    return f"{user[:SHOWN]}…" if PSEUDONYM.fullmatch(user) else mask(user)
