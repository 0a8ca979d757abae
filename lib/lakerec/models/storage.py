"""A model on disk: `model.json` (name and settings) beside `weights.safetensors`; nothing in it can run code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

SETTINGS, WEIGHTS = "model.json", "weights.safetensors"


def save(folder: Path, name: str, arrays: dict[str, np.ndarray], **settings: Any) -> None:
    """Write both files; weights first, so that a folder with settings is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps({"model": name, **settings}, indent=1), encoding="utf-8")


def settings(folder: Path) -> dict[str, Any]:
    """What model.json says."""
    found: dict[str, Any] = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    return found


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """The weights."""
    found: dict[str, np.ndarray] = load_file(folder / WEIGHTS)
    return found


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    """A network's weights and buffers by name, as `save` takes them."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def with_rows(weights: dict[str, np.ndarray], more: dict[str, np.ndarray], empty: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Weights with more rows behind those of some arrays.

    Args:
        more: the rows, by name of the array.
        empty: names of further arrays, which get as many rows of zeros.
    """
    count = max(map(len, more.values()))
    zeros = {name: np.zeros((count, *weights[name].shape[1:]), weights[name].dtype) for name in empty}
    longer = {
        name: np.concatenate([weights[name], rows.astype(weights[name].dtype)]) for name, rows in (more | zeros).items()
    }
    return weights | longer


def put_into(network: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """The inverse: the network takes over all of them."""
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
