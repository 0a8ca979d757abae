"""Ways to write a path, and whether something lies there."""

from __future__ import annotations

import glob
import os
import re
from urllib.parse import unquote

from lakerec.errors import InputError

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")
ONLY_HADOOP = re.compile(r"[\[{\\]")
"""What Python's globs have not, or have with another meaning."""
GLOB = re.compile(r"[\[\]{}*?\\]")


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


def literal(name: str) -> str:
    """The name of one file as a path that stands for no other: to Spark, every path is a glob."""
    return GLOB.sub(r"\\\g<0>", name)


def told_here(path: str) -> bool:
    """Whether this machine can tell without Hadoop what lies at a path or glob."""
    return (path.startswith("file:/") or not SCHEME.match(path)) and not ONLY_HADOOP.search(path)


def lies_nothing(path: str) -> bool:
    """Whether nothing lies at a path or glob, as far as it is told here."""
    local = plain(path) if path.startswith("file:/") else path
    return told_here(path) and not os.path.exists(local) and next(glob.iglob(local), None) is None


def nothing_found(path: str, where: str) -> InputError:
    """That a source has no file."""
    return InputError(f"{where}.path: no file found at {path}, or empty ones only; put the files there or correct the path")
