"""The model as MLflow serves it: loaded from this code and from safetensors, never from a pickle; no Spark needed.

input   one row a list to make: items (external ids of the history, oldest first); times (epoch seconds of each), in all rows
        of a request or in none. Without them events are taken for a second apart: what weighs or tells by time (see
        `train.times`, `train.history_half_life_days`) is then not what the gate measured
output  for row i, rank r: row, rank (from 1), item_id, score
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

DEFAULT_K = 10
NOTHING = (np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32))


class ServedModel(PythonModel):
    """Recommendations for histories of external item ids; ids the model does not know are passed over."""

    def load_context(self, context: Any) -> None:
        from lakerec.models.catalog import load

        folder = Path(context.artifacts["model"])
        self.ids = np.array(json.loads((folder / "items.json").read_text(encoding="utf-8")), dtype=object)
        self.index = {item: place for place, item in enumerate(self.ids)}
        self.model = load(folder / "recommender")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        from lakerec.models.data import Histories
        from lakerec.models.topk import recommend

        asked = list(model_input["items"])
        given = list(model_input["times"]) if "times" in model_input else [None] * len(asked)
        told = [range(len(row)) if times is None else times for row, times in zip(asked, given, strict=True)]
        for number, (row, times) in enumerate(zip(asked, told, strict=True)):
            if len(times) != len(row) or (np.diff(np.asarray(times)) < 0).any():
                raise ValueError(f"row {number}: times must have one number for each of its {len(row)} items, oldest first")
        pairs = [
            [pair for pair in zip(*each, strict=True) if pair[0] in self.index] for each in zip(asked, told, strict=True)
        ]
        histories = Histories.from_lists(
            [[self.index[item] for item, _ in each] for each in pairs], [[at for _, at in each] for each in pairs]
        )
        k = int((params or {}).get("k", DEFAULT_K))
        parts = list(recommend(self.model, histories, k, len(self.ids)))
        items, scores = (np.concatenate([part[place] for part in parts]) for place in (1, 2)) if parts else NOTHING
        rows, ranks = np.nonzero(items >= 0)
        return pd.DataFrame(
            {
                "row": rows.astype(np.int64),
                "rank": ranks.astype(np.int64) + 1,
                "item_id": self.ids[items[rows, ranks]].astype(str),
                "score": scores[rows, ranks].astype(float),
            }
        )


set_model(ServedModel())
