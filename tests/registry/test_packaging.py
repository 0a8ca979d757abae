"""A package in a real registry: what is in it, how it is asked in a process without Spark and over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from lakerec.registry.contents import FOLDER
from lakerec.registry.gate import tags_of
from lakerec.registry.integrity import DIGEST
from lakerec.registry.loading import registered as loaded

from tests.registry import packages
from tests.registry.packages import ITEMS, TEXTS, USERS, contents, text_side
from tests.small_models import small_bert

ENVIRONMENT = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with shop/1, which takes everything."""
    folder = tmp_path_factory.mktemp("store")
    found = packages.tracker(folder)
    side = text_side(small_bert(tmp_path_factory.mktemp("bert"), learns=True))
    assert packages.registered(found, contents(side, USERS)) == "1"
    return folder, found


def test_a_version_has_tags_digest_card_example_and_pins(store):
    folder, tracker = store
    made = tracker.client.get_model_version("shop", "1")
    assert made.tags["train_run"] == "train-1" and len(made.tags[DIGEST]) == 64 and made.description == "content of train-1"
    whole = next(folder.rglob("MLmodel")).parent
    assert (whole / "model_card.md").read_text() == "# shop: content\n"
    files = {path.relative_to(whole / FOLDER).as_posix() for path in (whole / FOLDER).rglob("*") if path.is_file()}
    assert files == {
        "recommender/model.json", "recommender/weights.safetensors", "items.json", "popularity.safetensors",
        "text/items.safetensors", "text/encoder.json", "text/model/config.json", "text/model/model.safetensors",
        "text/model/tokenizer.json", "users/ids.json", "users/histories.safetensors",
    }  # fmt: skip
    pins = (whole / "requirements.txt").read_text().split()
    assert any(pin.startswith("transformers==") for pin in pins) and all("==" in pin for pin in pins)
    assert not [path for path in whole.rglob("*") if path.suffix in (".pkl", ".pt", ".bin")]
    example = json.loads((whole / "input_example.json").read_text())
    assert example["columns"] == ["items", "times", "text", "user_id"] and len(example["data"]) == 3


def test_the_recommender_is_loaded_with_its_items(store):
    _, tracker = store
    model, ids = loaded(tracker, "shop", "1")
    assert model.name == "content" and ids.tolist() == ITEMS.tolist()
    assert tags_of(tracker, "shop", "1")["train_run"] == "train-1"


@pytest.mark.slow
def test_it_answers_in_a_process_without_spark(store, tmp_path):
    _, tracker = store
    rows = [{"items": ["cup"], "text": None, "user_id": None}, {"items": None, "text": TEXTS[2], "user_id": None},
            {"items": None, "text": None, "user_id": "bob"}]  # fmt: skip
    code = (
        "import sys; sys.modules['pyspark'] = None; sys.modules['petastorm'] = None\n"
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri({tracker.mlflow.get_tracking_uri()!r})\n"
        "model = mlflow.pyfunc.load_model('models:/shop/1')\n"
        f"print(model.predict(pd.DataFrame({rows!r}), params={{'k': 1}}).to_json(orient='records'))\n"
        "assert not {'pyspark', 'lakerec.lake'} & {name for name, module in sys.modules.items() if module is not None}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert [(row["row"], row["item_id"], row["basis"]) for row in found] == [
        (0, "mug", "items"), (1, "lamp", "text"), (2, "mug", "user_id"),
    ]  # fmt: skip
    assert loaded(tracker, "shop", "1"), "that it was loaded where it lies alters nothing"


@pytest.mark.slow
def test_it_answers_over_http(store, tmp_path):
    _, tracker = store
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/shop/1", "--env-manager", "local"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as activating the environment does
    environment = {**ENVIRONMENT, "PATH": path, "MLFLOW_TRACKING_URI": tracker.mlflow.get_tracking_uri()}
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"], cwd=tmp_path, env=environment, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        _until_it_answers(port, server)
        assert _post(port, [{"items": ["cup"]}]) == (200, [("mug", "items")])
        assert _post(port, [{"text": TEXTS[2]}]) == (200, [("lamp", "text")])
        assert _post(port, [{"user_id": "bob"}]) == (200, [("mug", "user_id")])
        status, message = _post(port, [{"items": ["cup"], "times": [1, 2]}])
        assert status == 400 and "row 0: times must have one number for each of its 1 items" in message
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 15)
        server.wait(30)


def _until_it_answers(port, server):
    for _ in range(600):
        assert server.poll() is None, "it ended"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError("it never answered")


def _post(port, rows):
    """Status, and the first item of each row with its basis, or the message."""
    body = json.dumps({"dataframe_records": rows, "params": {"k": 1}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, [(row["item_id"], row["basis"]) for row in json.load(answer)["predictions"]]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
