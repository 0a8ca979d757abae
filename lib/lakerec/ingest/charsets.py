"""What the bytes of a text file stand for: UTF-8, or what the source declares by its option `encoding`.

UTF-16 has two orders of bytes. Files say by a mark which is theirs; of one without, the declared name or its first
character tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakerec.errors import ConfigError
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UTF8 = "UTF-8"
BIG, LITTLE, MARKED = "UTF-16BE", "UTF-16LE", "UTF-16"
"""Java's names; the last looks for the mark itself, which Spark asks for where it reads a file as a whole."""
WIDE = (BIG, LITTLE, MARKED)
UTF32 = "UTF-32"
MARKS = {b"\xff\xfe": LITTLE, b"\xfe\xff": BIG}
UTF32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
"""The first begins as that of UTF-16 does."""
LOOKED_AT = 8
"""Bytes by which UTF-16 without a mark is told."""


def check_charset(spark: SparkSession, table: SourceTable, where: str) -> str | None:
    """Java's own name of the encoding that the source declares; None: UTF-8.

    Raises:
        ConfigError: Java knows none of that name, or its lines do not end as those of ASCII or UTF-16 do.
    """
    from pyspark.errors import IllegalArgumentException

    charsets: Any = spark._jvm.java.nio.charset.Charset  # type: ignore[union-attr]
    options = table.own_options
    said = str(options.get("encoding", options.get("charset", UTF8)))
    try:
        known = charsets.isSupported(said)
    except IllegalArgumentException:  # such a name is none
        known = False
    if not known:
        raise ConfigError(
            f"{where}.options.encoding: Java knows no `{said}`; say UTF-16, ISO-8859-1, windows-1252 or the like"
        )
    charset = charsets.forName(said)
    name = str(charset.name())
    if name not in WIDE and not (charset.canEncode() and _encoded(charset, "\n") == b"\n"):
        raise ConfigError(
            f"{where}.options.encoding: `{said}` is not read: its lines end otherwise; convert the files to UTF-8"
        )
    return None if name == UTF8 else name


def _encoded(charset: Any, text: str) -> bytes:
    buffer = charset.encode(text)
    return bytes(buffer.array())[: buffer.limit()]


def charset_of(head: bytes, table: SourceTable, declared: str | None) -> str | None:
    """What a file is to be read in, by how it begins; None: UTF-8.

    Args:
        declared: of `check_charset`.
    """
    if declared not in WIDE:
        return declared
    if head[:2] in MARKS:
        return MARKED if whole(table) else MARKS[head[:2]]
    if declared != MARKED:
        return declared
    return BIG if head[:1] == b"\0" else LITTLE


def is_wide(charset: str | None) -> bool:
    """Whether the bytes of a line's end are not those of ASCII."""
    return charset in WIDE


def is_utf32(head: bytes) -> bool:
    """Whether a file begins with a mark of UTF-32."""
    return head[:4] in UTF32_MARKS


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
    return str(table.own_options.get("multiline", "")).lower() == "true"
