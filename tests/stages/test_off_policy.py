"""What models would have earned, on a log that is shown in full."""

import json

import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError, InputError
from lakerec.judging_config import OffPolicyConfig
from lakerec.lake.contracts import CONTRACTS
from lakerec.loading import load_config
from lakerec.stages import pipeline
from lakerec.stages.off_policy import PROPENSITY, REQUEST, REWARD, impressions

CONFIG = """
name: shown
lake: {{root: {folder}/lake}}
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
spark: {{master: "local[2]", conf: {{spark.sql.shuffle.partitions: 2}}}}
source: {{events: {{path: {folder}/events.csv, options: {{header: true}}}}}}
features: {{event_weights: {{impression: 0, click: 0}}}}
split: {{protocol: temporal, valid: 0.6, test: 0.8}}
train: {{models: [popular]}}
evaluate:
  k: [1]
  bootstrap: 100
  off_policy: {{impression: impression, reward: click}}
promote: {{k: 1}}
"""
EVENTS = """user_id,item_id,event_time,event_type,propensity
u1,a,2024-01-01 10:00:00,purchase,
u2,a,2024-01-01 10:01:00,purchase,
u3,b,2024-01-01 10:02:00,purchase,
u4,a,2024-01-01 10:03:00,purchase,
u1,b,2024-01-02 10:00:00,purchase,
u2,c,2024-01-02 10:01:00,purchase,
u3,a,2024-01-03 10:00:00,purchase,
u4,b,2024-01-04 10:00:00,purchase,
u1,c,2024-01-05 10:00:00,impression,0.5
u1,c,2024-01-05 10:10:00,click,
u2,c,2024-01-05 10:01:00,impression,0.5
u3,b,2024-01-05 10:02:00,impression,0.5
u4,b,2024-01-05 10:03:00,impression,0.5
u1,c,2024-01-09 10:00:00,purchase,
u2,b,2024-01-09 10:01:00,purchase,
u1,c,2024-01-10 10:00:00,impression,0.5
u1,c,2024-01-10 10:01:00,click,
u2,b,2024-01-10 10:00:00,impression,0.25
u3,a,2024-01-10 10:00:00,impression,0.5
u3,a,2024-01-10 10:30:00,click,
u4,c,2024-01-10 10:00:00,impression,0.8
u4,c,2024-01-10 10:31:00,click,
u5,a,2024-01-10 10:00:00,impression,0.4
u5,a,2024-01-10 10:01:00,click,
u1,c,2024-01-10 12:00:00,impression,
u2,b,2024-01-10 12:00:00,impression,1.5
"""
"""Before the test, item c was clicked at one of two impressions, b at none of two. The test begins on the 9th; by then a is
the most popular, then b. So u1, u3 and u4, who have a and b, are shown c; u2, who has a and c, b; u5, whom nobody knows, a.
The click of u4 comes too late."""


