"""How text files begin, looked at before Spark reads them: what is no table, or would not fit in memory, is told apart.

    file → its first KBs (decompressed) → Opening: first line, or the fault for which the whole file is refused

Files are opened through Hadoop on the driver, wherever they lie, several at a time; a compressed one is run through to its
end once, in the JVM, without keeping anything: that shows a cut file, and a small one that would become a huge one. Lines
that no task could hold are found by looking, at places LINE_LIMIT / 2 apart, how far the end of a line is: mostly near.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakerec.errors import InputError
from lakerec.ingest.charsets import UTF32, charset_of, check_charset, is_utf32, utf16_unsaid, whole
from lakerec.ingest.rows import RAW_LIMIT
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HTML_PAGE, INVALID_UTF8 = "html_page", "invalid_utf8"
JSON_DOCUMENT, JSON_LINES = "json_document", "json_lines"
UNREADABLE, TOO_LARGE, RATIO = "unreadable_file", "file_too_large", "compressed_ratio"
HEAD = 1 << 13
"""Bytes looked at, as long as a line ends within them."""
STEP = 1 << 20
"""Bytes read at once; as many are looked at of a JSON document, for what follows it, and of a long first line of CSV."""
GLANCE = 1 << 12
"""Bytes in which a line mostly ends; what Java sends of more comes in two parts, the second 40 ms late."""
LINE_LIMIT = 1 << 26
"""A line longer than this is no line; of others than the first, some from half as much on."""
HARMLESS = 1 << 24
"""Bytes that a compressed file may become in any case."""
THREADS = 16
MARKUP = ("<!doctype html", "<html", "<head", "<?xml")
MARK = "\ufeff"
BLANK_LINES = re.compile(r"\A(?:[ \t\r]*\n)+")
ENDS = re.compile(rb"[\r\n]")
BRACKETS = re.compile(r"[\[{][\s\[{]*")
CODECS = "io.compression.codecs"
ZSTD, ZST = "org.apache.parquet.hadoop.codec.ZstandardCodec", "io.airlift.compress.zstd.ZstdCodec"
"""Read .zstd and .zst without Hadoop's native library, which Spark from PyPI lacks: parts of Parquet and ORC.

The second is Java throughout. It takes frames one after the other, but no skippable ones, and windows up to 8 MiB: those of
all levels up to 19. The first takes windows up to 128 MiB, as zstd does unless told.
"""
ZST_ADVICE = "; if the file is whole, name it .zstd, or compress it without --long"


@dataclass(frozen=True)
class Opening:
    """How a file begins."""

    file: str
    line: str | None = None
    """First line that is neither blank nor a comment, as far as it was looked at; None where the file has none."""
    cut: bool = False
    """Whether the line may go on."""
    fault: str | None = None
    """Why the whole file is refused."""
    raw: str = ""
    """Its beginning, as the quarantine shows it."""
    remedy: str = ""
    """What the file is, and what to do for it to be read; empty where nothing would help."""
    charset: str | None = None
    """What it is to be read in; None: UTF-8."""


class Hadoop:
    """Hadoop's way to files, with the codecs of the session."""

    def __init__(self, spark: SparkSession):
        jvm: Any = spark._jvm
        self.configuration = spark._jsparkSession.sessionState().newHadoopConf()
        self.configuration.set(CODECS, codecs(spark))
        self.codecs = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self.configuration)
        self.path, self._string = jvm.org.apache.hadoop.fs.Path, jvm.java.lang.String

    def decoded(self, text: bytes, charset: str) -> str:
        """As Java reads it, without the mark of the order of bytes: U+FFFD stands for what is no text."""
        return str(self._string(text, charset)).removeprefix(MARK)


def codecs(spark: SparkSession) -> str:
    """Compression codecs by class name: those that the session declares, and ours. Of two for one extension the last counts.

    Hadoop adds them to those that it finds on its own.
    """
    jvm: Any = spark._jvm
    configuration = spark._jsparkSession.sessionState().newHadoopConf()
    native = jvm.org.apache.hadoop.io.compress.ZStandardCodec.isNativeCodeLoaded()
    ours = [name for name in ([ZSTD] if native else [ZSTD, ZST]) if configuration.getClassByNameOrNull(name) is not None]
    return ",".join(filter(None, [configuration.get(CODECS), *ours]))


