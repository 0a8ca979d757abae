"""What the benchmarks share: the result file of one benchmark, and timing both sides alike."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path("build/bench")


def seconds(work: Callable[[], Any], runs: int = 3) -> float:
    """Median wall time of `work` after one run that warms it up."""
    work()
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def mib(name: str, process: str = "self") -> float:
    """A figure of a process's memory: VmRSS, what it holds now, or VmHWM, the most since it was last reset (Linux)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 2**10


def write(name: str, ours: float, peer: float | None, unit: str, packages: list[str], **more: Any) -> None:
    """Write build/bench/<name>.json and print it; without a peer there is no ratio."""
    result = {
        "name": name, "ours": ours, "peer": peer, "unit": unit,
        "ratio": None if peer is None else ours / peer,
        "cores": len(os.sched_getaffinity(0)), "versions": {package: version(package) for package in packages}, **more,
    }  # fmt: skip
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Arguments of a benchmark that runs on a config: --conf and --set, as lakerec's own verbs have them."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", default="conf/demo.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    return parser
