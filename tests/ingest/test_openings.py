"""What is compressed: read, or refused whole by its name, whatever its bytes are. gzip's faults are in tests/faults."""

import gzip

import pyarrow as pa
import pytest
from lakerec.errors import InputError
from lakerec.ingest import openings
from lakerec.ingest.openings import CODECS, HEAD, Hadoop, codecs, open_all
from lakerec.ingest.read import read_source

from tests.ingest.sources import NEEDED, source

pytestmark = pytest.mark.spark
HEADER = "user,item,at,stars\n"
ROWS = "".join(f"u{n},x,2024-01-01 10:00:00,5\n" for n in range(3000))
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def zstd(text):
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


def frame(window_log, blocks):
    """Blocks in a frame that asks for a window; a block is text (raw), or a byte and how often it comes (RLE)."""
    written = b""
    for place, block in enumerate(blocks):
        kind, size, content = (0, len(block), block) if isinstance(block, bytes) else (1, block[1], block[0])
        written += (size << 3 | kind << 1 | (place == len(blocks) - 1)).to_bytes(3, "little") + content
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3]) + written


def refusals(spark, folder, files, **named):
    """Fault and raw text of each file, null where it is read."""
    for name, content in files.items():
        folder.joinpath(name).write_bytes(content)
    found = open_all(spark, source(folder, **named), [str(folder / name) for name in files], "source.events")
    return {one.file.rpartition("/")[2]: (one.fault, one.raw) if one.fault else None for one in found}


@pytest.mark.parametrize("extension", ["zst", "zstd"])
@pytest.mark.parametrize("format_", ["csv", "json"])
def test_zstd_is_read_in_one_frame_or_many(spark, tmp_path, extension, format_):
    lines = [f'{{"user": "u{n}", "item": "x", "at": "2024-01-01", "stars": {n}}}\n' for n in range(3)]
    begin, *more = [HEADER, *[f"u{n},x,2024-01-01,{n}\n" for n in range(3)]] if format_ == "csv" else lines
    file = tmp_path / f"1.{format_}.{extension}"
    file.write_bytes(b"".join(map(zstd, [begin, *more])) + frame(23, [b"\n"]))
    read = read_source(spark, source(file, format=format_), [str(file)], "source.events", NEEDED)
    assert [row.user for row in read.collect()] == ["u0", "u1", "u2"]


def test_zstd_of_all_levels_is_read(spark, tmp_path):
    for level in (-5, 1, 19, 22):
        file = tmp_path / f"{level}.csv.zst"
        file.write_bytes(pa.Codec("zstd", compression_level=level).compress((HEADER + ROWS).encode(), asbytes=True))
        read = read_source(spark, source(tmp_path), [str(file)], "source.events", NEEDED)
        assert read.selectExpr("count(*)", "count(distinct user)").first() == (3000, 3000)


def test_damaged_files_are_refused_by_name_and_the_others_are_read(spark, tmp_path):
    whole = zstd(HEADER + ROWS)
    streamed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(streamed, "zstd") as stream:
        stream.write((HEADER + ROWS).encode())
    window = bytearray(streamed.getvalue())
    window[5] = (27 - 10) << 3  # as `zstd --long=27` asks for
    files = {
        "1.csv.zst": whole, "2.csv.zst": whole[:-9], "3.csv.zst": b"this is no zstd", "4.csv.zst": whole + b"more",
        "5.csv.zst": frame(31, [b"x"] * 2), "7.csv.zst": whole[:6], "8.csv.zst": window,
        "9.csv.zst": SKIPPABLE + whole, "1.csv.zstd": SKIPPABLE + whole, "2.csv.zstd": whole[:-9], "8.csv.zstd": window,
    }  # fmt: skip
    found = refusals(spark, tmp_path, files)
    assert {name for name, fault in found.items() if fault is None} == {"1.csv.zst", "1.csv.zstd", "8.csv.zstd"}
    assert {fault[0] for fault in found.values() if fault is not None} == {"unreadable_file"}
    advice = "; if the file is whole, name it .zstd, or compress it without --long"
    assert found["2.csv.zst"][1] == f"java.io.IOException: Not enough input bytes{advice}"
    assert "Window size too large" in found["8.csv.zst"][1] and found["8.csv.zst"][1].endswith(advice)
    assert advice not in found["2.csv.zstd"][1]


