"""`lakerec doctor`: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakerec.config import Config
from lakerec.errors import LakerecError
from lakerec.ingest.paths import told_here
from lakerec.lake.jars import jar_files
from lakerec.lake.java import require_java
from lakerec.language.files import resolve_model
from lakerec.loading import load_config
from lakerec.registry.tracking import SQLITE
from lakerec.stages.pipeline import check_named, check_sources, reads_here

PACKAGES = ("pyspark", "delta-spark", "petastorm", "torch", "mlflow")


def examine(conf: str | None, overrides: Iterable[str]) -> dict[str, Any]:
    """All checks: name, ok, what was found or what to do."""
    config: list[Config] = []

    def read_config() -> str:
        if conf is None:
            return "none given; --conf FILE checks one too"
        config.append(load_config(conf, overrides))
        return conf

    checks = [_check("Python", lambda: platform.python_version()), _check("Java", lambda: f"version {require_java()}")]
    checks += [_check(name, partial(version, name)) for name in PACKAGES]
    checks += [_check("Delta jars", _jars), _check("GPU", _gpu), _check("config", read_config)]
    model = config[0].encoder.model if config else "minilm"
    checks.append(_check("encoder", lambda: str(resolve_model(model))))
    if config:
        checks += [
            _check("lake", lambda: _writable(config[0].lake.root)),
            _check("sources", lambda: _sources(config[0])),
        ]
        checks.append(_check("what it names", lambda: _named(config[0])))
        checks.append(_check("tracking", lambda: _tracking(config[0].tracking.uri)))
    return {"checks": checks}


def _check(name: str, look: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "found": look()}
    except PackageNotFoundError:
        todo = "run `make setup`, or pip install --require-hashes -r requirements.lock"
        return {"check": name, "ok": False, "found": f"not installed: {todo}"}
    except (LakerecError, OSError) as problem:
        return {"check": name, "ok": False, "found": str(problem)}


def _jars() -> str:
    jars = jar_files()
    return f"{len(jars)} resolved" if jars else "not resolved yet: Spark fetches them at its first start (needs the network)"


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "no torch to look with"
    if not torch.cuda.is_available():
        return "none: models run on the CPU"
    return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def _writable(root: str | None) -> str:
    if root is None or "://" in root or root.startswith("dbfs:"):
        return "not on this machine; not checked"
    path = Path(root).resolve()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise PermissionError(f"{existing} is not writable: choose another lake.root")
    return str(path)


def _sources(config: Config) -> str:
    check_sources(config)
    found = [name for name, table in config.source if table is not None and told_here(table.path)]
    return ", ".join(found) if found and reads_here(config) else "not on this machine; not checked"


def _named(config: Config) -> str:
    check_named(config)
    return "models, secrets, tables of labels and vectors are there"


def _tracking(uri: str) -> str:
    return _writable(str(Path(uri.removeprefix(SQLITE)).parent)) if uri.startswith(SQLITE) else uri


def print_findings(result: dict[str, Any]) -> None:
    """Print it for people."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for finding in result["checks"]:
        mark = Text("ok", style="green") if finding["ok"] else Text("no", style="bold red")
        table.add_row(mark, finding["check"], Text(finding["found"]))
    Console(highlight=False).print(table)
