"""Where ranks run: in this process, or in local processes that torchrun joins."""

import os

import pytest
from lakerec.errors import TrainingError
from lakerec.training.launcher import launch


def test_without_spark_it_runs_here():
    assert launch(lambda argument: (argument["x"], os.getpid()), {"x": 1}, 4, 0, None) == (1, os.getpid())


@pytest.mark.spark
def test_one_rank_on_a_laptop_runs_here(spark):
    assert launch(lambda _: os.getpid(), {}, 1, 0, spark) == os.getpid()


@pytest.mark.spark
def test_two_ranks_on_a_laptop_are_processes_that_know_of_each_other(spark):
    found = launch(lambda argument: (argument["x"], os.environ["WORLD_SIZE"], os.getpid()), {"x": 1}, 2, 0, spark)
    assert found[:2] == (1, "2")
    assert found[2] != os.getpid()


@pytest.mark.spark
def test_more_ranks_than_the_cluster_has_slots_is_said(spark, monkeypatch):
    monkeypatch.setattr(spark.sparkContext, "master", "spark://elsewhere:7077")
    with pytest.raises(TrainingError, match=r"train.ranks is 9 and the cluster runs 2 tasks at once"):
        launch(print, {}, 9, 0, spark)
