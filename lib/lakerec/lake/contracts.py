"""The contract of every table: columns with types and comments, keys, constraints, clustering.

A table is created from its contract and nothing else; the writer casts to it and refuses a frame that lacks a column.
Types are Spark SQL types, so that this module imports without Spark.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lakerec.columns import Columns as C
from lakerec.columns import Splits
from lakerec.columns import Tables as T


@dataclass(frozen=True)
class Column:
    """One column: its name, Spark SQL type, meaning, and whether it may be null."""

    name: str
    type: str
    comment: str
    nullable: bool = True


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
    """Whether a change may mark rows as gone and leave their file; not where plain Parquet readers read the files."""

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def schema(self) -> str:
        """The columns as Spark DDL."""
        return ", ".join(f"{c.name} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)


def _key(name: str, type_: str, comment: str) -> Column:
    return Column(name, type_, comment, nullable=False)


USER_ID = Column(C.USER_ID, "string", "external user id; null where the log has none")
ITEM_ID = _key(C.ITEM_ID, "string", "external item id")
EVENT_ID = _key(C.EVENT_ID, "string", "given by the source, or a digest of the row's mapped values")
EVENT_TYPE = Column(C.EVENT_TYPE, "string", "kind of event, such as rating, click or purchase")
EVENT_TIME = _key(C.EVENT_TIME, "timestamp", "when it happened, UTC")
VALUE = Column(C.VALUE, "double", "rating, quantity or whatever the event measures")
BATCH_ID = _key(C.BATCH_ID, "string", "digest of the files that arrived together")
INGESTED_AT = _key(C.INGESTED_AT, "timestamp", "when the batch was read, UTC")
SOURCE_FILE = Column(C.SOURCE_FILE, "string", "file the row came from")
SOURCE_ROW = Column(C.SOURCE_ROW, "bigint", "position that orders the rows of one file")
DIGEST = Column(C.DIGEST, "string", "of the row as received, 128 bits: tells what came before")
ARRIVAL = (SOURCE_FILE, SOURCE_ROW, BATCH_ID, INGESTED_AT)
TAGS = Column(C.TAGS, "array<string>", "codes of the source's rules that applied to the row")
ITEM = _key(C.ITEM, "int", "dense item index, from 0, never reused")
USER = _key(C.USER, "int", "dense user index, from 0, never reused")
SPLIT = _key(C.SPLIT, "string", "train, valid or test")
ENCODER = _key(C.ENCODER, "string", "fingerprint of the encoder: weights, tokenizer, pooling, length, precision")
RUN_ID = _key(C.RUN_ID, "string", "run in ops/runs that wrote the row")
ATTRIBUTES = Column(C.ATTRIBUTES, "map<string,string>", "columns of the source that no name of ours covers")
KNOWN_SPLIT = {"known_split": f"{C.SPLIT} IN {Splits.ALL}"}
TEXT_HASH = _key(C.TEXT_HASH, "string", "SHA-256 of the text")
TITLE = Column(C.TITLE, "string", "title for people")
RANK = _key(C.RANK, "int", "place in the list, from 1")
SCORE = Column(C.SCORE, "double", "the model's score; comparable within one list only")

_CONTRACTS = (
    Contract(
        T.BRONZE_EVENTS,
        "events as received, exact repeats left out, and where each came from",
        (EVENT_ID, USER_ID, ITEM_ID, EVENT_TYPE, EVENT_TIME, VALUE,
         Column(C.CONTEXT, "map<string,string>", "columns of the source that no name of ours covers"), *ARRIVAL, TAGS,
         Column(C.DIGEST, "string", "digest of the row as received; null where it is the event id")),
        cluster_by=(C.EVENT_TIME,),
        change_feed=True,
    ),
    Contract(
        T.BRONZE_ITEMS,
        "item descriptions as received",
        (ITEM_ID, TITLE, Column(C.DESCRIPTION, "string", "longer text"),
         Column(C.CATEGORIES, "array<string>", "categories or genres"), ATTRIBUTES, *ARRIVAL, DIGEST),
        change_feed=True,
    ),
    Contract(
        T.BRONZE_USERS,
        "user attributes as received",
        (_key(C.USER_ID, "string", "external user id"), ATTRIBUTES, *ARRIVAL, DIGEST),
    ),
    Contract(
        T.QUARANTINE,
        "rows that were refused, with the reasons",
        (_key(C.SOURCE, "string", "events, items, users or graph"), SOURCE_FILE,
         Column(C.RAW, "string", "the row as received"),
         Column(C.REASONS, "array<string>", "why it was refused"), BATCH_ID, INGESTED_AT, DIGEST),
    ),
    Contract(
        T.EVENTS,
        "events, typed and deduplicated, in sessions, bots marked",
        (EVENT_ID, USER_ID, ITEM_ID, EVENT_TYPE, EVENT_TIME, VALUE,
         Column(C.SESSION_ID, "string", "session of the user; null without a user"),
         _key(C.IS_BOT, "boolean", "beyond a declared threshold"), SOURCE_FILE, SOURCE_ROW,
         Column(C.NET_VALUE, "double", "value less what was cancelled of it"),
         Column(C.BOT_REASONS, "array<string>", "thresholds the user went beyond: rate, breadth, regularity, user_agent"),
         TAGS,
         Column(C.DIGEST, "string", "digest of the row as received; null where it is the event id")),
        keys=(C.EVENT_ID,),
        cluster_by=(C.EVENT_TIME,),
        change_feed=True,
        deletion_vectors=True,
    ),
    Contract(
        T.ITEMS,
        "one canonical description an item, items known only from events included",
        (ITEM_ID, TITLE, Column(C.DESCRIPTION, "string", "longer text"),
         Column(C.CATEGORIES, "array<string>", "categories or genres"), ATTRIBUTES),
        keys=(C.ITEM_ID,),
        change_feed=True,
    ),
    Contract(
        T.ITEM_TITLES,
        "titles that events carry, by item, with how often",
        (ITEM_ID, _key(C.TITLE, "string", "title"), Column(C.N, "bigint", "rows of bronze/events that say so")),
        keys=(C.ITEM_ID, C.TITLE),
    ),
    Contract(
        T.USERS,
        "one row of attributes a user",
        (_key(C.USER_ID, "string", "external user id"), ATTRIBUTES),
        keys=(C.USER_ID,),
    ),
    Contract(
        T.INTERACTIONS,
        "what models learn from and are judged by, divided into splits",
        (_key(C.USER_ID, "string", "external user id"), ITEM_ID, EVENT_TIME, EVENT_TYPE,
         _key(C.WEIGHT, "double", "weight of the event type"), SPLIT, USER, ITEM,
         _key(C.POSITION, "int", "place in the user's history, from 0; orders events of equal time")),
        keys=(C.USER, C.POSITION),
        constraints=KNOWN_SPLIT,
        cluster_by=(C.SPLIT,),
        deletion_vectors=True,
    ),
    Contract(
        T.SEQUENCES,
        "a user's events of one split in time order, and all that came before",
        (_key(C.USER_ID, "string", "external user id"), USER,
         Column(C.ITEMS, "array<int>", "dense items of this split, oldest first"),
         Column(C.TIMES, "array<bigint>", "epoch seconds UTC of `items`"), SPLIT,
         Column(C.PAST, "array<int>", "dense items of earlier splits, oldest first"),
         Column(C.PAST_TIMES, "array<bigint>", "epoch seconds UTC of `past`"),
         Column(C.NEXT_SPLIT, "string", "split of the user's next row; null on the last")),
        keys=(C.USER_ID, C.SPLIT),
        constraints={**KNOWN_SPLIT, "same_length": f"size({C.ITEMS}) = size({C.TIMES})"},
    ),
    Contract(
        T.ITEM_TEXT,
        "the text of an item that a language model reads",
        (ITEM_ID, Column(C.TEXT, "string", "title, categories and description"), TEXT_HASH),
        keys=(C.ITEM_ID,),
    ),
    Contract(
        T.ITEM_INDEX, "dense index of items; append-only", (ITEM_ID, ITEM),
        keys=(C.ITEM_ID,), constraints={"from_zero": f"{C.ITEM} >= 0"},
    ),
    Contract(
        T.USER_INDEX, "dense index of users; append-only", (_key(C.USER_ID, "string", "external user id"), USER),
        keys=(C.USER_ID,), constraints={"from_zero": f"{C.USER} >= 0"},
    ),
    Contract(
        T.TEXT_VECTORS,
        "one vector a distinct text and encoder",
        (TEXT_HASH, ENCODER, Column(C.VECTOR, "array<float>", "unit length; null where encoding failed"),
         Column(C.TOKENS, "int", "tokens the model saw"), Column(C.ERROR, "string", "why there is no vector")),
        keys=(C.TEXT_HASH, C.ENCODER),
    ),
    Contract(
        T.ITEM_VECTORS,
        "the text vector of each item",
        (ITEM_ID, ENCODER, Column(C.VECTOR, "array<float>", "unit length")),
        keys=(C.ITEM_ID, C.ENCODER),
    ),
    Contract(
        T.PREDICTIONS,
        "ranked lists for the test users, by models that never saw the test split",
        (RUN_ID, _key(C.MODEL, "string", "model"), _key(C.USER_ID, "string", "external user id"), RANK, ITEM_ID, SCORE),
        keys=(C.RUN_ID, C.MODEL, C.USER_ID, C.RANK),
        constraints={"rank_from_one": f"{C.RANK} >= 1"},
    ),
    Contract(
        T.METRICS,
        "figures with 95 % bootstrap intervals over users",
        (RUN_ID, _key(C.MODEL, "string", "model"),
         _key(C.SLICE, "string", "all, a named part, or a seed"), _key(C.METRIC, "string", "metric"),
         _key(C.K, "int", "length of the list"), Column(C.VALUE, "double", "mean over users"),
         Column(C.CI_LOW, "double", "lower end, 95 %"), Column(C.CI_HIGH, "double", "upper end, 95 %"),
         Column(C.N, "bigint", "users (items for coverage, seeds for seeds)")),
        keys=(C.RUN_ID, C.MODEL, C.SLICE, C.METRIC, C.K),
    ),
    Contract(
        T.RECOMMENDATIONS,
        "what to show each user, and why",
        (_key(C.USER_ID, "string", "external user id"), RANK, ITEM_ID, SCORE,
         Column(C.REASON, "string", "the evidence in words"),
         _key(C.MODEL_VERSION, "string", "registered name and version"), _key(C.GENERATED_AT, "timestamp", "UTC")),
        keys=(C.USER_ID, C.RANK),
    ),
    Contract(
        T.RUNS,
        "one row per finished stage run",
        (RUN_ID, _key("stage", "string", "verb"), _key("key", "string", "digest of config, inputs and code version"),
         _key("config_digest", "string", "digest of the config sections the stage reads"),
         Column("inputs", "map<string,bigint>", "table: version read"),
         Column("outputs", "map<string,bigint>", "table: version written"),
         Column("rows_in", "bigint", "rows read"), Column("rows_out", "bigint", "rows kept"),
         Column("rows_quarantined", "bigint", "rows refused"), Column("rows_duplicate", "bigint", "exact repeats"),
         Column("seconds", "double", "wall time"), Column("details", "map<string,string>", "figures of the stage"),
         Column("tracking_run", "string", "MLflow run id"),
         _key("started_at", "timestamp", "UTC"), Column("code", "string", "lakerec version")),
        keys=(C.RUN_ID,),
    ),
    Contract(
        T.FILES,
        "raw files already read",
        (_key(C.SOURCE, "string", "events, items, users or graph"), _key(C.SOURCE_FILE, "string", "file"),
         Column("length", "bigint", "bytes"), Column("modified_at", "timestamp", "UTC"),
         Column("mapping", "string", "digest of the source's config when it was read"),
         Column("rows_in", "bigint", "rows of the whole batch"), Column("rows_out", "bigint", "its good rows"),
         Column("rows_quarantined", "bigint", "its refused rows"), Column("rows_duplicate", "bigint", "its repeats"),
         Column("rows_dropped", "bigint", "its rows that a rule counts and lets go"), BATCH_ID, INGESTED_AT),
        keys=(C.SOURCE, C.SOURCE_FILE, "length", "modified_at"),
    ),
    Contract(
        T.PROMOTIONS,
        "every decision of the gate; append-only",
        (_key("decided_at", "timestamp", "UTC"), Column("model_name", "string", "registered name"),
         Column("challenger", "string", "version judged"), Column("champion", "string", "version that served before"),
         Column("promoted", "boolean", "whether the alias moved"), Column(C.METRIC, "string", "metric"),
         Column(C.K, "int", "length of the list"), Column("challenger_value", "double", "its value"),
         Column("champion_value", "double", "the champion's value"),
         Column(C.REASONS, "array<string>", "why"), RUN_ID),
    ),
)  # fmt: skip

CONTRACTS: dict[str, Contract] = {contract.table: contract for contract in _CONTRACTS}
