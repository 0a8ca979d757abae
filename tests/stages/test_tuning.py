"""`lakerec tune` on the shop: what is tried, what comes out, and that a search goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lakerec.errors import ConfigError, InputError
from lakerec.loading import load_config
from lakerec.models.behaviour import Behaviour
from lakerec.stages import pipeline, tuning
from lakerec.stages.studies import Tried
from lakerec.training.fit import holdout_in
from safetensors.numpy import load_file

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]
FEW = ("tune.trials=2", "tune.space={regularization: {low: 10, high: 5000, log: true}, learning_rate: [0.01]}")


@pytest.fixture(scope="module")
def conf(embedded_shop):
    """The shop's config, with all tables that models are fitted on."""
    return embedded_shop


def tune(conf, *overrides):
    return tuning.tune(shop.load(conf, *overrides), str(conf), overrides)


def test_each_model_is_searched_and_the_best_settings_are_a_config(conf, capsys):
    result = tune(conf, *FEW)
    ease, sequence = result["models"]["ease"], result["models"]["sequence"]
    assert (ease["trials"], sequence["trials"]) == (2, 2)
    assert ease["best"] >= ease["now"] > 0 and sequence["best"] >= sequence["now"] > 0
    tuned = load_config(result["config"], environment={})
    assert tuned.train.regularization == ease["settings"]["regularization"] and tuned.name == "shop"
    assert tuned.train.learning_rate == sequence["settings"]["learning_rate"] in (0.003, 0.01)
    tuning.print_tuning(result)
    printed = capsys.readouterr().out
    assert f"lakerec run --conf {result['config']}" in printed and "learning_rate" in printed
    json.dumps(result)
    with pipeline.opened(shop.load(conf)) as context:
        client = context.tracker.client
        runs = client.search_runs([context.tracker.experiment_id], order_by=["attributes.start_time"])
    of_tune = [run for run in runs if run.info.run_name.startswith(("ease ", "sequence "))]
    assert len(of_tune) == 4 and all(run.data.tags["mlflow.parentRunId"] for run in of_tune)
    assert all(run.data.metrics["valid_ndcg"] for run in of_tune if run.info.run_name.startswith("sequence"))
    more = tune(conf, *FEW, "tune.trials=3", "tune.models=[ease]")
    assert more["models"]["ease"]["trials"] == 3, "the first two are those of before"


def test_settings_of_sections_are_tuned_and_values_of_events_are_known_to_trials(conf, monkeypatch):
    seen = []
    fit = Behaviour.fit
    monkeypatch.setattr(Behaviour, "fit", lambda self, data: (seen.append(data.values), fit(self, data)))
    space = "tune.space={behaviour.negatives: [4], two_tower.dims: [8], two_tower.half_life_days: [7]}"
    short = ("train.behaviour.epochs=1", "train.two_tower.epochs=2", "train.behaviour.rated=[purchase]")
    result = tune(conf, space, *short, "tune.trials=2", "tune.models=[two_tower, behaviour]")
    assert len(seen) == 2 and all(values is not None and (values == 1).all() for values in seen)
    tuned = load_config(result["config"], environment={}).train
    towers, behaviour = result["models"]["two_tower"]["settings"], result["models"]["behaviour"]["settings"]
    assert tuned.behaviour.negatives == behaviour["behaviour.negatives"] in (4, 8)
    assert tuned.two_tower.dims == towers["two_tower.dims"] in (8, 64)
    assert tuned.two_tower.half_life_days == towers["two_tower.half_life_days"] in (0, 7)
    again = tune(conf, space, *short, "train.two_tower.gap=3", "tune.trials=1", "tune.models=[two_tower]")
    assert again["models"]["two_tower"]["trials"] == 1, "another gap is another study"


