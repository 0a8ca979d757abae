"""Personal columns, made pseudonyms or left out before anything is stored.

    text → HMAC-SHA256 with the key of LAKEREC_PSEUDONYM_KEY (RFC 2104), as 64 hex digits

Equal values give equal pseudonyms, so that one user stays one user; who lacks the key can neither undo nor repeat them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from lakerec.errors import EnvironmentProblem
from lakerec.ingest.rows import CORRUPT, OURS, RAW, quoted
from lakerec.ingest.values import trimmed
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

KEY = "LAKEREC_PSEUDONYM_KEY"
BLOCK = 64
"""Bytes of a block of SHA-256, to which HMAC pads its key."""
INNER, OUTER = f"{OURS}inner_pad", f"{OURS}outer_pad"


def check_key(table: SourceTable, where: str, environment: Mapping[str, str] | None = None) -> str:
    """The key; an empty text where the source hashes nothing.

    Raises:
        EnvironmentProblem: a column is to be hashed, and there is no key.
    """
    if "hash" not in table.personal.values():
        return ""
    key = (os.environ if environment is None else environment).get(KEY, "")
    if not key:
        raise EnvironmentProblem(f"{where}.personal needs a secret key: set the environment variable {KEY}")
    return key


def without_personal(spark: SparkSession, rows: DataFrame, table: SourceTable, where: str) -> DataFrame:
    """The rows with personal columns hashed or left out; of a row that cannot be told apart only its length is kept."""
    from pyspark.sql import functions as F

    if not table.personal:
        return rows
    length = F.format_string("%d characters, not kept: the source has personal columns", F.length(RAW))
    rows = rows.withColumn(RAW, F.when(F.col(CORRUPT), length))
    rows = rows.drop(*[name for name, how in table.personal.items() if how == "drop"])
    hashed = [name for name, how in table.personal.items() if how == "hash"]
    if not hashed:
        return rows
    # The key comes as a row, not as a literal: plans, and whatever shows or records them, have no trace of it.
    pads = spark.createDataFrame([_pads(check_key(table, where))], f"{INNER} binary, {OUTER} binary")
    keyed = rows.crossJoin(F.broadcast(pads))
    kinds = dict(rows.dtypes)
    own = [(_pseudonym(name, kinds[name]) if name in hashed else quoted(name)).alias(name) for name in rows.columns]
    return keyed.select(*own)


def _pads(key: str) -> tuple[bytearray, bytearray]:
    """The key as HMAC uses it: one block, combined with the inner and the outer constant."""
    block = key.encode()
    block = (sha256(block).digest() if len(block) > BLOCK else block).ljust(BLOCK, b"\0")
    return bytearray(byte ^ 0x36 for byte in block), bytearray(byte ^ 0x5C for byte in block)


def _pseudonym(name: str, kind: str) -> Column:
    from pyspark.sql import functions as F

    nested = kind.startswith(("array", "struct", "map"))
    text = F.to_json(quoted(name)) if nested else trimmed(quoted(name))
    inner = F.unhex(F.sha2(F.concat(F.col(INNER), F.encode(text, "UTF-8")), 256))
    return F.sha2(F.concat(F.col(OUTER), inner), 256)
