"""Token vectors → one unit vector a chunk → one a text; or as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def pooled(output: Any, mask: Tensor, pooling: str) -> Tensor:
    """One vector a row, fp32 [rows, d], unit length.

    Args:
        output: of a transformers model: last_hidden_state [rows, T, d], pooler_output [rows, d] where it has that layer.
        mask: bool [rows, T], which tokens are real; padding stands behind them.
        pooling: `mean`, `cls`, `pooler` or `last_token`.
    """
    hidden = output.last_hidden_state
    if pooling == "cls":
        found = hidden[:, 0].float()
    elif pooling == "pooler":
        found = output.pooler_output.float()
    elif pooling == "last_token":
        found = hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1].float()
    else:
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        found = (hidden * weight).sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True)
    return torch.nn.functional.normalize(found, dim=1)


def flat(output: Any, mask: Tensor) -> Tensor:
    """Last hidden states of all real tokens, row after row, fp32 [tokens, d]; arguments as of `pooled`."""
    found: Tensor = output.last_hidden_state[mask].float()
    return found


def joined(found: np.ndarray, owner: np.ndarray, weights: np.ndarray, texts: int) -> np.ndarray:
    """Unit vectors of chunks → of their texts [texts, d]; a text of one chunk has that chunk's, one of none has zeros.

    Args:
        owner: row of the text that a chunk is of.
        weights: share of the text's tokens that a chunk has.
    """
    several = np.bincount(owner, minlength=texts) > 1
    vectors = np.zeros((texts, found.shape[1]), dtype=np.float32)
    alone = ~several[owner]
    vectors[owner[alone]] = found[alone]
    np.add.at(vectors, owner[~alone], found[~alone] * weights[~alone, None])
    vectors[several] /= np.linalg.norm(vectors[several], axis=1, keepdims=True)
    return vectors
