"""A standalone Spark cluster on this machine: a master and two workers, each declaring one GPU that is not there.

Started from the installed pyspark as processes with groups of their own, stopped by those ids.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
WORKERS = 2
DISCOVERY = '#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0"]}\'\n'


@dataclass(frozen=True)
class Cluster:
    """Where the master listens."""

    url: str


@contextmanager
def cluster(folder: Path, python: Path) -> Iterator[Cluster]:
    """Master and workers, whose tasks run in `python`, while the block runs; their logs lie in the folder."""
    port, page = _free_port(), _free_port()
    script = folder / "gpu.sh"
    script.write_text(DISCOVERY)
    script.chmod(0o755)
    gpu = f"-Dspark.worker.resource.gpu.amount=1 -Dspark.worker.resource.gpu.discoveryScript={script}"
    environment = {
        **os.environ,
        "PYSPARK_PYTHON": str(python),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_OPTS": gpu,
    }
    url = f"spark://127.0.0.1:{port}"
    master = [
        "org.apache.spark.deploy.master.Master",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--webui-port",
        str(page),
    ]
    processes = [_start(master, environment, folder / "master.log")]
    try:
        _wait(page, 0)
        for number in range(WORKERS):
            worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", str(_free_port())]
            worker += ["--cores", "1", "--memory", "2g", "--work-dir", str(folder / f"work-{number}"), url]
            processes.append(_start(worker, environment, folder / f"worker-{number}.log"))
        _wait(page, WORKERS)
        yield Cluster(url)
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(words: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as target:
        command = [str(SPARK_CLASS), *words]
        return subprocess.Popen(command, env=environment, stdout=target, stderr=target, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(page: int, workers: int, seconds: float = 90) -> None:
    """Until the master's page shows so many live workers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
                if answer.read().decode().count('"state" : "ALIVE"') >= workers:
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"the standalone cluster has not {workers} workers after {seconds} s")
