"""The peer of bench_lake: raw Online Retail to gold/sequences by Polars, the same tables with the same columns, in Delta.

Run by an interpreter that has polars and deltalake:  python polars_sequences.py RAW_FOLDER LAKE
Written as a user of Polars would write it, where that is quick: lazy scans, expressions, one frame in memory. Polars has no
maps, so that context is a struct; deltalake's writer is slow, so that files are Polars' own and turned into tables in place.
"""

import sys
import time
from pathlib import Path

import polars as pl
from deltalake import convert_to_deltalake

NATURAL_KEY = ["user_id", "event_time", "item_id", "event_type"]
FILE_ORDER = ["event_time", "source_file", "source_row", "item_id", "event_type"]
GAP = pl.duration(minutes=30)


def bronze(raw: str) -> pl.DataFrame:
    """Rows as received, exact repeats left out, ids by two hashes of the row."""
    lines = pl.scan_parquet(f"{raw}/*.parquet", include_file_paths="source_file", row_index_name="source_row")
    names = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
    text = {name: pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name).str.strip_chars()) for name in names}
    row = pl.struct(names)
    context = pl.struct(text["Description"].alias("title"), text["InvoiceNo"], text["UnitPrice"], text["Country"])
    mapped = lines.select(
        (row.hash(1).cast(pl.String) + row.hash(2).cast(pl.String)).alias("event_id"),
        text["CustomerID"].alias("user_id"),
        text["StockCode"].alias("item_id"),
        pl.lit("purchase").alias("event_type"),
        text["InvoiceDate"].str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_zone="UTC").alias("event_time"),
        text["Quantity"].cast(pl.Float64, strict=False).alias("value"),
        context.alias("context"),
        "source_file",
        pl.col("source_row").cast(pl.Int64),
        pl.lit("batch").alias("batch_id"),
        pl.lit(0).cast(pl.Datetime("us", "UTC")).alias("ingested_at"),
    )
    good = mapped.filter(pl.col("item_id").is_not_null() & pl.col("event_time").is_not_null())
    return good.unique("event_id", keep="first", maintain_order=True).collect()


def silver(events: pl.DataFrame) -> pl.DataFrame:
    """One row a natural key, the largest value, then the first; sessions by gap. Strangers are kept as they are."""
    price = pl.col("context").struct.field("UnitPrice").cast(pl.Float64, strict=False).alias("price")
    core = events.lazy().select("event_id", *NATURAL_KEY, "value", price, "source_file", "source_row")
    known = core.filter(pl.col("user_id").is_not_null())
    order = ["value", "source_file", "source_row", "event_id"]
    best = known.sort(*NATURAL_KEY, *order, descending=[False] * 4 + [True, False, False, False], nulls_last=True)
    best = best.unique(NATURAL_KEY, keep="first", maintain_order=True)
    begins = (pl.col("event_time").diff() > GAP) | (pl.col("user_id") != pl.col("user_id").shift())
    start = pl.when(begins.fill_null(True)).then("event_time").forward_fill()
    sessions = best.with_columns(start.alias("start"))
    sessions = sessions.with_columns(pl.struct("user_id", "start").hash(1).cast(pl.String).alias("session_id")).drop("start")
    strangers = core.filter(pl.col("user_id").is_null()).with_columns(pl.lit(None, pl.String).alias("session_id"))
    together = pl.concat([sessions, strangers])
    return together.with_columns(is_bot=pl.lit(False), net_value="value").collect()


def indexed(ids: pl.LazyFrame, key: str, dense: str) -> pl.DataFrame:
    first = ids.group_by(key).agg(pl.col("event_time").min()).sort("event_time", key)
    return first.select(key, pl.int_range(pl.len(), dtype=pl.Int32).alias(dense)).collect()


def interactions(events: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Leave-last-out splits, positions and dense ids."""
    known = events.lazy().filter(pl.col("user_id").is_not_null() & ~pl.col("is_bot")).sort("user_id", *FILE_ORDER)
    position, length = pl.int_range(pl.len(), dtype=pl.Int32).over("user_id"), pl.len().over("user_id")
    numbered = known.with_columns(position.alias("position"), length.alias("length"), weight=pl.lit(1.0))
    from_end = pl.col("length") - pl.col("position")
    split = pl.when((pl.col("length") < 3) | (from_end > 2)).then(pl.lit("train"))
    split = split.when(from_end == 2).then(pl.lit("valid")).otherwise(pl.lit("test"))
    joined = numbered.with_columns(split=split).join(users.lazy(), on="user_id").join(items.lazy(), on="item_id")
    return joined.select(
        "user_id", "item_id", "event_time", "event_type", "weight", "split", "user", "item", "position"
    ).collect()


def sequences(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each user and split, with what came before it."""
    seconds = pl.col("event_time").dt.epoch("s")
    ordered = rows.lazy().sort("user", "position").with_columns(seconds=seconds)
    whole = ordered.group_by("user_id", "user", maintain_order=True).agg(
        pl.col("item").alias("all"), pl.col("seconds").alias("all_times")
    )
    parts = ordered.group_by("user_id", "user", "split", maintain_order=True).agg(
        pl.col("item").alias("items"), pl.col("seconds").alias("times"), pl.col("position").min().alias("before")
    )
    joined = parts.join(whole, on=["user_id", "user"])
    before = pl.col("before")
    past = [pl.col("all").list.head(before).alias("past"), pl.col("all_times").list.head(before).alias("past_times")]
    following = pl.col("split").shift(-1).over("user_id", order_by="before").alias("next_split")
    return joined.with_columns(*past, following).drop("all", "all_times", "before").collect()


def items_of(events: pl.DataFrame) -> pl.DataFrame:
    """The commonest title of each item."""
    title = pl.col("context").struct.field("title")
    counted = events.lazy().select("item_id", title).group_by("item_id", "title").len()
    order = ["item_id", pl.col("title").is_null(), pl.col("len"), "title"]
    ranked = counted.sort(order, descending=[False, False, True, False])
    return ranked.unique("item_id", keep="first", maintain_order=True).select("item_id", "title").collect()


def main(raw: str, lake: str) -> None:
    started = time.perf_counter()

    def write(frame: pl.DataFrame, table: str) -> None:
        folder = Path(lake) / table
        folder.mkdir(parents=True)
        frame.write_parquet(folder / "part-0.parquet", compression="snappy")
        convert_to_deltalake(str(folder))

    received = bronze(raw)
    write(received, "bronze/events")
    titles = items_of(received)
    write(titles, "silver/items")
    write(titles.with_columns(text=pl.col("title"), text_hash=pl.col("title").hash(1).cast(pl.String)), "gold/item_text")
    events = silver(received)
    del received
    write(events, "silver/events")
    users = indexed(events.lazy().filter(pl.col("user_id").is_not_null()), "user_id", "user")
    items = indexed(events.lazy(), "item_id", "item")
    write(users, "gold/user_index")
    write(items, "gold/item_index")
    rows = interactions(events, users, items)
    del events
    write(rows, "gold/interactions")
    write(sequences(rows), "gold/sequences")
    print(f"seconds={time.perf_counter() - started:.2f} interactions={len(rows)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
