"""Runs in a real sqlite store: parents and children, failures, and no artifacts in the working directory."""

import pytest
from lakerec.config import TrackingConfig
from lakerec.registry import gate
from lakerec.registry.tracking import Tracker


@pytest.fixture
def tracker(tmp_path):
    return Tracker(TrackingConfig(uri=f"sqlite:///{tmp_path}/store/mlflow.db"), "shop")


def test_a_child_run_has_nested_params_metrics_by_step_and_dataset_versions(tracker):
    with tracker.pipeline("pipeline") as parent, tracker.stage("train") as child:
        tracker.log_params({"train": {"dims": 64, "folder": None}, "seed": 1})
        for step, loss in enumerate((3.0, 2.0), start=1):
            tracker.log_metrics({"loss": loss}, step)
        tracker.log_datasets({"gold/sequences": 4}, {"eval/metrics": 1})
    run = tracker.client.get_run(child)
    assert run.data.params == {"train.dims": "64", "seed": "1"}
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert (run.data.tags["input.gold/sequences"], run.data.tags["output.eval/metrics"]) == ("4", "1")
    assert [(point.step, point.value) for point in tracker.client.get_metric_history(child, "loss")] == [(1, 3.0), (2, 2.0)]
    assert run.info.status == tracker.client.get_run(parent).info.status == "FINISHED"


def test_a_stage_that_raises_is_marked_failed_with_its_parent(tracker):
    with pytest.raises(ZeroDivisionError), tracker.pipeline("pipeline") as parent, tracker.stage("clean") as child:
        _ = 1 / 0
    assert {tracker.client.get_run(run).info.status for run in (parent, child)} == {"FAILED"}


def test_artifacts_lie_beside_the_store(tracker, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    page = tmp_path / "report.html"
    page.write_text("page")
    with tracker.stage("report"):
        tracker.log_artifact(page)
    assert [path.read_text() for path in (tmp_path / "store").rglob("report.html")] == ["page"]
    assert not list(elsewhere.iterdir())


def test_an_alias_that_was_never_set_is_none_and_asking_makes_no_store(tracker, tmp_path):
    assert gate.alias_version(tracker, "lakerec-shop", gate.CHAMPION) is None
    assert not (tmp_path / "store").exists()


def test_names_that_mlflow_refuses_and_more_params_than_one_call_takes_are_logged(tracker):
    weights = {f"click (ad) {number}": number for number in range(130)}
    with tracker.stage("featurize") as run:
        tracker.log_params({"event_weights": weights})
    params = tracker.client.get_run(run).data.params
    assert len(params) == 130 and params["event_weights.click _ad_ 7"] == "7"


def test_a_version_is_found_by_its_tag(tracker):
    tracker.client.create_registered_model("m")
    for run in ("a", "b"):
        tracker.client.create_model_version("m", "source", tags={"train_run": run})
    assert gate.version_with(tracker, "m", {"train_run": "b"}) == "2"
    assert gate.version_with(tracker, "m", {"train_run": "c"}) is None
