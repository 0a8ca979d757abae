"""Ways to write a path."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote


def plain(path: str) -> str:
    """An absolute path without scheme, to compare the ways in which Spark writes one (file:/a, file:///a, /a)."""
    scheme = re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/+", path)
    return f"/{path[scheme.end() :]}" if scheme else os.path.abspath(path)


def one_slash(name: str) -> str:
    """A listed file without the slashes that only some readers write after `file:`."""
    return re.sub("^file:/+", "file:/", name)


def decoded(name: str) -> str:
    """A listed file as it is named, of the ways in which readers list one (file:///a%20b, file:/a b)."""
    return unquote(one_slash(name))
