"""The model as MLflow serves it: loaded from this code and from safetensors, never from a pickle; no Spark needed.

input   one row a list to make, each with at least one of items (ids of the history, oldest first), text and user_id;
        times (epoch seconds of each item). A column is in all rows of a request or in none, null where a row lacks it
output  for row i, rank r: row, rank (from 1), item_id, score, basis (see `lakerec.registry.answers`)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

DEFAULT_K = 10


class ServedModel(PythonModel):
    """Recommendations for histories of external item ids, known users and texts."""

    def load_context(self, context: Any) -> None:
        from lakerec.registry.answers import Answers
        from lakerec.registry.contents import FOLDER, Contents
        from lakerec.registry.integrity import MANIFEST, check_listed

        folder = Path(context.artifacts["model"])
        package = folder.parents[1]
        if (package / MANIFEST).is_file():  # not yet while MLflow tries it out before it is logged
            check_listed(package, "this model", f"{FOLDER}/")
        self.answers = Answers(Contents.load(folder))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        try:
            return self.answers.of(model_input, int((params or {}).get("k", DEFAULT_K)))
        except ValueError as error:  # as MLflow's own, its text is the message of the HTTP answer
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ServedModel())
