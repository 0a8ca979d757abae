"""What tests do to a table behind the lake's back."""

from lakerec.lake.lake import Lake

CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"


def vacuum_all(lake: Lake, table: str) -> None:
    """Remove every file that the latest snapshot does not name, as somebody in a hurry would."""
    lake.spark.conf.set(CHECK, False)
    try:
        lake.spark.sql(f"VACUUM {lake.sql_name(table)} RETAIN 0 HOURS").collect()
    finally:
        lake.spark.conf.unset(CHECK)


def optimize(lake: Lake, table: str) -> None:
    """Compact the table."""
    lake.spark.sql(f"OPTIMIZE {lake.sql_name(table)}").collect()
