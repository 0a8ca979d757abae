"""Ways to write a path."""

from __future__ import annotations

import os
import re


def plain(path: str) -> str:
    """An absolute path without scheme, to compare the ways in which Spark writes one (file:/a, file:///a, /a)."""
    scheme = re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/+", path)
    return f"/{path[scheme.end() :]}" if scheme else os.path.abspath(path)
