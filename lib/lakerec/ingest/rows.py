"""What reading adds to the columns of the files, named once, and how columns are named to Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import StructType

FILE, ROW, RAW, CORRUPT = "_file", "_row", "_raw", "_corrupt"
FAULTS = "_faults"
"""Reasons against a row or file that could not be read as it should; null for all others."""
DECLARED, TAGGED, DROP = "_declared", "_tagged", "_drop"
"""What `fields` and `rules` say of a row: reasons against it, its tags, and why it is left out. Absent where none are."""
OWN = (FILE, ROW, RAW, CORRUPT, FAULTS, DECLARED, TAGGED, DROP)
MALFORMED = "malformed_row"
RAW_LIMIT = 4000
"""Characters of a refused row that are kept."""


def quoted(name: str) -> Column:
    """A column by its literal name, whatever characters it has."""
    from pyspark.sql import functions as F

    return F.col(f"`{name.replace('`', '``')}`")


def texts(*names: str) -> StructType:
    """A schema of text columns."""
    from pyspark.sql.types import StringType, StructField, StructType

    return StructType([StructField(name, StringType()) for name in names])


def origin(*names: str) -> StructType:
    """Schema of rows as they are read, with text columns of these names."""
    from pyspark.sql.types import ArrayType, BooleanType, LongType, StringType

    read = texts(*names, FILE).add(ROW, LongType()).add(RAW, StringType()).add(CORRUPT, BooleanType())
    return read.add(FAULTS, ArrayType(StringType()))
