"""A fitted recommender into the registry: pyfunc from code, with signature, input example and pinned requirements.

Contents + card ─ log_model ─► the package as logged ─ model_card.md, manifest.json ─► logged beside it ─► version with tags
"""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lakerec.errors import ConfigError
from lakerec.origin import package_folder
from lakerec.registry.contents import Contents
from lakerec.registry.integrity import DIGEST, MANIFEST, SERVED, write_manifest
from lakerec.registry.tracking import Tracker

NEEDED = ("numpy", "pandas", "scipy", "torch", "safetensors", "pydantic", "pyyaml")
"""What a served model imports."""
FOR_TEXT = ("transformers", "tokenizers", "pyarrow")
"""What it imports besides, where it takes texts."""
CARD = "model_card.md"
EPOCH = 1_700_000_000


@dataclass(frozen=True)
class Card:
    """What is said of a version."""

    page: str
    """Markdown, model_card.md in the package."""
    summary: str
    """A few lines, the version's description."""


def requirements(contents: Contents) -> list[str]:
    """Exact pins of what the served model imports, as installed here."""
    return [f"{name}=={version(name)}" for name in (*NEEDED, *(FOR_TEXT if contents.text is not None else ()))]


def register(tracker: Tracker, name: str, contents: Contents, tags: dict[str, str], card: Card) -> str:
    """Log the model with the stage run under way and register it; gives the new version, which has its tags at once.

    Besides `tags` it gets the digest that `lakerec.registry.integrity` checks it by.

    Raises:
        ConfigError: Unity Catalog does not take this name.
    """
    mlflow = tracker.mlflow
    if mlflow.get_registry_uri().startswith("databricks-uc") and name.count(".") != 2:
        raise ConfigError(f"promote.model_name: Unity Catalog takes catalog.schema.model, found `{name}`")
    with tempfile.TemporaryDirectory() as temporary:
        folder, logged = Path(temporary) / "model", Path(temporary) / "logged"
        contents.save(folder)
        code = package_folder(Path(temporary))
        with mlflow.start_run(run_id=tracker.run_id, nested=True, log_system_metrics=False):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code / "registry" / SERVED),
                artifacts={"model": str(folder)},
                code_paths=[str(code)],
                signature=signature(),
                input_example=example(contents),
                pip_requirements=requirements(contents),
            )
        logged.mkdir()
        whole = Path(mlflow.artifacts.download_artifacts(info.model_uri, dst_path=str(logged)))
        (whole / CARD).write_text(card.page, encoding="utf-8")
        digest = write_manifest(whole)
        for file in (CARD, MANIFEST):
            tracker.client.log_model_artifact(info.model_id, str(whole / file))
    with redirect_stderr(io.StringIO()):  # it announces the version there
        made = mlflow.register_model(info.model_uri, name, await_registration_for=60, tags={**tags, DIGEST: digest})
    tracker.client.update_model_version(name, made.version, description=card.summary)
    return str(made.version)


def signature() -> Any:
    """What the served model takes and gives."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    inputs = Schema([
        ColSpec(Array(DataType.string), "items", required=False), ColSpec(Array(DataType.long), "times", required=False),
        ColSpec(DataType.string, "text", required=False), ColSpec(DataType.string, "user_id", required=False),
    ])  # fmt: skip
    outputs = Schema(
        [
            ColSpec(DataType.long, "row"), ColSpec(DataType.long, "rank"), ColSpec(DataType.string, "item_id"),
            ColSpec(DataType.double, "score"), ColSpec(DataType.string, "basis"),
        ]
    )  # fmt: skip
    return ModelSignature(inputs=inputs, outputs=outputs, params=ParamSchema([ParamSpec("k", DataType.long, 10)]))


def example(contents: Contents) -> pd.DataFrame:
    """A row for each way in which this model may be asked."""
    some = [str(item) for item in contents.items[:3]]
    rows: list[dict[str, Any]] = [{"items": some, "times": [EPOCH + 3_600 * place for place in range(len(some))]}]
    if contents.text is not None:
        rows.append({"text": "a present for somebody who likes tea"})
    if contents.users is not None:
        rows.append({"user_id": "somebody"})  # nobody's id: examples are shown to whoever sees the registry
    names = [name for name in ("items", "times", "text", "user_id") if any(name in row for row in rows)]
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
