"""The only reader and writer of Delta tables.

    read(table, version)    a snapshot; without a version, the latest
    version(table)          the content version: upkeep (OPTIMIZE, VACUUM, properties) leaves it as it is (lake/commits.py)
    changes(table, since)   what changed since a content version, by the change feed
    append(...)             idempotent: the same (application, version) is written once, whatever is retried
    merge(...)              rows matched by key are replaced, others inserted
    change(...)             rows matched by key are replaced or removed
    overwrite(...)          the whole table, or the part that `where` names

Path mode keeps a table at <root>/<layer>/<table>, catalog mode at <catalog>.<schema>.<layer>_<table>. A frame is cast to
its table's contract before it is written; each write returns the table's content version after it. Writes that run into
another writer's are tried again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakerec.columns import Columns as C
from lakerec.config import LakeConfig
from lakerec.errors import ConfigError, ContractError, LakeError
from lakerec.lake import commits, damage
from lakerec.lake.contract import quoted
from lakerec.lake.contracts import CONTRACTS, Contract
from lakerec.lake.platform import is_local, on_databricks

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder, DeltaTable
    from pyspark.sql import Column, DataFrame, DataFrameReader, DataFrameWriter, SparkSession

DELETION_VECTORS = "delta.enableDeletionVectors"
REMOVED = "_removed"
TRIES = 8
"""Times that a write is tried while others change the same table."""
FIRST_PAUSE = 0.2
"""Seconds between the first two tries, at most; twice as long before each further one."""
IDENTIFIER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")


class Lake:
    """Tables of one lake, through one Spark session.

    Raises:
        ConfigError: a catalog or schema name is not a plain identifier.
    """

    def __init__(self, spark: SparkSession, config: LakeConfig) -> None:
        self.spark = spark
        self.config = config
        self.root = None if config.root is None else absolute(config.root)
        self.author: str | None = None
        """The stage run that writes, which its commits say."""
        self._ready: set[str] = set()
        for name in (config.catalog, config.schema_name):
            if name is not None and not IDENTIFIER.match(name):
                raise ConfigError(f"lake: `{name}` is not a plain identifier (letters, digits, _ and -)")

    def name(self, table: str) -> str:
        """Where the table is: a path, or a three-part name."""
        if self.root is not None:
            return f"{self.root}/{table}"
        return f"{self.schema}.`{table.replace('/', '_')}`"

    @property
    def schema(self) -> str:
        """Catalog and schema of catalog mode, for SQL."""
        return f"`{self.config.catalog}`.`{self.config.schema_name}`"

    def exists(self, table: str) -> bool:
        if self.root is not None:
            return damage.is_table(self.spark, self.name(table), table)
        return bool(self.spark.catalog.tableExists(self.name(table)))

    def version(self, table: str) -> int | None:
        """Content version: the latest one that changed rows or schema; None where the table does not exist."""
        return commits.content_version(self.commits(table)) if self.exists(table) else None

    def commits(self, table: str) -> Iterator[commits.Commit]:
        """What was done to a table that exists, newest first."""
        log = Path(self.name(table)) / "_delta_log"
        here = is_local(self.spark) and not on_databricks() and log.is_dir()
        return commits.from_files(log) if here else commits.from_history(self._table(table))

    def wrote(self, table: str, since: int | None) -> bool:
        """Whether the run that writes has made a commit after a version; None: ever."""
        return any(each.author == self.author for each in self.commits(table) if since is None or each.version > since)

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """A snapshot of the table; an empty frame with its contract's schema where it does not exist.

        Args:
            version: the snapshot to read, by any later one with the same content; None: the latest.
        """
        if not self.exists(table):
            return self.spark.createDataFrame([], CONTRACTS[table].schema)
        same = None if version is None else commits.newest_like(self.commits(table), version)
        return self._open(self._reader(same), table)

    def changes(self, table: str, since: int, until: int | None = None) -> DataFrame | None:
        """Rows inserted, updated and deleted after content version `since`, from Delta's change feed.

        Args:
            until: the last content version to be looked at; None: the latest.

        Returns:
            The table's columns and `_change_type`: insert, delete, update_preimage or update_postimage; no row where
            nothing changed. None where it cannot be told, and whoever asks has to compute from all rows: the table was
            overwritten or is not there, the feed was off, its files were vacuumed, or the log was cleaned.
        """
        after = commits.following(self.commits(table), since) if self.exists(table) else None
        if after is not None and until is not None:
            after = [commit for commit in after if commit.version <= until]
        if after is None or not commits.can_be_read(after):
            return None
        if not any(commit.changes for commit in after):
            return self.read(table).limit(0).selectExpr("*", "'' AS _change_type")
        if self.properties(table).get(commits.CHANGE_FEED) != "true":
            return None
        reader = self.spark.read.format("delta").option("readChangeFeed", True)
        reader = reader.option("startingVersion", since + 1).option("endingVersion", after[-1].version)
        return self._open(reader, table).drop("_commit_version", "_commit_timestamp")

    def properties(self, table: str) -> dict[str, str]:
        """Delta's properties of a table that exists."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.sql_name(table)}").collect()
        return {row.key: row.value for row in rows}

    def size(self, table: str) -> tuple[int, int]:
        """Files and bytes of the latest snapshot of a table that exists."""
        row = self.spark.sql(f"DESCRIBE DETAIL {self.sql_name(table)}").select("numFiles", "sizeInBytes").first()
        assert row is not None, "a table that exists has one row of details"
        return int(row[0]), int(row[1])

    def append(self, frame: DataFrame, table: str, application: str, version: int) -> int:
        """Append once: a second call with the same application and a version not above the last writes nothing."""
        writer = self._writer(frame, table).mode("append").option("txnAppId", application).option("txnVersion", version)
        return self._write(table, lambda: self._save(writer, table))

    def overwrite(self, frame: DataFrame, table: str, where: str | None = None, once: tuple[str, int] | None = None) -> int:
        """Replace all rows, or those that satisfy `where`; all rows of `frame` must satisfy it then.

        Args:
            once: application and version, as of `append`.
        """
        writer = self._writer(frame, table).mode("overwrite")
        if where is not None:
            writer = writer.option("replaceWhere", where)
        if once is not None:
            writer = writer.option("txnAppId", once[0]).option("txnVersion", once[1])
        return self._write(table, lambda: self._save(writer, table))

    def merge(self, frame: DataFrame, table: str) -> int:
        """Replace the rows whose contract keys match, insert the others."""
        rows, values = conform(frame, CONTRACTS[table]), _values(CONTRACTS[table])
        return self._write(
            table,
            lambda: self._matching(rows, table).whenMatchedUpdate(set=values).whenNotMatchedInsert(values=values).execute(),
        )

    def change(self, frame: DataFrame, table: str, removed: Column, within: tuple[int, int] | None = None) -> int:
        """Replace the rows whose contract keys match, or remove them; none is inserted.

        Args:
            removed: of a row of `frame`: whether the rows that match it are removed.
            within: earliest and latest event_time of the rows that match, epoch microseconds: other files are not read.
        """
        rows, values = conform(frame.withColumn(REMOVED, removed), CONTRACTS[table], REMOVED), _values(CONTRACTS[table])

        def change() -> None:
            merging = self._matching(rows, table, within).whenMatchedDelete(f"new.`{REMOVED}`")
            merging.whenMatchedUpdate(set=values).execute()

        return self._write(table, change)

    def _matching(self, rows: DataFrame, table: str, within: tuple[int, int] | None = None) -> DeltaMergeBuilder:
        matched = " AND ".join(f"old.`{key}` <=> new.`{key}`" for key in CONTRACTS[table].keys)
        if within is not None:
            matched += " AND old.`{}` BETWEEN timestamp_micros({}) AND timestamp_micros({})".format(C.EVENT_TIME, *within)
        return self._table(table).alias("old").merge(rows.alias("new"), matched)

    def delete(self, table: str, where: Column) -> None:
        """Remove the rows that satisfy `where`; no new version where there are none."""
        if self.exists(table):
            self._write(table, lambda: self._table(table).delete(where))

    def _write(self, table: str, action: Callable[[], object]) -> int:
        """Write to a table that fits its contract; gives its content version after it.

        Two writers that touch the same rows are put in order by Delta: the later one fails, and finds at its next try
        what the earlier one left.

        Raises:
            LakeError: other writers were quicker at every try.
        """
        conflicts = commits.conflicts()
        for number in range(1, TRIES + 1):
            try:
                self.ensure(table)
                with commits.authored(self.spark, self.author):
                    action()
                break
            except conflicts as conflict:
                if number == TRIES:
                    raise LakeError(
                        f"{table}: other writers were quicker at each of {TRIES} tries ({type(conflict).__name__}): "
                        "run it again when they have finished"
                    ) from None
                time.sleep(random.uniform(0.5, 1) * FIRST_PAUSE * 2 ** (number - 1))
        version = self.version(table)
        assert version is not None, "a table that was just written exists"
        return version

    def ensure(self, table: str) -> None:
        """Create the table from its contract, constraints included; one that is there gets what the contract has gained."""
        if table in self._ready:
            return
        if not self.exists(table):
            if self.root is None:
                self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
            self._create(CONTRACTS[table])
        else:
            self._grow(CONTRACTS[table])
            self._set_properties(CONTRACTS[table])
        self._ready.add(table)

    def _create(self, contract: Contract) -> None:
        columns = contract.ddl(*contract.columns)
        cluster = f"CLUSTER BY ({', '.join(contract.cluster_by)})" if contract.cluster_by else ""
        properties = ", ".join(f"'{key}' = '{quoted(value)}'" for key, value in _properties(contract).items())
        try:
            self.spark.sql(
                f"CREATE TABLE IF NOT EXISTS {self.sql_name(contract.table)} ({columns}) USING delta {cluster} "
                f"COMMENT '{quoted(contract.comment)}' TBLPROPERTIES ({properties})"
            )
        except Exception as error:
            if not (commits.was_made_meanwhile(error) and self._appears(contract.table)):
                raise

    def _appears(self, table: str) -> bool:
        """Wait for a table that another writer is making: its folder is there before its first commit."""
        for number in range(TRIES):
            if self.exists(table):
                return True
            time.sleep(FIRST_PAUSE * 2**number)
        return False

    def _grow(self, contract: Contract) -> None:
        """Add the columns that a table made by an older lakerec lacks; its rows have null there.

        Raises:
            ContractError: one of them must not be null, or the table has another type in a column than the contract.
        """
        found = {field.name: field.dataType.simpleString() for field in self.read(contract.table).schema.fields}
        added = [column for column in contract.columns if column.name not in found]
        kept = [column for column in contract.columns if column.name in found]
        wrong = [f"{c.name} is {found[c.name]}, not {c.type}" for c in kept if found[c.name] != c.type.replace(" ", "")]
        wrong += [f"{column.name} is missing and must not be null" for column in added if not column.nullable]
        if wrong:
            raise ContractError(
                f"{self.name(contract.table)}: made by another version of lakerec ({'; '.join(wrong)}): "
                "use that version, or start a new lake (lake.root)"
            )
        if added:
            self.spark.sql(f"ALTER TABLE {self.sql_name(contract.table)} ADD COLUMNS ({contract.ddl(*added)})")

    def _set_properties(self, contract: Contract) -> None:
        """Give a table made by an older lakerec the constraints and the change feed that it lacks.

        Not deletion vectors: they would shut out readers that can read the table now.
        """
        if not (contract.constraints or contract.change_feed):
            return
        present, where = self.properties(contract.table), self.sql_name(contract.table)
        for name, expression in contract.constraints.items():
            if f"delta.constraints.{name}" not in present:
                self.spark.sql(f"ALTER TABLE {where} ADD CONSTRAINT {name} CHECK ({expression})")
        if contract.change_feed and present.get(commits.CHANGE_FEED) != "true":
            self.spark.sql(f"ALTER TABLE {where} SET TBLPROPERTIES ('{commits.CHANGE_FEED}' = 'true')")

    def sql_name(self, table: str) -> str:
        """The table as SQL statements name it."""
        return f"delta.`{self.name(table)}`" if self.root is not None else self.name(table)

    def _table(self, table: str) -> DeltaTable:
        from delta.tables import DeltaTable

        if self.root is not None:
            return DeltaTable.forPath(self.spark, self.name(table))
        return DeltaTable.forName(self.spark, self.name(table))

    def _reader(self, version: int | None) -> DataFrameReader:
        reader = self.spark.read.format("delta")
        return reader if version is None else reader.option("versionAsOf", version)

    def _open(self, reader: DataFrameReader, table: str) -> DataFrame:
        return reader.load(self.name(table)) if self.root is not None else reader.table(self.name(table))

    def _writer(self, frame: DataFrame, table: str) -> DataFrameWriter:
        writer = conform(frame, CONTRACTS[table]).write.format("delta")
        return writer if self.author is None else writer.option(commits.AUTHOR, self.author)

    def _save(self, writer: DataFrameWriter, table: str) -> None:
        if self.root is not None:
            writer.save(self.name(table))
        else:
            writer.saveAsTable(self.name(table))


