"""Imports go down the list of rooms; petastorm, mlflow and Delta have one room each."""

import ast
import statistics
from pathlib import Path

import pytest

LIB = Path(__file__).parents[1] / "lib" / "lakerec"
LEVELS = {
    "errors": 0, "columns": 0, "source": 0, "templates": 0, "language_config": 0, "training_config": 0,
    "judging_config": 0, "config": 0,
    "loading": 0, "vectors": 0, "lake": 1, "ingest": 2, "clean": 2, "features": 2, "language": 2, "models": 2,
    "evaluation": 2, "training": 3, "registry": 3, "serving": 3, "reporting": 3, "stages": 4, "cli": 5,
}  # fmt: skip
MODULES = sorted(LIB.rglob("*.py"))
ONLY = {"petastorm": "training/feed.py", "mlflow": "registry/", "delta": "lake/"}
WITHOUT_SPARK = ("models/", "evaluation/", "serving/", "registry/", "reporting/", "language/ahead.py",
                 "language/batching.py", "language/chunker.py", "language/encoder.py", "language/files.py",
                 "language/packed.py", "language/running.py", "language/tokens.py", "language/words.py", "training/loop.py",
                 "training/batches.py", "training/feed.py", "training/fit.py", "training/checkpoints.py",
                 "training/keeper.py", "training/state.py", "training/status.py", "training/supervisor.py")  # fmt: skip


def imports(path: Path) -> set[str]:
    """Full names of all imports, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def room(name: str) -> str:
    """First part under lakerec of a module's dotted name."""
    return name.split(".")[1] if name.count(".") else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIB)))
def test_imports_go_down_the_list(path):
    own = path.relative_to(LIB).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imports(path):
        if name.startswith("lakerec.") and (other := room(name)) in LEVELS and other != own:
            assert LEVELS[other] < LEVELS[own] or (own, other) == ("config", "errors") or LEVELS[own] == 0, (
                f"{own} imports {other}"
            )


@pytest.mark.parametrize("library", ONLY)
def test_one_importer_a_library(library):
    for path in MODULES:
        if any(name.split(".")[0] == library for name in imports(path)):
            assert str(path.relative_to(LIB)).startswith(ONLY[library]), f"{path} imports {library}"


def test_what_must_run_without_spark_does_not_import_it():
    for path in MODULES:
        if str(path.relative_to(LIB)).startswith(WITHOUT_SPARK):
            assert not any(name.split(".")[0] == "pyspark" for name in imports(path)), path


def test_only_the_lake_reads_and_writes_delta():
    for path in MODULES:
        inside = str(path.relative_to(LIB)).startswith(("lake/", "ingest/read.py"))
        assert inside or 'format("delta")' not in path.read_text(), path


def test_files_are_small():
    lengths = [len(path.read_text().splitlines()) for path in MODULES if path.name != "__init__.py"]
    assert max(lengths) <= 350
    assert statistics.median(lengths) <= 150
