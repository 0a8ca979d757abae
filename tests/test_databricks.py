"""The bundle's job against the databricks-sdk's own dataclasses: no key unknown, every reference resolved."""

import runpy
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest
import yaml
from databricks.sdk.service.jobs import JobCluster, Task
from lakerec import cli
from lakerec.loading import load_config
from lakerec.stages import drifting

ROOT = Path(__file__).parents[1]
JOBS = yaml.safe_load((ROOT / "conf" / "databricks" / "job.yml").read_text())["resources"]["jobs"]
JOB, REFRESH = JOBS["lakerec"], JOBS["lakerec_refresh"]
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text())


@pytest.mark.parametrize("task", [*JOB["tasks"], *REFRESH["tasks"]], ids=lambda task: task["task_key"])
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


def test_a_refresh_fits_only_where_drift_says_so_and_makes_lists_either_way():
    tasks = {task["task_key"]: Task.from_dict(task) for task in REFRESH["tasks"]}
    after = {key: [(each.task_key, each.outcome) for each in task.depends_on or []] for key, task in tasks.items()}
    assert after == {
        "ingest": [], "clean": [("ingest", None)], "featurize": [("clean", None)], "embed": [("featurize", None)],
        "drift": [("embed", None)], "retrain": [("drift", None)],
        "train": [("retrain", "true")], "evaluate": [("train", None)], "promote": [("evaluate", None)],
        "recommend": [("drift", None), ("promote", None)], "report": [("retrain", "true"), ("recommend", None)],
    }  # fmt: skip
    condition = tasks["retrain"].condition_task
    assert (condition.op.value, condition.left, condition.right) == ("EQUAL_TO", "{{tasks.drift.values.retrain}}", "true")
    assert tasks["recommend"].run_if.value == "NONE_FAILED", "promote is left out where nothing is fitted"
    wheels = {key: task.python_wheel_task.parameters[0] for key, task in tasks.items() if task.python_wheel_task}
    assert all(key == verb for key, verb in wheels.items()) and set(tasks) - set(wheels) == {"drift", "retrain"}
    known = {task["task_key"]: task["job_cluster_key"] for task in JOB["tasks"]}
    assert all(tasks[key].job_cluster_key == known[key] for key in wheels)


@pytest.mark.parametrize(("retrain", "value"), [(True, "true"), (False, "false")])
def test_the_task_drift_is_a_notebook_that_sets_the_value_which_the_condition_reads(monkeypatch, capsys, retrain, value):
    task = next(task for task in REFRESH["tasks"] if task["task_key"] == "drift")["notebook_task"]
    notebook = (ROOT / "conf" / "databricks" / task["notebook_path"]).resolve()
    assert notebook.read_text().startswith("# Databricks notebook source\n")
    dbutils, runtime = MagicMock(), ModuleType("databricks.sdk.runtime")
    runtime.dbutils = dbutils
    dbutils.widgets.get.side_effect = {key: str(ROOT / "conf" / "demo.yaml") for key in task["base_parameters"]}.get
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", runtime)
    decided = {
        "model": "m/1", "compared": "All", "retrain": retrain, "reasons": ["for a reason"], "notes": [],
        "rows": [],
    }  # fmt: skip
    monkeypatch.setattr(drifting, "drift", lambda config: decided if config.name == "demo" else None)
    runpy.run_path(str(notebook))
    dbutils.jobs.taskValues.set.assert_called_once_with(key="retrain", value=value)
    assert "for a reason" in capsys.readouterr().out
