"""`lakerec backtest`: what lies before and after a cutoff, and the shop judged at two."""

import doctest
import json

import numpy as np
import pytest
from lakerec.columns import Metrics, Tables
from lakerec.errors import ConfigError, EmptyDataError, InputError
from lakerec.models import catalog
from lakerec.models.data import Histories, TrainingData
from lakerec.models.topk import recommend
from lakerec.stages import backtest, pipeline
from lakerec.stages.backtest import cutoffs_of, folds, models_of, print_backtest, with_settings
from lakerec.training_config import TrainConfig

from tests import shop

ITEMS = 6
PAST = Histories.from_lists([[0, 1, 2], [1, 2, 0], [3], [2, 4]], [[10, 20, 30], [11, 21, 30], [31], [12, 22]])
"""Four users; the third does nothing before second 30, the last nothing from then on."""


def test_cutoffs_are_the_times_of_events():
    assert cutoffs_of(PAST.times, [0.5, 0.8]) == [21, 30]
    assert cutoffs_of(np.array([5, 5, 5]), [0.5]) == [5]
    with pytest.raises(EmptyDataError, match="gold/sequences has no event"):
        cutoffs_of(np.zeros(0), [0.5])


def test_an_event_at_a_cutoff_comes_after_it_and_the_next_cutoff_ends_it():
    first, second = folds(PAST, [20, 30], ITEMS)
    assert first.known.tolist() == [0, 1, 3] and first.before.items.tolist() == [0, 1, 2]
    assert [first.holdout.targets.row(user).tolist() for user in range(3)] == [[1], [2], [4]]
    assert second.known.tolist() == [0, 1, 3] and second.before.items.tolist() == [0, 1, 1, 2, 2, 4]
    assert [second.holdout.histories.row(user).tolist() for user in range(3)] == [[0, 1], [1, 2], []]
    assert [second.holdout.targets.row(user).tolist() for user in range(3)] == [[2], [0], [3]]


def test_items_that_a_user_had_met_are_not_to_be_found_again():
    again = Histories.from_lists([[0, 0, 1]], [[10, 20, 21]])
    (fold,) = folds(again, [20], ITEMS)
    assert fold.holdout.targets.items.tolist() == [1]


def test_cutoffs_without_anything_before_or_after_them_are_told():
    with pytest.raises(InputError, match=r"no event lies before 1970-01-01 00:00: choose later cutoffs"):
        list(folds(PAST, [10], ITEMS))
    with pytest.raises(InputError, match=r"from 1970-01-01 00:00 to the end nobody has an item that is new to them"):
        list(folds(PAST, [32], ITEMS))


@pytest.mark.parametrize("name", ["popular", "recent_popular", "user_cf", "item_cf", "ease"])
def test_what_comes_after_a_cutoff_changes_no_list(name):
    """Many more users meet item 5 at the cutoff and later; only a fit on them too has it in its lists."""
    crowd = Histories.from_lists([[5, 1]] * 20, [[22, 40]] * 20)
    rest = (np.concatenate([PAST.items, crowd.items]), np.concatenate([PAST.times, crowd.times]))
    planted = Histories(np.concatenate([PAST.offsets, crowd.offsets[1:] + PAST.offsets[-1]]), *rest)

    def shown(histories):
        model = catalog.build(name, TrainConfig())
        model.fit(TrainingData(histories, ITEMS))
        return next(iter(recommend(model, PAST.where(PAST.times < 22), 3, ITEMS)))[1]

    (before,), (after,) = folds(PAST, [22], ITEMS), folds(planted, [22], ITEMS)
    np.testing.assert_array_equal(shown(before.before), shown(after.before))
    assert len(after.holdout.targets) > len(before.holdout.targets)
    assert (shown(planted) != shown(before.before)).any(), "a fit on all of it would have told"


