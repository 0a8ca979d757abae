"""Raw files to gold/sequences: ingest, clean and featurize on Online Retail amplified, against Polars doing the same work.

    sequences   EVENTS rows of Parquet → bronze, silver, gold in Delta, a fresh lake; peer: polars_sequences.py, the same
                tables (its fastest way found). Seconds; ratio = Polars' seconds to ours.
    increment   the same lake and one more file, 1 % of the rows, the newest. Ratio = share of the full build it may cost
                (8 %) to the share it costs.
    skew        half of the rows belong to 1 % of the users, against the same rows spread evenly. Ratio = seconds even to
                seconds skewed.

Spark runs in local[2] with a driver of 4 GiB, in a process of its own a build, warmed by a small build before the
clock runs; spilled and shuffled bytes are Spark's own counts. Leave-last-out splits, no statistics.
`--events 100000000` tells whether a hundred million pass (`--only sequences --no-peer`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from lakerec.columns import Tables
from lakerec.loading import load_config
from lakerec.stages import pipeline

from tests.benchmarks import retail
from tests.benchmarks.common import write

STAGES = ("ingest", "clean", "featurize")
ALLOWED = 0.08
"""Share of the full build that an increment of 1 % of the rows may cost."""
PEER = Path(__file__).with_name("polars_sequences.py")
WARMING = 200_000


def settings(raw: Path, lake: Path) -> list[str]:
    spark = "{spark.driver.memory: 4g, spark.ui.enabled: true, spark.ui.port: 0}"
    places = [f"lake.root={lake}", f"tracking.uri=sqlite:///{lake.parent}/{lake.name}.db", f"source.events.path={raw}"]
    reading = ["source.events.format=parquet", *[f"source.events.{key}={{}}" for key in ("options", "fields")]]
    return [*places, *reading, "source.events.rules=[]", "split.protocol=leave_last_out", f"spark.conf={spark}"]


def build(raw: Path, lake: Path, then: Path | None, warming: Path) -> None:
    """What one process does: a small build to warm up, the build, and with `then` the build again with its files added."""
    for source, target in ((warming, lake.with_name("warm")), (raw, lake)):
        shutil.rmtree(target, ignore_errors=True)
        with pipeline.opened(load_config("conf/online_retail.yaml", settings(source, target))) as context:
            found = timed(context, ["full"])
            if then is not None and target is lake:
                for file in then.glob("*.parquet"):
                    shutil.copy(file, raw / f"last-{file.name}")
                found |= timed(context, ["increment"])
            if target is lake:
                print(json.dumps({**found, **moved(context)}))


def timed(context: Any, label: list[str]) -> dict[str, Any]:
    start = time.perf_counter()
    outcomes = pipeline.run(context, STAGES)
    seconds = time.perf_counter() - start
    figures = {outcome.stage: round(outcome.seconds, 1) for outcome in outcomes}
    rows = context.lake.read(Tables.INTERACTIONS).count()
    return {label[0]: seconds, f"{label[0]}_stages": figures, f"{label[0]}_interactions": rows}


def moved(context: Any) -> dict[str, int]:
    """Bytes shuffled and spilled to disk by all stages of the application, as its own REST interface counts them."""
    spark = context.spark.sparkContext
    with urllib.request.urlopen(f"{spark.uiWebUrl}/api/v1/applications/{spark.applicationId}/stages") as answer:
        stages = json.load(answer)
    names = {"shuffle_bytes": "shuffleWriteBytes", "spilled_bytes": "diskBytesSpilled"}
    return {ours: sum(stage[theirs] for stage in stages) for ours, theirs in names.items()}


def ours(folder: Path, raw: Path, name: str, then: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, "--build", str(raw), str(folder / name), str(folder / "warming")]
    done = subprocess.run([*command, *([str(then)] if then else [])], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def polars(raw: Path, lake: Path) -> tuple[float, int, dict[str, str]]:
    """Seconds, interactions and versions, in an environment of its own beside the results."""
    python = Path("build/bench/polars/bin/python")
    uv = Path(sys.executable).with_name("uv")
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, "build/bench/polars"], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "polars", "deltalake", "pyarrow"], check=True)
    versions = "import json, polars, deltalake; print(json.dumps([polars.__version__, deltalake.__version__]))"
    found = json.loads(subprocess.check_output([python, "-c", versions], text=True))
    runs = []
    for _ in range(2):  # the first one warms the page cache
        shutil.rmtree(lake, ignore_errors=True)
        line = subprocess.check_output([python, PEER, raw, lake], text=True).split()
        runs.append((float(line[0].partition("=")[2]), int(line[1].partition("=")[2])))
    shutil.rmtree(lake)
    return min(runs)[0], runs[0][1], dict(zip(("polars", "deltalake"), found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--only", choices=("sequences", "skew"))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--folder", help="where raw files and lakes go; default: a temporary folder")
    parser.add_argument("--build", nargs="+", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.build:
        raw, lake, warming, *then = asked.build
        build(raw, lake, then[0] if then else None, warming)
        return
    packages = ["pyspark", "delta-spark"]
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        folder = Path(temporary)
        retail.write(folder / "warming", WARMING, files=2)
        if asked.only != "skew":
            raw = retail.write(folder / "raw", asked.events, last=0.01)
            peer = None if asked.no_peer else polars(raw, folder / "polars")
            found = ours(folder, raw, "lake", folder / "raw-last")
            shutil.rmtree(folder / "lake")
            if peer and peer[1] != found["full_interactions"]:
                raise SystemExit(f"not the same work: {found['full_interactions']} interactions, Polars has {peer[1]}")
            more = {"events": asked.events, **found}
            compared = {"ratio": peer[0] / found["full"], "peer_versions": peer[2]} if peer else {}
            write("sequences", found["full"], peer[0] if peer else None, "s", packages, **more, **compared)
            share = found["increment"] / found["full"]
            write("increment", share, ALLOWED, "share of the full build", packages, **more, ratio=ALLOWED / share)
        if asked.only != "sequences":
            runs = {}
            for name, share in (("even", 0.0), ("skewed", 0.5)):
                raw = retail.write(folder / f"raw-{name}", asked.events, skewed=share)
                runs[name] = ours(folder, raw, name)
                shutil.rmtree(raw)
                shutil.rmtree(folder / name)
            seconds = {name: run["full"] for name, run in runs.items()}
            more = {"events": asked.events, "runs": runs, "ratio": seconds["even"] / seconds["skewed"]}
            write("skew", seconds["skewed"], seconds["even"], "s", packages, **more)


if __name__ == "__main__":
    main()
