"""The command line's contract: verbs, exit codes, one line for a mistake, machine-readable answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lakerec import cli
from lakerec.errors import InputError, LakerecError
from lakerec.ingest.paths import lies_nothing
from lakerec.loading import load_config
from lakerec.stages.pipeline import ORDER, check_named, check_sources

ROOT = Path(__file__).parents[1]


def call(capsys, *words):
    """Exit code, standard output and standard error of a call."""
    try:
        cli.main(words)
        code = 0
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_verbs_are_the_stages_in_pipeline_order():
    assert tuple(cli.STAGES) == ORDER


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ingest"], "Missing option '--conf'"),
        (["ingets"], "No such command 'ingets'"),
        (["ingets"], "see `lakerec --help`"),
        (["run", "--conf", "nowhere.yaml"], "config file not found: nowhere.yaml"),
        (["run", "--conf", str(ROOT)], f"config file is a folder, not a file: {ROOT}"),
        (["ingest", "--conf", "{demo}", "--through", "report"], "--through needs --follow"),
        (["backtest", "--conf", "{demo}", "--set", "backtest.models=[blend]"], "`blend` is not fitted on histories alone"),
        (["run", "--conf", "{demo}", "--set", "train.epoch=1"], "unknown key `train.epoch`; did you mean `epochs`?"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(capsys, words, message):
    words = [word.format(demo=ROOT / "conf" / "demo.yaml") for word in words]
    code, out, err = call(capsys, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_without_a_verb_there_is_help_and_nothing_else(capsys):
    code, out, err = call(capsys)
    assert "Usage: lakerec" in out + err and "error:" not in out + err and code == 2


def test_json_reports_a_mistake_as_an_object(capsys):
    code, out, _ = call(capsys, "run", "--conf", "nowhere.yaml", "--json")
    assert code == 2
    assert json.loads(out)["exit_code"] == 2


def test_ctrl_c_is_one_line_that_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_config", interrupted)
    code, out, err = call(capsys, "run", "--conf", "conf.yaml")
    assert (code, out) == (130, "")
    assert err.strip() == "error: interrupted; the next run goes on where this one stopped"


def test_no_java_is_one_line_with_the_command_for_each_system(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("name: x\nlake: {root: lake}\nspark: {master: 'local[1]'}\nsource: {events: {path: e.csv}}\n")
    (tmp_path / "e.csv").write_text("user_id,item_id,event_time\n")
    environment = {"PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lakerec.cli", "ingest", "--conf", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    for advice in ("Java was not found", "apt-get install", "brew install", "conda install"):
        assert advice in line
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("verb", ["run", "ingest", "plan"])
@pytest.mark.parametrize("path", ["{tmp}/nowhere", "{tmp}/*.cvs", "file://{tmp}/nowhere/*.csv"])
def test_a_source_that_is_nowhere_is_told_before_spark_starts(capsys, monkeypatch, tmp_path, verb, path):
    def started(*_):
        raise AssertionError("Spark was started")

    monkeypatch.setattr("lakerec.stages.pipeline.opened", started)
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    (tmp_path / "1.csv").touch()
    path = path.format(tmp=tmp_path)
    words = [verb, "--conf", str(ROOT / "conf" / "demo.yaml"), "--set", f"source.events.path={path}"]
    expected = f"no file found at {path}, or empty ones only; put the files there or correct the path"
    assert call(capsys, *words) == (2, "", f"error: source.events.path: {expected}\n")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("{tmp}/*.csv", []), ("file:{tmp}/1.csv", []), ("{tmp}", []), ("{tmp}/[1-3].csv", []), ("{tmp}/{{1,2}}.csv", []),
        ("s3a://shop/events", []), ("dbfs:/events", []),
        ("nowhere", ["spark.master=yarn"]), ("nowhere", ["spark.conf.spark.hadoop.fs.defaultFS=hdfs://here/"]),
    ],
)  # fmt: skip
def test_what_may_be_there_is_left_to_spark(monkeypatch, tmp_path, path, more):
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    (tmp_path / "1.csv").touch()
    overrides = [f"source.events.path='{path.format(tmp=tmp_path)}'", *more]
    check_sources(load_config(ROOT / "conf" / "base.yaml", overrides, {}))


@pytest.mark.parametrize("variable", ["HADOOP_CONF_DIR", "SPARK_CONF_DIR", "DATABRICKS_RUNTIME_VERSION"])
def test_where_settings_may_lead_elsewhere_nothing_is_told_before_spark(monkeypatch, tmp_path, variable):
    for name in ("HADOOP_CONF_DIR", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    nowhere = load_config(ROOT / "conf" / "base.yaml", ["source.events.path=nowhere"], {})
    with pytest.raises(InputError, match=r"^source\.events\.path: no file found at nowhere"):
        check_sources(nowhere)
    monkeypatch.setenv(variable, str(tmp_path))
    check_sources(nowhere)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.model=minlm", r"minlm"),
        ("adapt.objectives={causal_lm: 1.0}", r"causal_lm needs a decoder, and `minilm` is none: take masked_lm"),
        ("source.events.personal={user_id: hash}", r"set the environment variable LAKEREC_PSEUDONYM_KEY"),
        (
            "profile.labels={kind: {path: kindz.csv, label: kind}}",
            r"profile\.labels\.kind\.path: no file found at kindz\.csv",
        ),
        ("profile.spans={brand: {path: spans.csv, label: brand}}", r"profile\.spans\.brand\.path: no file found"),
        (
            "profile.descriptions={model: nowhere}",
            r"profile\.descriptions\.model: `nowhere` was not found .*, or use `catalogue`",
        ),
        ("profile.descriptions={model: minilm}", r"profile\.descriptions\.model: .* is no causal model"),
        ("fusion.others={image: {path: nowhere.parquet}}", r"fusion\.others\.image\.path: no file found"),
    ],
)
def test_what_a_config_names_is_looked_for_before_any_stage_runs(monkeypatch, override, message):
    for name in ("HADOOP_CONF_DIR", "SPARK_CONF_DIR", "LAKEREC_PSEUDONYM_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LakerecError, match=message) as raised:
        check_named(load_config(ROOT / "conf" / "base.yaml", [override], {}))
    assert raised.value.exit_code == 2


def test_a_glob_of_many_files_is_looked_at_up_to_the_first(monkeypatch, tmp_path):
    def found(_):
        yield str(tmp_path / "1.csv")
        raise AssertionError("the second was asked for")

    monkeypatch.setattr("glob.iglob", found)
    assert not lies_nothing(f"{tmp_path}/*.csv")


def test_doctor_answers_for_the_demo(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, out, _ = call(capsys, "doctor", "--conf", "conf/demo.yaml", "--json")
    found = {check["check"]: check["ok"] for check in json.loads(out)["checks"]}
    assert found["Java"] and found["encoder"] and found["config"]


def test_doctor_names_what_is_missing_and_exits_2(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = [
        "doctor",
        "--conf",
        "conf/demo.yaml",
        "--set",
        "encoder.model=no/such",
        "--set",
        "source.events.path=nowhere",
    ]
    code, out, _ = call(capsys, *words)
    assert code == 2
    assert "`no/such` was not found" in " ".join(out.split())


def test_tune_hands_on_what_is_set(capsys, monkeypatch):
    given = []
    monkeypatch.setattr("lakerec.stages.tuning.tune", lambda config, conf, overrides, watched: given.append(overrides) or {})
    cli.main(["tune", "--conf", str(ROOT / "conf" / "demo.yaml"), "--set", "seed=2", "--set", "name=shop", "--json"])
    assert given == [["seed=2", "name=shop"]] and capsys.readouterr().out == "{}\n"


def test_version(capsys):
    from lakerec import __version__

    assert call(capsys, "--version")[1].strip() == __version__
