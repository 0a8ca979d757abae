"""What reading adds to the columns of the files, named once, and how columns are named to Spark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import StructType

OURS = "__lakerec_"
"""How the names of columns begin that stand beside those of the files, which may have any other (Splunk's `_raw`)."""
FILE, ROW, RAW, CORRUPT = f"{OURS}file", f"{OURS}row", f"{OURS}raw", f"{OURS}corrupt"
CORRUPT_RECORD = f"{OURS}corrupt_record"
"""What Spark's readers of text call a row that they cannot read."""
FAULTS = f"{OURS}faults"
"""Reasons against a row or file that could not be read as it should; null for all others."""
DECLARED, TAGGED, DROP = f"{OURS}declared", f"{OURS}tagged", f"{OURS}drop"
"""What `fields` and `rules` say of a row: reasons against it, its tags, and why it is left out. Absent where none are."""
OWN = (FILE, ROW, RAW, CORRUPT, FAULTS, DECLARED, TAGGED, DROP)
MALFORMED = "malformed_row"
RAW_LIMIT = 4000
"""Characters of a refused row that are kept."""


def quoted(name: str) -> Column:
    """A column by its literal name, whatever characters it has."""
    from pyspark.sql import functions as F

    return F.col(f"`{name.replace('`', '``')}`")


def held(checks: Sequence[tuple[Column, str]]) -> Column:
    """The codes whose conditions hold of a row, in their order, each once; nothing but the conditions costs a good row.

    In native code, which functions with a lambda are not: Spark interprets these, and all that they are given.
    """
    from pyspark.sql import functions as F

    nothing = F.array().cast("array<string>")
    if not checks:
        return nothing
    any_ = reduce(lambda one, other: one | other, [F.coalesce(condition, F.lit(False)) for condition, _ in checks])
    codes = F.array(*[F.when(condition, F.lit(code)) for condition, code in checks])
    return F.when(any_, F.array_except(codes, F.array(F.lit(None).cast("string")))).otherwise(nothing)


def once(column: Column) -> Column:
    """The column, worked out in its own projection and with it all that stands beside it.

    Spark's optimizer copies expressions into each filter and projection that uses them, so that a time would be parsed four
    times a row. It leaves a projection as it is that holds something which may differ from call to call.
    """
    from pyspark.sql import functions as F

    return F.when(F.monotonically_increasing_id() >= 0, column)


def texts(*names: str) -> StructType:
    """A schema of text columns."""
    from pyspark.sql.types import StringType, StructField, StructType

    return StructType([StructField(name, StringType()) for name in names])


def origin(*names: str) -> StructType:
    """Schema of rows as they are read, with text columns of these names."""
    from pyspark.sql.types import ArrayType, BooleanType, LongType, StringType

    read = texts(*names, FILE).add(ROW, LongType()).add(RAW, StringType()).add(CORRUPT, BooleanType())
    return read.add(FAULTS, ArrayType(StringType()))
