"""What the bytes of a text file stand for: UTF-8, or what the source declares by its option `encoding`.

UTF-16 has two orders of bytes. Files say by a mark which is theirs; of one without, the declared name or its first
character tells.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakerec.errors import ConfigError
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UTF8 = "UTF8"
BIG, LITTLE, MARKED = "UTF-16BE", "UTF-16LE", "UTF-16"
"""Java's names; the last looks for the mark itself, which Spark asks for where it reads a file as a whole."""
MARKS = {b"\xff\xfe": LITTLE, b"\xfe\xff": BIG}
LOOKED_AT = 8
"""Bytes by which UTF-16 without a mark is told."""


def declared(table: SourceTable) -> str | None:
    """The encoding of the source's files; None: UTF-8."""
    options = {name.lower(): str(value) for name, value in table.options.items()}
    name = options.get("encoding", options.get("charset", UTF8))
    return None if _plain(name) == UTF8 else name


def check_charset(spark: SparkSession, table: SourceTable, where: str) -> None:
    """Java knows the declared encoding.

    Raises:
        ConfigError: it does not.
    """
    from pyspark.errors import IllegalArgumentException

    jvm: Any = spark._jvm
    name = declared(table)
    if name is None:
        return
    try:
        known = jvm.java.nio.charset.Charset.isSupported(name)
    except IllegalArgumentException:  # such a name is none
        known = False
    if not known:
        raise ConfigError(
            f"{where}.options.encoding: Java knows no `{name}`; say UTF-16, ISO-8859-1, windows-1252 or the like"
        )


def charset_of(head: bytes, table: SourceTable) -> str | None:
    """What a file is to be read in, by how it begins; None: UTF-8."""
    name = declared(table)
    if name is None or not _plain(name).startswith("UTF16"):
        return name
    if head[:2] in MARKS:
        return MARKED if whole(table) else MARKS[head[:2]]
    if _plain(name) in (_plain(BIG), _plain(LITTLE)):
        return BIG if _plain(name) == _plain(BIG) else LITTLE
    return BIG if head[:1] == b"\0" else LITTLE


def is_wide(charset: str | None) -> bool:
    """Whether the bytes of a line's end are not those of ASCII."""
    return charset in (BIG, LITTLE, MARKED)


def utf16_unsaid(head: bytes) -> str | None:
    """The order of bytes where a file that is to be UTF-8 begins as UTF-16 does: with its mark, or every other byte zero."""
    if head[:2] in MARKS:
        return MARKS[head[:2]]
    first, second = head[:LOOKED_AT:2], head[1:LOOKED_AT:2]
    if len(head) < LOOKED_AT or any(first) == any(second):
        return None
    return LITTLE if all(first) else BIG if all(second) else None


def whole(table: SourceTable) -> bool:
    """Whether Spark reads each file as a whole: JSON documents, and CSV whose values hold line breaks."""
    return {name.lower(): str(value) for name, value in table.options.items()}.get("multiline", "").lower() == "true"


def _plain(name: str) -> str:
    return re.sub("[-_]", "", name).upper()
