"""Which descriptions are kept, on tiny tables shown in full."""

import random

import pytest
from lakerec.clean.items import latest
from lakerec.ingest.sort import sort_descriptions
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark
ROW = "item_id string, title string, description string, source_file string, source_row long, digest string"


def batch(spark, rows):
    """Rows (item, title, description) by file, as the mapping gives them."""
    listed = [
        (item, title, said, file, place, f"{item} {title} {said}")
        for file, lines in rows.items()
        for place, (item, title, said) in enumerate(lines)
    ]
    frame = spark.createDataFrame(listed, ROW)
    return frame.withColumns({"_reasons": F.array().cast("array<string>"), "_dropped": F.lit(None).cast("string")})


def bronze(spark, *batches):
    """What batches leave in bronze/items one after the other, and how many of each one's rows were good."""
    known, good = None, []
    for number, rows in enumerate(batches):
        kept = sort_descriptions(batch(spark, rows), "item_id", known).where("_kind = 'good'").drop("_kind")
        kept = kept.withColumn("ingested_at", F.lit(number)).localCheckpoint()
        good.append(kept.count())
        known = kept if known is None else known.union(kept).localCheckpoint()
    return known, good


def described(rows):
    return sorted(map(tuple, latest(rows, "item_id").collect()))


TEA, MINT, BARE = ("x", "Tea", "Leaves"), ("x", "Tea", "Mint"), ("x", "Tea", None)


@pytest.mark.parametrize(
    ("batches", "good", "said"),
    [
        ([[TEA, TEA, BARE]], [2], "Leaves"),
        ([[TEA, BARE], [TEA, BARE]], [2, 0], "Leaves"),  # the file again
        ([[TEA], [MINT], [TEA], [TEA]], [1, 1, 1, 0], "Leaves"),  # back to what it was
        ([[TEA, MINT], [MINT]], [2, 0], "Mint"),  # the end of what is known
        ([[TEA], [MINT, TEA, BARE]], [1, 3], "Leaves"),  # said before, but later than what is new
        ([[TEA, MINT, BARE], [TEA, BARE]], [3, 2], "Leaves"),  # nothing new, in another order
    ],
)
def test_a_batch_adds_nothing_where_its_rows_are_the_newest_already(spark, batches, good, said):
    kept, counts = bronze(spark, *[{f"{number}": rows} for number, rows in enumerate(batches)])
    assert (counts, described(kept)) == (good, [("x", "Tea", said)])


def test_batches_leave_what_one_batch_of_all_files_leaves(spark):
    rng = random.Random(4)
    files = {
        str(file): [
            (f"i{item}", rng.choice([None, "A", "B"]), rng.choice([None, "C", "D", ""]))
            for item in range(150)
            for _ in range(rng.randrange(4))
        ]
        for file in range(4)
    }
    files["4"] = files["3"]
    one, _ = bronze(spark, files)
    parts = [["0"], ["1", "2"], ["3"], ["4"]]
    several, good = bronze(spark, *[{name: files[name] for name in part} for part in parts])
    assert described(one) == described(several)
    assert good[-1] == 0
