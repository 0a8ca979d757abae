"""What a contract is, and the columns that several tables share.

Types are Spark SQL types, so that this module imports without Spark.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lakerec.columns import Columns as C
from lakerec.columns import Splits


@dataclass(frozen=True)
class Column:
    """One column: its name, Spark SQL type, meaning, and whether it may be null."""

    name: str
    type: str
    comment: str
    nullable: bool = True


LOOKED_UP = (C.USER_ID, C.ITEM_ID, C.EVENT_TIME, C.SPLIT, C.BATCH_ID, C.DIGEST, C.SOURCE, C.RUN_ID)


@dataclass(frozen=True)
class Contract:
    """What a table promises to whoever reads it."""

    table: str
    comment: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...] = ()
    constraints: dict[str, str] = field(default_factory=dict)
    cluster_by: tuple[str, ...] = ()
    change_feed: bool = False
    """Whether Delta records each change, for whoever reads what is new (`Lake.changes`)."""
    deletion_vectors: bool = False
    """Whether a change may mark rows as gone and leave their file; plain Parquet readers then ask `lake/plain.py`."""

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @staticmethod
    def ddl(*columns: Column) -> str:
        """Columns as CREATE TABLE and ADD COLUMNS take them."""
        return ", ".join(
            f"`{each.name}` {each.type}{'' if each.nullable else ' NOT NULL'} COMMENT '{quoted(each.comment)}'"
            for each in columns
        )

    @property
    def looked_up(self) -> list[str]:
        """Columns by whose range or nulls in a file Delta may leave it unread; those of the others would tell nothing."""
        return [name for name in self.names if name in (*LOOKED_UP, *self.cluster_by)]

    @property
    def schema(self) -> str:
        """The columns as Spark DDL."""
        return ", ".join(f"{c.name} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)


def quoted(text: str) -> str:
    """Text as it stands between single quotes in SQL."""
    return text.replace("'", "\\'")


def key(name: str, type_: str, comment: str) -> Column:
    return Column(name, type_, comment, nullable=False)


USER_ID = Column(C.USER_ID, "string", "external user id; null where the log has none")
ITEM_ID = key(C.ITEM_ID, "string", "external item id")
EVENT_ID = key(C.EVENT_ID, "string", "given by the source, or a digest of the row's mapped values")
EVENT_TYPE = Column(C.EVENT_TYPE, "string", "kind of event, such as rating, click or purchase")
EVENT_TIME = key(C.EVENT_TIME, "timestamp", "when it happened, UTC")
VALUE = Column(C.VALUE, "double", "rating, quantity or whatever the event measures")
BATCH_ID = key(C.BATCH_ID, "string", "digest of the files that arrived together")
INGESTED_AT = key(C.INGESTED_AT, "timestamp", "when the batch was read, UTC")
SOURCE_FILE = Column(C.SOURCE_FILE, "string", "file the row came from")
SOURCE_ROW = Column(C.SOURCE_ROW, "bigint", "position that orders the rows of one file")
DIGEST = Column(C.DIGEST, "string", "of the row as received, 128 bits: tells what came before")
ARRIVAL = (SOURCE_FILE, SOURCE_ROW, BATCH_ID, INGESTED_AT)
TAGS = Column(C.TAGS, "array<string>", "codes of the source's rules that applied to the row")
ITEM = key(C.ITEM, "int", "dense item index, from 0, never reused")
USER = key(C.USER, "int", "dense user index, from 0, never reused")
SPLIT = key(C.SPLIT, "string", "train, valid or test")
ENCODER = key(C.ENCODER, "string", "fingerprint of the encoder: weights, tokenizer, pooling, length, precision")
RUN_ID = key(C.RUN_ID, "string", "run in ops/runs that wrote the row")
ATTRIBUTES = Column(C.ATTRIBUTES, "map<string,string>", "columns of the source that no name of ours covers")
KNOWN_SPLIT = {"known_split": f"{C.SPLIT} IN {Splits.ALL}"}
TEXT_HASH = key(C.TEXT_HASH, "string", "SHA-256 of the text")
TITLE = Column(C.TITLE, "string", "title for people")
RANK = key(C.RANK, "int", "place in the list, from 1")
SCORE = Column(C.SCORE, "double", "the model's score; comparable within one list only")
KNOWN_USER = key(C.USER_ID, "string", "external user id")
