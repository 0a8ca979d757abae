"""The whole pipeline on a small shop: rows add up, a rerun does nothing, what is new is added once."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from lakerec.columns import Metrics, Models, Tables
from lakerec.errors import EmptyDataError, InputError
from lakerec.evaluation import leakage
from lakerec.models.catalog import CHOSEN
from lakerec.models.compressed import PRECISIONS
from lakerec.stages import auditing, offering, pipeline, planning
from lakerec.stages.base import last_run, standing
from lakerec.stages.train import VALIDATION_CELLS, Job, validation_users
from lakerec.stages.user_figures import figures
from lakerec.training_config import TrainConfig
from nbclient import NotebookClient

from tests import shop
from tests.tables import optimize

pytestmark = pytest.mark.spark
FITTED = [name for name in Models.ALL if name not in (Models.RECENT_POPULAR, Models.ITEM_CF)]


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """Config and outcomes of one run of every stage, with every kind of model."""
    chosen = f"train.models=[{', '.join(FITTED)}]"
    short = (f"train.{name}.epochs={epochs}" for name, epochs in (("mult_vae", 5), ("attention", 2), ("behaviour", 2)))
    rated = "train.behaviour.rated=[purchase]"
    config = shop.config(tmp_path_factory.mktemp("shop"), chosen, "train.als.factors=8", rated, *short)
    with pytest.MonkeyPatch.context() as patch, pipeline.opened(config) as context:
        patch.setattr("lakerec.stages.evaluate.ROWS_AT_ONCE", 700)  # so that a model's lists take two appends
        yield config, context, pipeline.run(context, pipeline.ORDER)


def rows(context, table, *columns):
    return sorted(tuple(row) for row in context.lake.read(table).select(*columns).collect())


def test_rows_in_are_good_refused_and_repeats(whole):
    _, context, outcomes = whole
    ingest = outcomes[0].row
    assert (ingest["details"]["events.rows_in"], ingest["details"]["events.good"]) == ("324", "320")
    assert (ingest["rows_quarantined"], ingest["rows_duplicate"]) == (3, 1)
    refused = rows(context, Tables.QUARANTINE, "source", "reasons")
    assert sorted(reason for _, reasons in refused for reason in reasons) == [
        "event_time_unparsable", "item_id_missing", "malformed_row",
    ]  # fmt: skip


def test_every_user_has_one_row_a_split_and_the_last_event_is_test(whole):
    _, context, _ = whole
    splits = rows(context, Tables.SEQUENCES, "split")
    assert {name: splits.count((name,)) for name in ("train", "valid", "test")} == {
        "train": 40,
        "valid": 40,
        "test": 40,
    }
    last = context.lake.read(Tables.INTERACTIONS).groupBy("user_id").agg({"position": "max"})
    joined = context.lake.read(Tables.INTERACTIONS).join(last, "user_id").where("position = `max(position)`")
    assert {row.split for row in joined.collect()} == {"test"}


def test_lists_hold_no_item_that_the_user_met_and_ranks_from_one(whole):
    _, context, _ = whole
    met = {
        (user, item)
        for user, item, split in rows(context, Tables.INTERACTIONS, "user_id", "item_id", "split")
        if split != "test"
    }
    predicted = rows(context, Tables.PREDICTIONS, "model", "user_id", "rank", "item_id")
    assert {model for model, *_ in predicted} == set(FITTED)
    assert not any((user, item) in met for _, user, _, item in predicted)
    ranks = [rank for model, user, rank, _ in predicted if (model, user) == (Models.EASE, "c0")]
    assert ranks == list(range(1, len(ranks) + 1))


def test_metrics_are_those_of_the_lists_in_the_table(whole):
    """NDCG@10 and HR@10 worked out again from eval/predictions and gold/interactions alone."""
    import math

    _, context, _ = whole
    target = {
        user: item
        for user, item, split in rows(context, Tables.INTERACTIONS, "user_id", "item_id", "split")
        if split == "test"
    }
    met = {
        (user, item)
        for user, item, split in rows(context, Tables.INTERACTIONS, "user_id", "item_id", "split")
        if split != "test"
    }
    judged = {user for user, item in target.items() if (user, item) not in met}
    for model in (Models.EASE, Models.SEQUENCE):
        ranks = {
            user: rank
            for name, user, rank, item in rows(context, Tables.PREDICTIONS, "model", "user_id", "rank", "item_id")
            if name == model and target[user] == item and rank <= 10
        }
        found = {
            row.metric: row.value
            for row in context.lake.read(Tables.METRICS).where(f"model = '{model}' and slice = 'all'").collect()
        }
        assert found["hit_rate"] == pytest.approx(len(ranks) / len(judged))
        assert found["ndcg"] == pytest.approx(sum(1 / math.log2(rank + 1) for rank in ranks.values()) / len(judged))


def test_slices_and_gaps_of_groups_are_in_the_table_with_what_lists_are_beside_right(whole):
    """40 customers of four kinds of goods: ten a category, too few for a slice; portraits have segments or none."""
    _, context, _ = whole
    found = context.lake.read(Tables.METRICS).where(f"model = '{Models.EASE}'").collect()
    whole_rows = {row.metric: row for row in found if row.slice == "all"}
    assert whole_rows.keys() == set(Metrics.ALL)
    assert {row.metric for row in found if row.slice != "all"} == set(Metrics.PER_USER)
    items = {row.slice: row.n for row in found if row.metric == "ndcg" and row.slice in ("head", "torso", "tail")}
    assert sum(items.values()) == whole_rows["ndcg"].n, "one target a user"
    assert whole_rows["diversity"].ci_low <= whole_rows["diversity"].value <= whole_rows["diversity"].ci_high
    assert 0 <= whole_rows["gini"].value < 1 and whole_rows["novelty"].value > 0


def test_figures_of_users_out_of_spark_are_those_of_the_driver(whole):
    _, context, outcomes = whole
    outcome = next(each for each in outcomes if each.stage == "evaluate")
    rows = figures(context, outcome.row["inputs"], outcome.run_id, [5, 10]).toPandas()
    assert set(rows["model"]) == set(FITTED) and not rows.isna().any(axis=None)
    means = context.lake.read(Tables.METRICS).where("slice = 'all' and k = 10").collect()
    for row in means:
        if row.metric in Metrics.PER_USER:
            own = rows.loc[rows["model"] == row.model, f"{row.metric}_at_10"]
            assert (len(own), own.mean()) == (row.n, pytest.approx(row.value, abs=1e-12)), (row.model, row.metric)
    assert (rows["recall_at_5"] <= rows["recall_at_10"]).all() and rows["recall_at_5"].sum() > 0


def test_the_audit_of_a_clean_shop_passes_and_its_findings_stand_in_the_run(whole):
    _, context, _ = whole
    run, trained = last_run(context.lake, "evaluate"), last_run(context.lake, "train").run_id
    found = context.lake.read(Tables.LEAKAGE).where(f"run_id = '{run.run_id}'").collect()
    told = {each["check"]: each["checked"] for each in json.loads(run.details["leakage"])}
    assert all(row.ok for row in found) and {row.check: row.checked for row in found} == told
    assert {check for check, checked in told.items() if not checked} <= {leakage.ADAPTATION, leakage.VOCABULARY}
    assert auditing.refusals(context, run.run_id, trained) == []
    assert auditing.refusals(context, "older", trained)[0].startswith("no leakage audit of older")


def test_the_behaviour_model_is_judged_by_single_events_too(whole):
    """Goods are one of four kinds, and each is bought once at a time: values are 1."""
    _, context, _ = whole
    found = context.lake.read(Tables.METRICS).where("k = 0").collect()
    assert {(row.model, row.slice) for row in found} == {(Models.BEHAVIOUR, "all")}
    assert {row.metric for row in found} == {"auc", "accuracy", "log_loss", "calibration", "mae", "rmse"}
    judged = context.lake.read(Tables.METRICS).where("metric = 'ndcg' and model = 'behaviour' and slice = 'all'").first().n
    for row in found:
        assert (row.ci_low <= row.value or row.metric == "calibration") and row.value <= row.ci_high and row.n == judged
        assert 0.5 <= row.value <= 1 if row.metric == "auc" else row.value <= 1


def test_models_that_cannot_bear_the_catalogue_and_users_beyond_memory_are_left_out_and_told(whole, monkeypatch):
    config, context, outcomes = whole
    small = config.model_copy(update={"train": config.train.model_copy(update={"dense_items": 10})})
    inputs = next(outcome.row["inputs"] for outcome in outcomes if outcome.stage == "train")
    said = []
    monkeypatch.setattr("lakerec.stages.train.event", lambda _stage, _run, what, **figures: said.append((what, figures)))
    held = set(FITTED) - {Models.EASE, Models.MULT_VAE, Models.DISTILLED, Models.BLEND}
    monkeypatch.setattr("lakerec.stages.train.VALIDATION_CELLS", 32 * len(held) * 10)
    job = Job(replace(context, config=small, run_id="train-small"), inputs)
    for name in (Models.EASE, Models.MULT_VAE, Models.USER_CF):
        job.fit_simple(name)
    assert list(job.values) == [Models.USER_CF]
    fewer = ("fewer users validate than asked", {"most": 10, "asked": 10_000})
    left_out = [(f"{name} left out", {"items": 32, "most": 10}) for name in (Models.EASE, Models.MULT_VAE)]
    fitted = ("user_cf fitted", {"valid_ndcg": f"{job.values[Models.USER_CF]:.4f}"})
    assert said == [fewer, *left_out, fitted] and 0 < len(job.holdout.histories) <= 10
    shutil.rmtree(job.folder)


def test_only_models_that_are_fitted_and_blended_share_the_memory_of_validation():
    models = ["popular", "ease", "sequence", "distilled", "blend"]
    config = TrainConfig(models=models, validation_users=10**9, dense_items=1000)
    assert validation_users(config, 1000) == VALIDATION_CELLS // 3000
    assert validation_users(config, 1001) == VALIDATION_CELLS // 2002, "without ease"
    assert validation_users(config.model_copy(update={"models": ["ease"]}), 1001) == VALIDATION_CELLS // 1001


def test_every_user_is_served_ten_items_with_reasons_by_the_champion(whole):
    _, context, _ = whole
    served = rows(context, Tables.RECOMMENDATIONS, "user_id", "rank", "reason", "model_version")
    assert len(served) == 400
    assert all(reason for _, _, reason, _ in served)
    assert {version for *_, version in served} == {"lakerec-shop/1"}
    assert rows(context, Tables.PROMOTIONS, "challenger", "promoted") == [("1", True)]


def test_reasons_name_the_users_own_items_by_the_share_that_the_evidence_has(whole):
    _, context, _ = whole
    titles = dict(rows(context, Tables.ITEMS, "item_id", "title"))
    met = set(rows(context, Tables.INTERACTIONS, "user_id", "item_id"))
    named = 0
    for user, reason, evidence in rows(context, Tables.RECOMMENDATIONS, "user_id", "reason", "evidence"):
        assert len(reason) <= 160 and "\n" not in reason
        assert all((user, each.item_id) in met and 0 < each.share <= 1 for each in evidence)
        for title, share in re.findall(r"“(.*?)” \((\d+) %\)", reason):
            named += 1
            assert (title, share) in [(titles[each.item_id], f"{100 * each.share:.0f}") for each in evidence[:2]]
    assert named > 100
    told = json.loads(last_run(context.lake, "recommend").details["faithfulness"])
    assert told["users"] > 0 and told["named"] > told["drawn"]


def test_the_champion_answers_from_mlflow_in_a_process_without_spark(whole, tmp_path):
    config, _, _ = whole
    code = (
        "import sys; sys.modules['pyspark'] = None; sys.modules['petastorm'] = None\n"
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri({config.tracking.uri!r})\n"
        "model = mlflow.pyfunc.load_model('models:/lakerec-shop@champion')\n"
        "asked = pd.DataFrame({'items': [['p0', 'p1', 'never seen'], []]})\n"
        "found = model.predict(asked, params={'k': 3})\n"
        "asked['times'] = [[0, 90, 99], []]\n"
        "timed = model.predict(asked, params={'k': 3})\n"
        "asked['times'] = [[0, 90], []]\n"
        "try: model.predict(asked)\n"
        "except Exception as error: print(error)\n"
        "print(found.to_json(orient='records'))\n"
        "print(timed.to_json(orient='records'))\n"
    )
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    *_, refused, found, timed = done.stdout.strip().splitlines()
    assert refused == "row 0: times must have one number for each of its 3 items, oldest first"
    found, timed = json.loads(found), json.loads(timed)
    assert len(timed) == len(found)
    assert [(row["row"], row["rank"]) for row in found] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert not {"p0", "p1"} & {row["item_id"] for row in found if row["row"] == 0}


def test_mlflow_has_a_parent_run_with_a_child_a_stage(whole):
    _, context, outcomes = whole
    runs = context.tracker.client.search_runs([context.tracker.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[-1].info.run_id}
    assert set(children) == {outcome.stage for outcome in outcomes} == set(pipeline.ORDER) - {"adapt", "profile"}
    train = children["train"]
    assert train.data.params["train.dims"] == "16"
    assert [point.step for point in context.tracker.client.get_metric_history(train.info.run_id, "valid_ndcg")] == [
        1,
        2,
    ]
    assert train.data.tags["input.gold/sequences"].isdigit()
    settings = json.loads(next(outcome for outcome in outcomes if outcome.stage == "train").row["details"]["settings"])
    assert {"als.alpha", "user_cf.history_half_life"} <= set(settings)
    assert len(settings) == sum(len(CHOSEN.get(model, ())) for model in FITTED)
    assert settings["ease.half_life_days"] in (0, 7, 30)
    assert "report.html" in {file.path for file in context.tracker.client.list_artifacts(children["report"].info.run_id)}


def test_a_second_run_does_nothing_and_the_plan_says_so(whole):
    config, context, _ = whole
    before = {table: context.lake.version(table) for table in (Tables.BRONZE_EVENTS, Tables.PREDICTIONS, Tables.RUNS)}
    assert all(outcome.skipped for outcome in pipeline.run(context, pipeline.ORDER))
    planned = planning.plan(config)
    assert not any(step["due"] for step in planned["stages"])
    assert planned["embed"] == {"texts": 0, "tokens": 0, "hours": 0.0, "tried": 0, "before": []}
    assert before == {table: context.lake.version(table) for table in before}


@pytest.mark.parametrize(("stage", "detail"), [("train", "folder"), ("report", "path")])
def test_a_stage_whose_models_or_page_are_gone_is_due(whole, stage, detail):
    _, context, outcomes = whole
    made = Path(next(outcome.row["details"][detail] for outcome in outcomes if outcome.stage == stage))
    assert not standing(context, pipeline.stage(stage)).due
    aside = made.rename(made.with_name("aside"))
    try:
        assert standing(context, pipeline.stage(stage)).why == f"{made} is gone"
    finally:
        aside.rename(made)


def test_the_lists_are_due_when_another_champion_serves(whole):
    _, context, _ = whole
    assert not standing(context, pipeline.stage("recommend")).due
    context.tracker.client.delete_registered_model_alias("lakerec-shop", "champion")
    try:
        assert standing(context, pipeline.stage("recommend")).due
    finally:
        context.tracker.client.set_registered_model_alias("lakerec-shop", "champion", "1")


def test_a_plan_writes_nothing_and_knows_no_texts_before_there_are_any(spark, tmp_path, capsys):
    config = shop.config(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    planned = planning.plan(config)
    assert all(step["due"] for step in planned["stages"])
    first = ["ingest", "clean", "featurize"]
    assert planned["embed"] == {"texts": None, "tokens": None, "hours": None, "tried": 0, "before": first}
    assert sorted(tmp_path.rglob("*")) == before
    planning.print_plan(planned)
    assert "to embed: not known before featurize has run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "table", "first"),
    [
        ("adapt", "gold/item_text", "featurize"),
        ("embed", "gold/item_text", "featurize"),
        ("train", "gold/sequences", "featurize"),
    ],
)
def test_a_stage_whose_tables_are_not_there_is_refused_before_anything_is_made(spark, tmp_path, name, table, first):
    said = f"{name}: {table} is not there yet: run `lakerec {first}` first, and see lake.root"
    opened = pipeline.opened(shop.config(tmp_path, "adapt.objectives={pairs: 1.0}"))
    with opened as context, pytest.raises(InputError, match=said):
        pipeline.run(context, (name,))
    assert not (tmp_path / "lake").exists() and not list(tmp_path.glob("*.db"))


@pytest.mark.long
def test_what_follows_a_forced_run_is_due_and_seeds_are_those_that_were_trained(spark, tmp_path):
    stages = ("ingest", "clean", "featurize", "embed", "train", "evaluate")
    config = shop.config(tmp_path, "train.models=[popular, sequence]", "train.epochs=1", "train.seeds=[3, 5]")
    with pipeline.opened(config) as context:
        pipeline.run(context, stages)
        pipeline.run(context, ["train"], force=True)
    other = config.model_copy(update={"train": config.train.model_copy(update={"seeds": [7]})})
    with pipeline.opened(other) as context:
        assert not pipeline.run(context, ["evaluate"])[0].skipped
        run = last_run(context.lake, "evaluate").run_id
        found = context.lake.read(Tables.METRICS).where(f"run_id = '{run}' and slice like 'seed%'")
        assert {row.slice for row in found.collect()} == {"seed_3", "seed_5", "seeds"}


def test_models_that_are_gone_are_said(whole, monkeypatch):
    from lakerec.stages import evaluate

    _, context, outcomes = whole
    trained = last_run(context.lake, "train")
    monkeypatch.setattr(evaluate, "_train_run", lambda *_: trained)
    folder = Path(trained.details["folder"])
    aside = folder.rename(folder.with_name("aside"))
    try:
        with pytest.raises(InputError, match="the fitted models are gone"):
            evaluate.run(context, outcomes[5].row["inputs"])
    finally:
        aside.rename(folder)


def test_the_report_is_one_file_with_headline_titles_and_reasons(whole):
    config, _, _ = whole
    page = (Path(config.lake.root).parent / "report.html").read_text()
    assert "chosen on validation, reaches NDCG@10" in page and "because of" in page and "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "c1,p1,soon,1" not in page
    seen = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S)
    assert "324 rows of events came in from 1 file" in seen and "User no. 0" in seen
    assert not re.search(r"\bc\d+\b", seen), "no customer by id"


def test_the_notebook_runs_from_its_first_cell_to_its_last(whole, tmp_path, monkeypatch):
    config, _, _ = whole
    (tmp_path / "shop.yaml").write_text(config.model_dump_json())
    monkeypatch.setenv("LAKEREC_CONF", str(tmp_path / "shop.yaml"))
    notebook = nbformat.read(Path(__file__).parents[2] / "notebooks" / "tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    text = str([output for cell in notebook.cells for output in cell.get("outputs", [])])
    assert "events.rows_in" not in text and "<svg" in text and "last met:" in text and "ndcg" in text
    assert "malformed_row" in text


@pytest.mark.long
def test_new_files_are_added_once_and_only_new_texts_are_encoded(spark, tmp_path):
    """And what is new is in the lists, which the model makes that was fitted before it came."""
    config = shop.config(tmp_path, "train.models=[content]", "recommend.k=40")
    stages = ("ingest", "clean", "featurize", "embed")
    with pipeline.opened(config) as context:
        pipeline.run(context, (*stages, "train", "evaluate", "promote"))
        day = tmp_path / "raw" / "events" / "day-2.csv"
        day.write_text("customer,product,at,quantity\nc0,p0,2024-01-01 10:00:00,1\nc0,new,2024-02-01 10:00:00,1\n")
        assert [step["due"] for step in planning.plan(config)["stages"]][:4] == [True] * 4
        second = pipeline.run(context, stages[:3])
        waiting = planning.plan(config)["embed"]
        second += pipeline.run(context, stages[3:])
        assert (second[0].row["rows_in"], second[0].row["rows_out"], second[0].row["rows_duplicate"]) == (2, 1, 1)
        assert second[3].row["details"]["encoded"] == "1"
        assert waiting["texts"] == 1 and waiting["tokens"] == 3  # `new` between two marks
        first = context.lake.read(Tables.RUNS).where("stage = 'embed'").orderBy("started_at").first()
        assert waiting["hours"] == 3 / float(first.details["tokens_per_second"]) / 3600
        assert int(second[3].row["details"]["tokens"]) == int(first.details["tokens"]) + 3
        assert context.lake.read(Tables.BRONZE_EVENTS).count() == 321
        index = dict(context.lake.read(Tables.ITEM_INDEX).collect())
        assert index["new"] == len(index) - 1
        (listed,) = pipeline.run(context, ["recommend"])
        assert listed.row["details"]["model"] == "lakerec-shop/1" and listed.row["details"]["items_waiting"] == "0"
        shown = context.lake.read(Tables.RECOMMENDATIONS).where("item_id = 'new'").collect()
        assert {row.user_id for row in shown} == {f"c{number}" for number in range(1, 40)}, "all but the one who bought it"


def test_a_time_column_that_never_parses_is_the_users_mistake(spark, tmp_path):
    config = shop.config(tmp_path, "source.events.time_format=dd/MM/yyyy")
    with (
        pipeline.opened(config) as context,
        pytest.raises(
            InputError, match=r"no value parses as a time by source.events.time_format `dd/MM/yyyy`; found .2024-01-"
        ),
    ):
        pipeline.run(context, ["ingest"])
    assert not (tmp_path / "lake" / "bronze").exists()


def test_when_every_row_is_bad_the_run_stops(spark, tmp_path):
    config = shop.config(tmp_path)
    (tmp_path / "raw" / "events" / "day-1.csv").write_text("customer,product,at,quantity\nc1,,2024-01-01 10:00:00,1\n")
    with pipeline.opened(config) as context, pytest.raises(EmptyDataError, match="not one of 33 rows"):
        pipeline.run(context, ["ingest"])


def test_upkeep_from_outside_makes_no_stage_due(whole):
    """OPTIMIZE makes versions without new content; a later one stands in for those that runs name."""
    _, context, _ = whole
    before = {stage.name: now.due for stage, now in pipeline.plan(context)}
    for table in (Tables.BRONZE_EVENTS, Tables.SEQUENCES, Tables.PREDICTIONS, Tables.ITEM_VECTORS):
        optimize(context.lake, table)
        context.spark.sql(f"ALTER TABLE {context.lake.sql_name(table)} SET TBLPROPERTIES ('who' = 'somebody')")
    assert {stage.name: now.due for stage, now in pipeline.plan(context)} == before


def test_a_smaller_item_table_is_judged_and_may_serve(whole):
    config, context, _ = whole
    metrics = context.lake.read(Tables.METRICS).where("metric = 'ndcg' and slice in ('fp16', 'int8')")
    assert {(row.model, row.slice, row.n) for row in metrics.collect()} == {("sequence", kind, 35) for kind in PRECISIONS}
    served = config.model_copy(update={"promote": config.promote.model_copy(update={"table": "int8"})})
    with pipeline.opened(served) as again:
        (outcome,) = pipeline.run(again, ["promote"])
        version = outcome.row["details"]["version"]
        assert again.tracker.client.get_model_version(offering.model_name(again.config), version).tags["table"] == "int8"