def open_all(spark: SparkSession, table: SourceTable, files: list[str], where: str) -> list[Opening]:
    """The openings of the files, in their order.

    Raises:
        ConfigError: there is no such encoding as the source declares, or it is none that is read.
        InputError: a file is gone, may not be read, or is compressed in a way that this Spark cannot read.
    """
    declared, hadoop = check_charset(spark, table, where), Hadoop(spark)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda file: _open(hadoop, table, file, where, declared), files))


def _open(hadoop: Hadoop, table: SourceTable, file: str, where: str, declared: str | None = None) -> Opening:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    path = hadoop.path(file)
    try:
        system = path.getFileSystem(hadoop.configuration)
        codec, stream = hadoop.codecs.getCodec(path), system.open(path)
    except Py4JJavaError as error:
        raise InputError(f"{where}.path: {file} cannot be opened: {_said(error)}") from None
    try:
        source = stream if codec is None else codec.createInputStream(stream)
        head, length = _head(table, source), system.getFileStatus(path).getLen()
        if codec is not None:
            most = max(HARMLESS, length * table.limits.compression_ratio)
            length, endless = _run_through(table, source, len(head), most)
            if length >= most:
                return Opening(file, fault=RATIO, raw=_text(head)[:RAW_LIMIT])
        else:
            endless = _is_endless(table, stream, head, length)
        if endless or (_is_document(table) and length > table.limits.document_bytes):
            return Opening(file, fault=TOO_LARGE, raw=_text(head)[:RAW_LIMIT])
        return _judged(hadoop, table, file, head, declared)
    except (Py4JJavaError, PySparkException) as error:  # the latter are ArithmeticException and the like, of damaged bytes
        if "native zStandard" in _said(error):
            raise InputError(
                f"{where}.path: {file}: this Spark has no library for .zst; name such files .zstd, or use gzip"
            ) from None
        if codec is None:
            raise InputError(f"{where}.path: {file} cannot be read: {_said(error)}") from None
        advice = ZST_ADVICE if codec.getClass().getName() == ZST else ""
        return Opening(file, fault=UNREADABLE, raw=_said(error) + advice)
    finally:
        stream.close()


def _head(table: SourceTable, source: Any) -> bytes:
    """First bytes of a stream, past blank lines."""
    head = bytes(source.readNBytes(HEAD))
    while len(head) >= HEAD and not head.strip():
        head = bytes(source.readNBytes(HEAD))
    if len(head) >= HEAD and _is_document(table):
        head += bytes(source.readNBytes(max(0, min(STEP, table.limits.document_bytes) - HEAD)))
    if len(head) >= HEAD and table.format == "csv" and not ENDS.search(head):
        head += bytes(source.readNBytes(STEP - HEAD))
    return head


def _is_document(table: SourceTable) -> bool:
    """Whether each file of the source is to be one JSON document."""
    return table.format == "json" and whole(table)


