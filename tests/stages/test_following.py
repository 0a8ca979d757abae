"""`lakerec ingest --follow`: files that come while somebody watches, files that are still being written, the end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lakerec import cli
from lakerec.columns import Tables
from lakerec.stages import following

from tests.faults.raw import AT, HEADER, Shop

pytestmark = pytest.mark.spark
EVERY, PATIENCE = 2.0, 240


@pytest.mark.slow
def test_each_arrival_is_read_once_and_whole_and_a_signal_ends_it(spark, tmp_path):
    shop, said, ended = Shop(spark, tmp_path), [], threading.Event()
    handlers = [signal.getsignal(number) for number in following.STOPS]

    def arrivals(number):
        end = time.monotonic() + PATIENCE
        while len(said) < number and time.monotonic() < end and not ended.wait(0.1):
            pass

    def deliver():
        """One file into an empty folder; then one that grows all the time until it has ten rows; then the signal."""
        ended.wait(EVERY / 2)
        shop.write("1.csv", f"{HEADER}ann,x,{AT},5\nbob,,{AT},5\n")
        arrivals(1)
        for rows in range(1, 11):
            shop.write("2.csv", HEADER + "".join(f"cat,i{row},{AT},5\n" for row in range(rows)))
            ended.wait(EVERY / 6)
        arrivals(2)
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    context, thread = shop.context(), threading.Thread(target=deliver)
    thread.start()
    try:
        following.follow(context, ["ingest"], EVERY, said.extend)
    finally:
        ended.set()
        thread.join()
    figures = [tuple(one.row[name] for name in ("rows_in", "rows_out", "rows_quarantined")) for one in said]
    assert figures == [(2, 1, 1), (10, 10, 0)]
    assert shop.read() == ["1.csv", "2.csv"], "a file was read while it grew"
    assert len(shop.rows(Tables.RUNS, "run_id")) == 2
    assert [signal.getsignal(number) for number in following.STOPS] == handlers


@pytest.mark.slow
@pytest.mark.long
def test_the_command_goes_on_until_it_is_told_to_stop_and_ends_well(tmp_path):
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.csv").write_text(f"{HEADER}ann,x,{AT},5\n")
    conf = tmp_path / "shop.yaml"
    conf.write_text(
        f"name: shop\nlake: {{root: {tmp_path}/lake}}\ntracking: {{uri: 'sqlite:///{tmp_path}/mlflow.db'}}\n"
        "spark: {master: 'local[2]', conf: {spark.sql.shuffle.partitions: 2}}\n"
        f"source: {{events: {{path: {tmp_path}/events, columns: {{user_id: user, item_id: item, event_time: at}}}}}}\n"
    )
    job = Path(cli.__file__).parents[2] / "jobs" / "ingest.py"
    command = [sys.executable, str(job), "--conf", str(conf), "--follow", "--every", "1", "--through", "clean", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for name in ("2.csv", "3.csv", None):
        line = process.stdout.readline()
        lines.append(json.loads(line) if line else pytest.fail(process.communicate()[1]))
        if name:
            (tmp_path / "events" / name).write_text(f"{HEADER}{name},x,{AT},5\n")
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, ""), said
    assert [[(stage["stage"], stage["rows_out"]) for stage in line["stages"]] for line in lines] == [
        [("ingest", 1), ("clean", rows)] for rows in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--follow", "--full"], "--follow reads what is new: run without it once for --force or --full"),
        (["--follow", "--through", "cleen"], "--through: no stage `cleen`; did you mean `clean`?"),
        (["--follow", "--every", "0"], "Invalid value for '--every'"),
    ],
)
def test_options_that_do_not_go_together(capsys, words, message):
    with pytest.raises(SystemExit) as end:
        cli.main(["ingest", "--conf", "conf.yaml", *words])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