def absolute(path: str) -> str:
    """A local path made absolute, since SQL takes no relative ones; a URI (s3://, dbfs:/, file:/) as it is."""
    return path.rstrip("/") if re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+:/", path) else str(Path(path).resolve())


def _values(contract: Contract) -> dict[str, str | Column]:
    """A row of MERGE's source as its target's."""
    return {f"`{name}`": f"new.`{name}`" for name in contract.names}


def _properties(contract: Contract) -> dict[str, str]:
    """Delta's properties of a new table."""
    found = {DELETION_VECTORS: str(contract.deletion_vectors).lower()}
    if contract.change_feed:
        found[commits.CHANGE_FEED] = "true"
    if contract.looked_up:
        found["delta.dataSkippingStatsColumns"] = ",".join(contract.looked_up)
    return found | {f"delta.constraints.{name}": expression for name, expression in contract.constraints.items()}


def conform(frame: DataFrame, contract: Contract, *more: str) -> DataFrame:
    """The contract's columns in its order and types, and `more` as they are.

    Raises:
        ContractError: the frame lacks a column of the contract.
    """
    from pyspark.sql import functions as F

    missing = [name for name in contract.names if name not in frame.columns]
    if missing:
        raise ContractError(f"{contract.table}: columns missing from the frame to be written: {', '.join(missing)}")
    return frame.select(*[F.col(column.name).cast(column.type).alias(column.name) for column in contract.columns], *more)
