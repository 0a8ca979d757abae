"""Searches over functions whose best settings are known; no Spark."""

import json
import time

import pytest
from lakerec.errors import TrainingError
from lakerec.stages import studies
from lakerec.training_config import Range, TrainConfig

SPACE = studies.distributions({"dropout": Range(low=0.0, high=0.5)}, TrainConfig())


def searched(folder, run, most=12, parallel=1, told=None, first=0.2):
    study = studies.open_study(folder / "journal.log", "dropout", 1, parallel)
    ended = (lambda tried: None) if told is None else told.append
    return studies.search(study, SPACE, {"dropout": first}, most, 0, parallel, folder, run, ended)


def test_it_begins_with_the_settings_of_now_and_ends_near_the_best(tmp_path):
    found = searched(tmp_path, lambda number, values: 1 - abs(values["dropout"] - 0.4), most=25)
    assert found[0].values == {"dropout": 0.2} and len(found) == 25
    assert max(found, key=lambda each: each.value).values["dropout"] == pytest.approx(0.4, abs=0.03)


def test_a_search_that_was_cut_short_goes_on(tmp_path):
    def run(number, values):
        if number == 3:
            raise KeyboardInterrupt
        return values["dropout"]

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, run)
    told = []
    found = searched(tmp_path, run, most=6, told=told)
    assert [each.number for each in told] == [4, 5, 6], "three counted, the fourth never ended"
    assert [each.state for each in found] == ["complete"] * 3 + ["fail"] + ["complete"] * 3
    assert len(searched(tmp_path, run, most=6)) == 7, "there are as many as were asked for"


@pytest.mark.parametrize("killed", ["while it ran", "before it began"])
def test_the_settings_of_now_are_tried_though_the_search_was_killed_in_its_first_trial(tmp_path, killed):
    study = studies.open_study(tmp_path / "journal.log", "dropout", 1, 1)
    study.enqueue_trial({"dropout": 0.2})
    if killed == "while it ran":
        study.ask(SPACE)
    number = 1 if killed == "while it ran" else 0
    found = searched(tmp_path, lambda number, values: values["dropout"], most=2)
    assert [each.state for each in found] == ["fail"] * number + ["complete"] * 2
    assert found[number].values == {"dropout": 0.2} and found[number + 1].values != {"dropout": 0.2}


def test_other_settings_of_now_are_tried_in_a_study_that_goes_on(tmp_path):
    searched(tmp_path, lambda number, values: values["dropout"], most=2)
    found = searched(tmp_path, lambda number, values: values["dropout"], most=3, first=0.35)
    assert [each.values["dropout"] for each in found if each.number in (0, 2)] == [0.2, 0.35]
    assert len(searched(tmp_path, lambda number, values: 1.0, most=4, first=0.2)) == 4
    again = searched(tmp_path, lambda number, values: 1.0, most=4, first=0.2)
    assert sum(each.values == {"dropout": 0.2} for each in again) == 1


def test_a_trial_that_fails_is_not_the_end_but_all_of_them_are(tmp_path):
    def run(number, values):
        if values["dropout"] < 0.25:
            raise TrainingError("loss is nan")
        return 1.0

    assert {each.state for each in searched(tmp_path, run)} == {"complete", "fail"}

    def never(number, values):
        raise TrainingError("loss is nan")

    with pytest.raises(TrainingError, match=r"none of 2 trials ended; the last one: loss is nan"):
        searched(tmp_path / "again", never, most=2)


def test_trials_worse_than_the_median_are_stopped(tmp_path):
    def run(number, values):
        """A curve that is there at once; one that is bad waits to be stopped."""
        good = number < studies.FIRST
        with (tmp_path / f"{number}.jsonl").open("w") as file:
            for epoch in range(1, 6):
                file.write(json.dumps({"epoch": epoch, "loss": 1.0, "value": 0.5 if good else 0.1}) + "\n")
        over = time.monotonic() + 20
        while not good and time.monotonic() < over:
            if (tmp_path / f"{number}.stop").exists():
                return None
            time.sleep(0.05)
        time.sleep(2 * studies.POLL_SECONDS if good else 0)
        return 0.5 if good else 0.1

    found = searched(tmp_path, run, most=studies.FIRST + 1)
    assert [each.state for each in found] == ["complete"] * studies.FIRST + ["pruned"]
    assert found[-1].curve == [(epoch, 0.1) for epoch in range(1, 6)]


def test_the_settings_of_now_are_always_to_be_chosen():
    space = {"dims": [32.0, 64.0], "blocks": Range(low=2, high=3), "neighbours": Range(low=200, high=500, log=True)}
    found = studies.distributions(space, TrainConfig(dims=48, blocks=1))
    assert found["dims"].choices == (32, 48, 64)
    assert (found["blocks"].low, found["blocks"].high) == (1, 3)
    assert (found["neighbours"].low, found["neighbours"].high, found["neighbours"].log) == (100, 500, True)
