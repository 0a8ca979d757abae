"""Every verb has a job for spark-submit, and no job can be imported as a library."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lakerec import cli

JOBS = Path(__file__).parents[1] / "jobs"


def test_one_job_a_stage_one_for_all_and_one_for_each_other_verb():
    assert {path.stem for path in JOBS.glob("*.py")} == {
        *cli.STAGES,
        "run",
        "maintain",
        "tune",
        "backtest",
        "drift",
        "rollback",
    }


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.py")), ids=lambda path: path.stem)
def test_a_job_is_short_and_refuses_to_be_imported(path):
    assert len(path.read_text().splitlines()) <= 20
    spec = importlib.util.spec_from_file_location(path.stem, path)
    with pytest.raises(ImportError, match="not imported"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_job_is_the_verb():
    command = [sys.executable, str(JOBS / "clean.py"), "--conf", "nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: config file not found: nowhere.yaml")


def test_the_folder_of_the_jobs_does_not_hide_the_standard_library(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(JOBS / "ingest.py"), "--conf", "nowhere.yaml"])
    monkeypatch.setattr(sys, "path", [str(JOBS), *sys.path])
    with pytest.raises(SystemExit):
        cli.job("ingest")
    found = importlib.machinery.PathFinder.find_spec("profile", sys.path)
    assert Path(found.origin).parent == Path(os.__file__).parent, "Spark's modules import it"
