"""Avro, by Spark's own module, which is fetched from Maven Central where a config asks for it."""

import subprocess
import sys

import pytest
from lakerec.errors import InputError
from lakerec.ingest.drift import AVRO
from lakerec.ingest.read import read_source
from lakerec.source import SourceTable

pytestmark = pytest.mark.spark
READ = """
import sys
from pathlib import Path
from lakerec.config import SparkConfig
from lakerec.lake.session import spark_session
from tests.faults.raw import Shop

conf = {"spark.sql.shuffle.partitions": 2, "spark.jars.packages": sys.argv[2], "spark.jars.ivy": sys.argv[1] + "/ivy"}
spark, folder = spark_session(SparkConfig(master="local[2]", conf=conf)), Path(sys.argv[1])
rows = "SELECT '{}' user, 'x' item, timestamp'2024-01-01 10:00:00' at, {} stars"
for number, user in enumerate(("ann", "bob")):
    frame = spark.sql(rows.format(user, number))
    frame.coalesce(1).write.format("avro").save(f"{folder}/events/{number}")
shop = Shop(spark, folder, format="avro")
print(shop.ingest(), shop.good("user_id", "value"), shop.ingest()[0])
"""


def test_without_the_module_one_line_says_how_to_get_it(spark, tmp_path):
    (tmp_path / "1.avro").write_bytes(b"Obj")
    table = SourceTable(path=str(tmp_path), format="avro")
    with pytest.raises(
        InputError, match=f"without its module for avro: set spark.conf `spark.jars.packages: {AVRO}`"
    ) as error:
        read_source(spark, table, [str(tmp_path / "1.avro")], "source.events")
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.long
def test_with_the_module_avro_is_read(tmp_path):
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path), AVRO], capture_output=True, text=True)
    if "unresolved dependency" in done.stdout + done.stderr:
        pytest.skip("Maven Central is out of reach")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(2, 2, 0, 0) [('ann', 0.0), ('bob', 1.0)] 2"
