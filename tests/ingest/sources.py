"""A source made of a file's text: what the tests of this folder read."""

from lakerec.ingest.mapping import map_events
from lakerec.ingest.read import read_source
from lakerec.source import SourceTable

COLUMNS = {"user_id": "user", "item_id": "item", "event_time": "at", "value": "stars"}
NEEDED = ("item_id", "event_time")


def source(path, **named) -> SourceTable:
    return SourceTable(path=str(path), **{"columns": COLUMNS, **named})


def mapped(spark, path, text, **named):
    """Rows of bronze/events as the mapping gives them, in the order of the file."""
    path.write_text(text)
    table = source(path, **named)
    rows = map_events(read_source(spark, table, [str(path)], "source.events", NEEDED), table)
    return rows.orderBy("source_row").collect()
