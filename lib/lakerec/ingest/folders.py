"""Folders called `key=value`, whose keys are columns of the files within: Spark reads those together that lie alike.

Of files that lie otherwise than the rest, in one read, it leaves some out without a word and fails at others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lakerec.ingest.paths import plain
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql.types import StructField

Folders = tuple[str, ...]
"""Where the first of a file's folders `key=value` lies, and the keys; empty where it has none."""


def folders_of(table: SourceTable, file: str) -> Folders:
    """The folders of a file below the source's path, as Spark takes them: the last that follow one another."""
    path, name = plain(table.path).rstrip("/") + "/", plain(file)
    if not name.startswith(path):
        return ()
    parts = name.removeprefix(path).split("/")[:-1]
    if any("=" in part and not all(part.split("=", 1)) for part in parts):
        return ()  # a key or a value that is empty is none to Spark, but an error
    while parts and "=" not in parts[-1]:
        parts.pop()
    first = len(parts)
    while first and "=" in parts[first - 1]:
        first -= 1
    keys = [unquote(part.partition("=")[0]) for part in parts[first:]]
    return ("/".join(parts[:first]), *keys) if keys else ()


def by_folders(table: SourceTable, files: Sequence[str]) -> dict[Folders, list[str]]:
    """The files that Spark can read together."""
    groups: dict[Folders, list[str]] = {}
    for file in files:
        groups.setdefault(folders_of(table, file), []).append(file)
    return groups


def within(fields: Iterable[StructField], folders: Folders) -> list[StructField]:
    """The fields but those whose values the folders say."""
    keys = {key.lower() for key in folders[1:]}
    return [field for field in fields if field.name.lower() not in keys]