def test_what_was_set_for_the_search_is_in_the_config_that_comes_out(conf, capsys, monkeypatch):
    monkeypatch.setattr(tuning, "run_trial", lambda argument: argument["settings"]["regularization"])
    space = "tune.space={regularization: [70, 80]}"
    kept = ("train.choices={}", "train.regularization=60", "train.heads=1", "tune.models=[ease]", "tune.trials=9", space)
    result = tune(conf, *kept, "tracking.experiment=secret")
    tuned = load_config(result["config"], environment={})
    assert tuned == shop.load(conf, *kept, "train.regularization=80")
    with pytest.raises(ConfigError, match=r"tuned\.yaml: the search writes this file, .*: copy it, and tune the copy"):
        tuning.tune(tuned, result["config"])
    assert result["set"] == ["tracking.experiment"] and "secret" not in Path(result["config"]).read_text()
    tuning.print_tuning(result)
    assert f"lakerec run --conf {result['config']} --set tracking.experiment=...\n" in capsys.readouterr().out


def test_trials_validate_on_as_many_users_as_are_asked_for(conf, monkeypatch):
    """They hold no scores of other models, as train does."""
    users = []

    def run_trial(argument):
        users.append(len(holdout_in(load_file(argument["inputs"])).histories))
        return 0.5

    monkeypatch.setattr(tuning, "run_trial", run_trial)
    monkeypatch.setattr("lakerec.stages.train.VALIDATION_CELLS", 1)
    tune(conf, "tune.models=[ease]", "tune.space={regularization: [70]}", "tune.trials=1")
    assert users[0] > 20


def test_trials_of_other_data_of_the_same_versions_do_not_count(conf, monkeypatch):
    """As in a lake that was removed and made anew from other files, beside which the journal stayed."""
    ran = []
    monkeypatch.setattr(tuning, "run_trial", lambda argument: ran.append(argument["number"]) or 0.5)
    one = ("tune.models=[ease]", "tune.space={regularization: [50]}", "tune.trials=1")
    tune(conf, *one)
    tune(conf, *one)
    assert ran == [0], "the second search found the first one's trial"
    others = {
        "known_until": lambda users: replace(users, histories=replace(users.histories, items=users.histories.items[::-1])),
        "holdout": lambda found: (found[0][1:], found[1].take(np.arange(1, len(found[0])))),
        "item_vectors": lambda vectors: -vectors,
    }
    for name, other in others.items():
        own = getattr(tuning.arrays, name)
        with monkeypatch.context() as patch:
            patch.setattr(tuning.arrays, name, lambda *given, own=own, other=other: other(own(*given)))
            assert tune(conf, *one)["models"]["ease"]["trials"] == 1
    assert ran == [0, 0, 0, 0]


def test_now_is_what_the_trial_with_the_settings_of_now_gave():
    ended = (({"dims": 8}, None, "fail"), ({"dims": 16}, 0.5, "complete"), ({"dims": 8}, 0.4, "complete"))
    trials = [Tried(number, *each, [], 1.0) for number, each in enumerate(ended)]
    assert tuning._best(trials, {"dims": 8})["now"] == 0.4
    assert tuning._best(trials, {"dims": 32})["now"] is None


def test_what_cannot_be_tuned_is_said_before_anything_starts(conf, tmp_path):
    with pytest.raises(ConfigError, match=r"tune\.space: unknown setting `regularisation`; did you mean `regularization`"):
        tune(conf, "tune.space={regularisation: [1]}")
    with pytest.raises(ConfigError, match=r"tune\.models: `popular` has no settings.*allowed: .*ease"):
        tune(conf, "tune.models=[popular]")
    with pytest.raises(ConfigError, match=r"no model of tune\.models .* has a setting in tune\.space"):
        tune(conf, "tune.models=[ease]", "tune.space={regularization: []}")
    with pytest.raises(ConfigError, match=r"tune\.space: dims \(33\) must be a multiple of heads"):
        tune(conf, "tune.models=[sequence]", "tune.space={dims: [33]}", "tune.trials=4")
    with pytest.raises(InputError, match=r"gold/sequences is not there yet"):
        tune(shop.write(tmp_path), "tune.models=[ease]")


def test_trials_side_by_side_are_tasks(conf):
    result = tune(conf, *FEW, "tune.parallel=2", "tune.models=[sequence]", "tune.trials=3")
    assert result["models"]["sequence"]["trials"] == 3 and result["models"]["sequence"]["best"] > 0
