"""Tables of others: whether they are as they were."""

import os

import pytest
from lakerec.language_config import LabelTask, VectorTable
from lakerec.stages.outside import state

pytestmark = pytest.mark.spark


def test_a_table_of_others_is_known_by_its_files_and_a_delta_table_by_its_version(spark, tmp_path):
    rows, csv = spark.range(3).selectExpr("cast(id AS string) AS item_id", "array(1.0) AS vector"), tmp_path / "labels.csv"
    rows.write.format("delta").save(str(tmp_path / "vectors"))
    csv.write_text("item_id,label\na,tea\n")
    os.utime(csv, (1, 1))
    tables = {
        "profile.labels.kind": LabelTask(path=str(csv)),
        "fusion.others.images": VectorTable(path=str(tmp_path / "vectors"), format="delta"),
    }
    found = [state(spark, tables)]
    assert state(spark, dict(reversed(tables.items()))) == found[0]
    csv.write_text("item_id,label\nb,tea\n")
    found.append(state(spark, tables))
    rows.write.format("delta").mode("append").save(str(tmp_path / "vectors"))
    found.append(state(spark, tables))
    csv.unlink()
    found.append(state(spark, tables))
    assert len(set(found)) == 4
    assert state(spark, {}) == "", "nothing of others, nothing to be known"
