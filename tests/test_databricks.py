"""The bundle's job against the databricks-sdk's own dataclasses: no key unknown, every reference resolved."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from databricks.sdk.service.jobs import JobCluster, Task
from lakerec import cli
from lakerec.loading import load_config

ROOT = Path(__file__).parents[1]
JOB = yaml.safe_load((ROOT / "conf" / "databricks" / "job.yml").read_text())["resources"]["jobs"]["lakerec"]
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text())


@pytest.mark.parametrize("task", JOB["tasks"], ids=lambda task: task["task_key"])
def test_a_task_says_nothing_that_the_sdk_does_not_know(task):
    assert Task.from_dict(task).as_dict() == task


@pytest.mark.parametrize("cluster", JOB["job_clusters"], ids=lambda cluster: cluster["job_cluster_key"])
def test_a_cluster_says_nothing_that_the_sdk_does_not_know(cluster):
    assert JobCluster.from_dict(cluster).as_dict() == cluster


def test_tasks_are_the_verbs_in_order_each_after_the_one_before():
    tasks = [Task.from_dict(task) for task in JOB["tasks"]]
    assert [task.task_key for task in tasks] == list(cli.STAGES)
    for before, task in pairwise(tasks):
        assert [found.task_key for found in task.depends_on] == [before.task_key]
    for task in tasks:
        wheel = task.python_wheel_task
        assert (wheel.package_name, wheel.entry_point, wheel.parameters[0]) == ("lakerec", "lakerec", task.task_key)


def test_what_runs_a_network_runs_on_the_gpu_cluster_and_all_clusters_exist():
    known = {cluster["job_cluster_key"] for cluster in JOB["job_clusters"]}
    used = {task["task_key"]: task["job_cluster_key"] for task in JOB["tasks"]}
    assert set(used.values()) == known
    assert {verb for verb, cluster in used.items() if cluster == "gpu"} == {"adapt", "embed", "profile", "train"}


def test_every_variable_is_declared_and_both_targets_are_there():
    text = (ROOT / "conf" / "databricks" / "job.yml").read_text()
    for name in BUNDLE["variables"]:
        assert f"${{var.{name}}}" in text
    assert set(BUNDLE["targets"]) == {"dev", "prod"}
    assert BUNDLE["artifacts"]["wheel"]["type"] == "whl"


def test_each_target_has_a_config_of_its_own_and_they_share_no_place():
    folder = ROOT / "conf" / "databricks"
    named = {target: Path(said["variables"]["conf"]).name for target, said in BUNDLE["targets"].items()}
    dev, prod = (load_config(folder / named[target], (), {}) for target in ("dev", "prod"))
    assert (prod.encoder.gpus_per_task, prod.train.ranks, prod.promote.model_name.count(".")) == (1, 2, 2)
    for places in zip(*[
        (config.name, config.lake, config.tracking.experiment, config.train.folder, config.promote.model_name, config.report)
        for config in (dev, prod)
    ], strict=True):  # fmt: skip
        assert places[0] != places[1]