def test_models_are_those_that_are_fitted_on_histories_alone(tmp_path):
    conf = shop.write(tmp_path)
    assert models_of(shop.load(conf)) == ["popular", "ease", "content"]
    assert models_of(shop.load(conf, "backtest.models=[als]")) == ["als"]
    for models, said in (
        ("backtest.models=[sequence]", r"`sequence` is not fitted on histories alone; allowed: popular, .*behaviour"),
        ("backtest.models=[eas]", r"`eas` is unknown; did you mean `ease`\?"),
        ("train.models=[sequence]", r"none of train\.models is fitted on histories alone"),
    ):
        with pytest.raises(ConfigError, match=said):
            models_of(shop.load(conf, models))


def test_a_model_has_what_was_chosen_for_it():
    chosen = {"ease.regularization": 400.0, "als.alpha": 3.0, "ease.half_life_days": 7.0}
    ease, als = (with_settings(name, TrainConfig(), chosen) for name in ("ease", "als"))
    assert (ease.regularization, ease.half_life_days, ease.als.alpha) == (400, 7, 10)
    assert (als.regularization, als.half_life_days, als.als.alpha) == (100, 0, 3)


def test_it_is_printed_in_80_columns(capsys):
    result = {
        "metric": "ndcg", "k": 10, "cutoffs": ["2024-01-05 10:00", "2024-01-05 12:30"], "users": [1200, 800],
        "models": {"recent_popular": [0.3, 0.1], "popular": [0.1, 0.2]}, "agreement": [-1.0], "left_out": ["ease"],
    }  # fmt: skip
    print_backtest(result)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.index("recent_popular") < printed.index("popular  ") and "12:30" in printed and "1,200" in printed
    assert "changes: Kendall's tau" in printed and "-1.00" in printed and "too large for them: ease" in printed


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(backtest)
    assert tried and not failed


@pytest.mark.spark
@pytest.mark.slow
def test_the_shop_at_two_cutoffs_of_which_one_is_where_its_test_begins(spark, tmp_path, capsys):
    """There the figures are those of evaluate, intervals included: same fits, same users, same lists."""
    split = ("split.protocol=temporal", "split.valid=0.5", "split.test=0.75", "backtest.cutoffs=[0.5, 0.75]")
    rated = ("train.behaviour.rated=[purchase]", "train.behaviour.epochs=1")
    small = ("train.als.factors=8", "train.als.iterations=2", "train.choices={regularization: [100, 400]}")
    config = shop.config(tmp_path, *split, "train.models=[popular, ease, als, behaviour]", *rated, *small)
    with pytest.raises(InputError, match="gold/sequences is not there yet"):
        backtest.backtest(config)
    with pipeline.opened(config) as context:
        pipeline.run(context, ["ingest", "clean", "featurize", "train", "evaluate"])
        result, again = backtest.backtest(config), backtest.backtest(config)
        evaluated = context.lake.read(Tables.METRICS).where("slice = 'all' and k > 0").collect()
        assert context.lake.read(Tables.BACKTEST).count() == len(result["rows"])
        tracked = context.tracker.client.search_runs([context.tracker.experiment_id])
        (run,) = [run for run in tracked if run.info.run_name == "backtest" and "popular_ndcg_at_10" in run.data.metrics]
        points = context.tracker.client.get_metric_history(run.info.run_id, "popular_ndcg_at_10")
    assert result["cutoffs"] == ["2024-01-05 10:00", "2024-01-07 10:00"] and result["settings"].startswith("train-")
    figures = ("value", "ci_low", "ci_high", "n")
    theirs = {(row.model, row.metric, row.k): [row[name] for name in figures] for row in evaluated}
    last = [row for row in result["rows"] if row["cutoff"] == result["cutoffs"][1]]
    ours = {(row["model"], row["metric"], row["k"]): [row[name] for name in figures] for row in last}
    assert ours == {key: theirs[key] for key in ours} and {metric for _, metric, _ in ours} >= set(Metrics.PER_USER)
    assert {row["model"] for row in last} == set(result["models"]) == {"popular", "ease", "als", "behaviour"}
    assert [point.value for point in points] == result["models"]["popular"] and len(result["agreement"]) == 1
    assert again["skipped"] and not result["skipped"] and again["rows"] == result["rows"]
    print_backtest(result)
    assert "2024-01-07" in capsys.readouterr().out
    json.dumps(result, allow_nan=False)
