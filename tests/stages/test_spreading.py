"""Into how many parts rows are shuffled."""

from dataclasses import dataclass
from typing import Any

import pytest
from lakerec.config import SparkConfig
from lakerec.stages.spreading import PARTITIONS, TABLE_BYTES, spread

pytestmark = pytest.mark.spark


@dataclass
class Given:
    """What `spread` looks at of a context."""

    spark: Any
    config: Any


@dataclass
class Config:
    spark: SparkConfig


def test_a_large_table_is_shuffled_in_more_parts_and_the_number_is_put_back(spark):
    before = spark.conf.get(PARTITIONS)
    context = Given(spark, Config(SparkConfig(master="local[2]")))
    with spread(context, 10 * TABLE_BYTES + 1):
        assert spark.conf.get(PARTITIONS) == "11"
    with pytest.raises(ZeroDivisionError), spread(context, 1 << 60):
        assert spark.conf.get(PARTITIONS) == "2000"
        raise ZeroDivisionError
    with spread(context, 1):
        assert spark.conf.get(PARTITIONS) == before
    assert spark.conf.get(PARTITIONS) == before


@pytest.mark.parametrize(
    "config", [SparkConfig(master="local[2]", conf={PARTITIONS: 3}), SparkConfig(master="spark://host:7077")]
)
def test_the_configs_own_number_and_a_clusters_stay(spark, config):
    before = spark.conf.get(PARTITIONS)
    with spread(Given(spark, Config(config)), 1 << 60):
        assert spark.conf.get(PARTITIONS) == before