def _is_endless(table: SourceTable, stream: Any, head: bytes, length: int) -> bool:
    """Whether a file has a line that is longer than a task can be asked to hold.

    Args:
        stream: of a file that is not compressed, past `head`.
        length: its bytes.
    """
    if _is_document(table):
        return False
    if len(head) >= HEAD and not _ends(table).search(head) and not _looked_for_end(table, stream, LINE_LIMIT)[1]:
        return True
    for place in range(LINE_LIMIT // 2, length, LINE_LIMIT // 2):
        stream.seek(place)
        if not _looked_for_end(table, stream, LINE_LIMIT // 2)[1]:
            return True
    return False


def _run_through(table: SourceTable, source: Any, done: int, most: int) -> tuple[int, bool]:
    """Bytes of a compressed file, as far as `most`, and whether one of its lines is longer than a task can hold.

    Args:
        source: its stream, past `done` bytes.
    """
    endless, looking = False, not _is_document(table)
    while done < most:
        if looking and not endless:
            read, ended = _looked_for_end(table, source, LINE_LIMIT // 2)
            done, endless = done + read, not ended
        # The stream's own skip: that of commons-io lets all threads write to one buffer, which breaks gzip's checksum.
        # Hadoop's keeps 32 bits of what it is asked.
        skipped = source.skip(max(1, min(LINE_LIMIT // 2, most - done)))
        if skipped <= 0:
            break
        done += skipped
    return done, endless


def _looked_for_end(table: SourceTable, source: Any, most: int) -> tuple[int, bool]:
    """Bytes of a stream read until a line ends, but `most` at most, and whether one ended, or the stream did."""
    ends, read = _ends(table), 0
    while read < most:
        asked = min(STEP if read else GLANCE, most - read)
        found = bytes(source.readNBytes(asked))
        read += len(found)
        if len(found) < asked or ends.search(found):
            return read, True
    return read, False


def _ends(table: SourceTable) -> re.Pattern[bytes]:
    """Bytes with which a line may end."""
    return re.compile(b"[\r\n" + re.escape(str(table.own_options.get("linesep", "")).encode()) + b"]")


def _judged(hadoop: Hadoop, table: SourceTable, file: str, head: bytes, declared: str | None) -> Opening:
    """The opening of a file that could be read so far."""
    if is_utf32(head):
        return _misread(file, INVALID_UTF8, hadoop.decoded(head, UTF32), "is UTF-32: convert it to UTF-8")
    charset, unsaid = charset_of(head, table, declared), utf16_unsaid(head)
    if charset is None and unsaid is not None:
        return _misread(file, INVALID_UTF8, hadoop.decoded(head, unsaid), "is UTF-16: set options.encoding to UTF-16")
    text = _text(head) if charset is None else hadoop.decoded(head, charset)
    if text.lstrip().lower().startswith(MARKUP):
        return Opening(file, fault=HTML_PAGE, raw=text[:RAW_LIMIT])
    text = BLANK_LINES.sub("", text)
    if table.format == "csv":
        first, ended, _ = _past_comments(table, text).partition("\n")
        cut = not ended and len(head) >= HEAD
        return Opening(
            file, first.rstrip("\r") if first.strip() or cut else None, cut, raw=text[:RAW_LIMIT], charset=charset
        )
    line = text.partition("\n")[0][:HEAD].rstrip("\r")
    if table.format == "json":
        if whole(table) and _is_lines(text):
            return _misread(file, JSON_LINES, text, "holds a JSON document a line: leave options.multiline out")
        if not whole(table) and _begins_document(text):
            return _misread(file, JSON_DOCUMENT, text, "is one JSON document over many lines: set options.multiline to true")
    return Opening(file, line=line if line.strip() else None, raw=text[:RAW_LIMIT], charset=charset)


def _past_comments(table: SourceTable, text: str) -> str:
    """What Spark takes for the header, and all behind it."""
    comment = str(table.own_options.get("comment", ""))
    while comment and text.startswith(comment):
        text = BLANK_LINES.sub("", text.partition("\n")[2])
    return text


def _misread(file: str, fault: str, text: str, remedy: str) -> Opening:
    """A file that another config, or another encoding, would let be read."""
    return Opening(file, fault=fault, raw=f"{remedy}\n{text}"[:RAW_LIMIT], remedy=remedy)


def _begins_document(text: str) -> bool:
    """Whether the first line opens what a later one closes: `[`, `[{`, `[{…},`, or `{` before what a document goes on with.

    A line that only the end of `text` cuts may go on and close what it opens.
    """
    first, ended, rest = text.partition("\n")
    first = first.strip()
    if first == "{":
        return not rest.lstrip().startswith(("{", "["))
    return BRACKETS.fullmatch(first) is not None or (bool(ended) and first.startswith("[") and first.endswith(","))


def _is_lines(text: str) -> bool:
    """Whether something follows the first document, which is all that Spark would read."""
    text = text.lstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return bool(text[end:].strip())


def _text(head: bytes) -> str:
    return head.decode("utf-8", "replace").removeprefix(MARK)


def _said(error: Exception) -> str:
    """What Java says, in one line that begins with its class: bronze/quarantine has it."""
    return str(getattr(error, "java_exception", error)).splitlines()[0]