def test_damage_of_any_kind_ends_in_a_refusal(spark, tmp_path):
    """Each byte of a small file turned in each direction: what Java throws is not always an IOException."""
    whole = frame(20, [HEADER.encode()]) + zstd(ROWS)
    hadoop, table, file = Hadoop(spark), source(tmp_path), tmp_path / "1.csv.zst"
    faults = set()
    for place in range(2 * 120):
        damaged = bytearray(whole)
        damaged[place // 2] ^= (0xFF, 0x04)[place % 2]
        file.write_bytes(damaged)
        faults.add(openings._open(hadoop, table, str(file), "source.events").fault)
    assert faults <= {None, "unreadable_file", "compressed_ratio", "file_too_large"}


def test_a_small_file_that_would_become_huge_is_refused_before_it_is_read(spark, tmp_path):
    bomb = frame(17, [HEADER.encode(), *[(b"a", 1 << 17)] * 8000])  # 1 GB of 32 KB
    assert len(bomb) < 40_000
    found = refusals(spark, tmp_path, {"1.csv.zst": bomb, "2.csv.zstd": bomb, "3.csv.zst": zstd(HEADER)})
    shown = ("compressed_ratio", (HEADER + "a" * HEAD)[:4000])
    assert found == {"1.csv.zst": shown, "2.csv.zstd": shown, "3.csv.zst": None}


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_file_with_a_line_that_no_task_could_hold_is_refused_by_name(spark, tmp_path, monkeypatch, format_):
    monkeypatch.setattr(openings, "LINE_LIMIT", 1 << 22)
    half, lines = openings.LINE_LIMIT // 2, (HEADER + ROWS).encode()
    long = {f"{place}.csv": lines * place + b"z" * 2 * half + b"\n" + lines for place in (0, 1, 30, 40)}
    fine = {"5.csv": lines * 2 + b"z" * (half - len(lines)) + b"\n" + lines, "6.csv": lines * 100, "7.csv": lines * 2}
    packed = {f"{name}.zst": zstd(text.decode()) for name, text in {"1.csv": long["1.csv"], "6.csv": fine["6.csv"]}.items()}
    found = refusals(spark, tmp_path, {**long, **fine, **packed}, format=format_, limits={"compression_ratio": 10**6})
    assert {name for name, fault in found.items() if fault} == {*long, "1.csv.zst"}
    assert {fault[0] for fault in found.values() if fault} == {"file_too_large"}


def test_lines_that_end_as_the_source_says_are_not_endless(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(openings, "LINE_LIMIT", 4 * HEAD)
    files = {"1": b"ann,x;" * 4 * HEAD, "2": b"ann,x;" + b"z" * 4 * HEAD + b";"}
    found = refusals(spark, tmp_path, files, options={"lineSep": ";"})
    assert [fault and fault[0] for fault in found.values()] == [None, "file_too_large"]


def test_what_is_compressed_may_become_more_than_two_gigabytes(spark, tmp_path):
    """Hadoop's skip keeps 32 bits of what it is asked: to it, files above 10 MB were damaged, at 200 to 1."""
    whole = gzip.compress((HEADER + ROWS).encode())
    limits = {"compression_ratio": (1 << 31) // len(whole) + 1}
    found = refusals(spark, tmp_path, {"1.csv.gz": whole, "2.csv.gz": whole[:-9]}, limits=limits)
    assert [fault and fault[0] for fault in found.values()] == [None, "unreadable_file"]


def test_where_spark_lacks_what_reads_zst_one_line_says_so(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(openings, "ZST", "no.such.Codec")
    assert "no.such" not in codecs(spark)
    with pytest.raises(
        InputError, match=r"1\.csv\.zst: this Spark has no library for \.zst; name such files \.zstd, or use"
    ):
        refusals(spark, tmp_path, {"1.csv.zst": zstd(HEADER)})


def test_the_codecs_of_the_session_stay(spark):
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    configuration.set(CODECS, "org.apache.hadoop.io.compress.GzipCodec")
    try:
        assert codecs(spark) == f"org.apache.hadoop.io.compress.GzipCodec,{openings.ZSTD},{openings.ZST}"
    finally:
        configuration.unset(CODECS)
