"""A fitted recommender into the registry: pyfunc from code, with signature, input example and pinned requirements."""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from lakerec.models.protocol import Recommender
from lakerec.origin import package_folder
from lakerec.registry.tracking import Tracker

NEEDED = ("numpy", "pandas", "scipy", "torch", "safetensors", "pydantic", "pyyaml")
"""What a served model imports."""


def requirements() -> list[str]:
    """Exact pins of what the served model imports, as installed here."""
    return [f"{name}=={version(name)}" for name in NEEDED]


def register(tracker: Tracker, name: str, recommender: Recommender, items: np.ndarray, tags: dict[str, str]) -> str:
    """Log the model with the stage run under way and register it; gives the new version, which has its tags at once.

    Args:
        items: external item ids by dense index.
    """
    mlflow = tracker.mlflow
    signature, example = _signature(items)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        recommender.save(folder / "recommender")
        code = package_folder(Path(temporary))
        (folder / "items.json").write_text(json.dumps(items.tolist()), encoding="utf-8")
        with mlflow.start_run(run_id=tracker.run_id, nested=True, log_system_metrics=False):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code / "registry" / "served_model.py"),
                artifacts={"model": str(folder)},
                code_paths=[str(code)],
                signature=signature,
                input_example=example,
                pip_requirements=requirements(),
            )
    with redirect_stderr(io.StringIO()):  # it announces the version there
        made = mlflow.register_model(info.model_uri, name, await_registration_for=60, tags=tags)
    return str(made.version)


def _signature(items: np.ndarray):  # type: ignore[no-untyped-def]
    """Signature and input example of the served model."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    some = [str(item) for item in items[:3]]
    example = pd.DataFrame({"items": [some], "times": [[1_700_000_000 + 3_600 * place for place in range(len(some))]]})
    inputs = Schema([
        ColSpec(Array(DataType.string), "items"), ColSpec(Array(DataType.long), "times", required=False),
    ])  # fmt: skip
    outputs = Schema(
        [
            ColSpec(DataType.long, "row"), ColSpec(DataType.long, "rank"),
            ColSpec(DataType.string, "item_id"), ColSpec(DataType.double, "score"),
        ]
    )  # fmt: skip
    params = ParamSchema([ParamSpec("k", DataType.long, 10)])
    return ModelSignature(inputs=inputs, outputs=outputs, params=params), example