@pytest.fixture(scope="module")
def log(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    (folder / "events.csv").write_text(EVENTS)
    conf = folder / "shown.yaml"
    conf.write_text(CONFIG.format(folder=folder))
    with pipeline.opened(load_config(conf, (), {})) as context:
        pipeline.run(context, ["ingest", "clean", "featurize", "train"])
    return conf


@pytest.mark.spark
@pytest.mark.slow
def test_estimates_of_a_small_log(log):
    """Rates: 1 of 4 over all; c (1 + 2.5) / 12, b 2.5 / 12, a, which was not shown, 0.25."""
    with pipeline.opened(load_config(log, (), {})) as context:
        (outcome,) = pipeline.run(context, ["evaluate"])
        rows = context.lake.read(Tables.METRICS).where("slice = 'off_policy'").collect()
    found = {row.metric: row for row in rows}
    a, b, c = 0.25, 2.5 / 12, 3.5 / 12
    assert found["ips"].value == pytest.approx((1 / 0.5 + 1 / 0.4) / 5)
    assert found["snips"].value == pytest.approx((1 / 0.5 + 1 / 0.4) / (1 / 0.5 + 1 / 0.25 + 1 / 0.8 + 1 / 0.4))
    corrections = (1 - c) / 0.5 - b / 0.25 - c / 0.8 + (1 - a) / 0.4
    assert found["dr"].value == pytest.approx((c + b + c + c + a + corrections) / 5)
    assert all((row.model, row.k, row.n) == ("popular", 1, 5) and row.ci_low <= row.value <= row.ci_high for row in rows)
    told = json.loads(outcome.row["details"]["off_policy"])
    assert told["models"]["popular"]["1"].pop("effective") == pytest.approx(9.75**2 / (4 + 16 + 1.5625 + 6.25))
    assert told == {
        "impressions": 7, "without_propensity": 2, "rewards": 3, "requests": 5, "users": 5,
        "models": {"popular": {"1": {"matched": 0.8, "clipped": 0.0}}},
    }  # fmt: skip


@pytest.mark.spark
@pytest.mark.slow
def test_weights_are_clipped_where_it_is_asked_for(log):
    with pipeline.opened(load_config(log, ["evaluate.off_policy.clip=2"], {})) as context:
        (outcome,) = pipeline.run(context, ["evaluate"])
        row = context.lake.read(Tables.METRICS).where(f"metric = 'ips' and run_id = '{outcome.run_id}'").first()
    assert row.value == pytest.approx(4 / 5)
    assert json.loads(outcome.row["details"]["off_policy"])["models"]["popular"]["1"]["clipped"] == 0.5


@pytest.mark.spark
@pytest.mark.slow
def test_a_log_without_propensities_is_told(log):
    opened = pipeline.opened(load_config(log, ["evaluate.off_policy.propensity=chance"], {}))
    said = r"none of 7 `impression` events since the test began has a number above 0 and at most 1 as `chance`"
    with opened as context, pytest.raises(InputError, match=said):
        pipeline.run(context, ["evaluate"])


@pytest.mark.spark
def test_a_click_belongs_to_the_last_impression_before_it(spark):
    """Events are user, item, type, minute, and what an impression's context says."""
    given = [
        ("u1", "a", "impression", 0, {"propensity": "0.5", "list": "x"}),
        ("u1", "a", "impression", 5, {"propensity": "0.5", "list": "x"}),
        ("u1", "a", "click", 35, None),
        ("u1", "a", "click", 36, None),
        ("u1", "b", "click", 0, None),
        ("u1", "b", "impression", 1, {"propensity": "NaN", "list": "y"}),
        ("u2", "a", "impression", 0, {"propensity": "0", "list": "z"}),
        ("u2", "a", "click", 0, None),
        ("u2", "b", "impression", 0, {"propensity": "1"}),
        ("u2", "b", "click", 31, None),
        ("u2", "c", "view", 0, None),
        (None, "a", "impression", 0, {"propensity": "0.5", "list": "w"}),
    ]
    schema = "event_id string, user_id string, item_id string, event_type string, minute int, context map<string,string>"
    rows = spark.createDataFrame([(str(number), *row) for number, row in enumerate(given)], schema)
    rows = rows.selectExpr("*", "timestamp'2024-01-01 00:00:00' + make_interval(0, 0, 0, 0, 0, minute) AS event_time",
                           "false AS is_bot", "CAST(NULL AS string) AS digest")  # fmt: skip
    config = OffPolicyConfig(impression="impression", reward="click", request="list")
    found = impressions(rows.drop("context"), rows, config).select("event_id", REWARD, PROPENSITY, REQUEST).collect()
    assert sorted(map(tuple, found)) == [
        ("0", 0.0, 0.5, "x"), ("1", 1.0, 0.5, "x"), ("5", 0.0, None, "y"), ("6", 1.0, None, "z"),
        ("8", 0.0, 1.0, "2024-01-01 00:00:00"),
    ]  # fmt: skip
    assert set(rows.columns) - {"minute"} < {*CONTRACTS[Tables.BRONZE_EVENTS].names, "is_bot"}


def test_impressions_that_would_be_learned_from_and_other_protocols_are_refused(tmp_path):
    conf = tmp_path / "shown.yaml"
    conf.write_text(CONFIG.format(folder=tmp_path))
    for override, said in (
        ("features.event_weights={click: 0}", r"`impression` events would be learned from .*event_weights\.impression to 0"),
        ("split.protocol=leave_last_out", r"evaluate\.off_policy needs split\.protocol temporal"),
        ("evaluate.off_policy.reward=impression", r"must be two types of events, found `impression` twice"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_config(conf, [override], {})
