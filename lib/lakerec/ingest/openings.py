"""How text files begin, looked at before Spark reads them: what is no table, or would not fit in memory, is told apart.

    file → its first KBs (decompressed) → Opening: first line, or the fault for which the whole file is refused

Files are opened through Hadoop on the driver, wherever they lie, several at a time; a compressed one is run through to its
end once, in the JVM, without keeping anything: that shows a cut file, and a small one that would become a huge one.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakerec.errors import InputError
from lakerec.ingest.rows import RAW_LIMIT
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HTML_PAGE, INVALID_UTF8 = "html_page", "invalid_utf8"
UNREADABLE, TOO_LARGE, RATIO = "unreadable_file", "file_too_large", "compressed_ratio"
HEAD = 1 << 13
"""Bytes looked at, as long as a line ends within them."""
STEP = 1 << 20
LINE_LIMIT = 1 << 26
"""A first line longer than this is no line."""
HARMLESS = 1 << 24
"""Bytes that a compressed file may become in any case."""
THREADS = 16
MARKUP = (b"<!doctype html", b"<html", b"<head", b"<?xml")
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
ZSTANDARD = "org.apache.parquet.hadoop.codec.ZstandardCodec"
"""Reads .zstd without Hadoop's native library, which Spark from PyPI lacks."""


@dataclass(frozen=True)
class Opening:
    """How a file begins."""

    file: str
    line: bytes | None = None
    """First line that is not blank, up to HEAD bytes of it; None where the file has none."""
    fault: str | None = None
    """Why the whole file is refused."""
    raw: str = ""
    """Its beginning, as the quarantine shows it."""


class Hadoop:
    """Hadoop's way to files, with the codecs of the session."""

    def __init__(self, spark: SparkSession):
        jvm: Any = spark._jvm
        self.configuration = spark._jsparkSession.sessionState().newHadoopConf()
        self.configuration.set("io.compression.codecs", codecs(spark))
        self.codecs = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self.configuration)
        self.path = jvm.org.apache.hadoop.fs.Path


def codecs(spark: SparkSession) -> str:
    """Compression codecs by class name: those that the session declares, and ours."""
    declared = spark._jsparkSession.sessionState().newHadoopConf().get("io.compression.codecs")
    return f"{declared},{ZSTANDARD}" if declared else ZSTANDARD


def open_all(spark: SparkSession, table: SourceTable, files: list[str], where: str) -> list[Opening]:
    """The openings of the files, in their order.

    Raises:
        InputError: a file is gone, may not be read, or is compressed in a way that this Spark cannot read.
    """
    hadoop = Hadoop(spark)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda file: _open(hadoop, table, file, where), files))


def _open(hadoop: Hadoop, table: SourceTable, file: str, where: str) -> Opening:
    from py4j.protocol import Py4JJavaError

    path = hadoop.path(file)
    try:
        system = path.getFileSystem(hadoop.configuration)
        codec, stream = hadoop.codecs.getCodec(path), system.open(path)
    except Py4JJavaError as error:
        raise InputError(f"{where}.path: {file} cannot be opened: {_said(error)}") from None
    try:
        source = stream if codec is None else codec.createInputStream(stream)
        head = _head(source)
        if codec is not None:
            most = max(HARMLESS, system.getFileStatus(path).getLen() * table.limits.compression_ratio)
            # The stream's own skip: that of commons-io lets all threads write to one buffer, which breaks gzip's checksum.
            if len(head) + source.skip(most) >= most:
                return Opening(file, fault=RATIO, raw=_text(head))
            stream.seek(0)
            source = codec.createInputStream(stream)
        if len(head) >= HEAD and b"\n" not in head and not _line_ends(source):
            return Opening(file, fault=TOO_LARGE, raw=_text(head))
        return _judged(table, file, head)
    except Py4JJavaError as error:
        if "native zStandard" in str(error.java_exception):
            raise InputError(
                f"{where}.path: {file}: this Spark has no native library for .zst; name such files .zstd, or use gzip"
            ) from None
        if codec is None:
            raise InputError(f"{where}.path: {file} cannot be read: {_said(error)}") from None
        return Opening(file, fault=UNREADABLE, raw=_said(error))
    finally:
        stream.close()


def _head(source: Any) -> bytes:
    """First bytes of a stream, past blank lines."""
    head = bytes(source.readNBytes(HEAD))
    while len(head) >= HEAD and not head.strip():
        head = bytes(source.readNBytes(HEAD))
    return head


def _line_ends(source: Any) -> bool:
    """Whether a line ends within what a line may have; nothing is kept of it."""
    for _ in range(LINE_LIMIT // STEP):
        step = bytes(source.readNBytes(STEP))
        if len(step) < STEP or b"\n" in step or b"\r" in step:
            return True
    return False


def _judged(table: SourceTable, file: str, head: bytes) -> Opening:
    """The opening of a file that could be read so far."""
    plain = head.removeprefix(UTF8_MARK)
    if plain.lstrip().lower().startswith(MARKUP):
        return Opening(file, fault=HTML_PAGE, raw=_text(head))
    if head.startswith(UTF16_MARKS) and not {"encoding", "charset"} & {name.lower() for name in table.options}:
        return Opening(file, fault=INVALID_UTF8, raw=_text(head))
    line = re.sub(rb"\A(?:[ \t\r]*\n)+", b"", plain).partition(b"\n")[0].rstrip(b"\r")
    return Opening(file, line=line if line.strip() else None, raw=_text(head))


def _text(head: bytes) -> str:
    return head[:RAW_LIMIT].decode("utf-8", "replace")


def _said(error: Any) -> str:
    """What Java says, in one line."""
    return str(error.java_exception).splitlines()[0]
