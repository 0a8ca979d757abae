"""Linear layers of an encoder as oneDNN multiplies them: weights laid out once, GELU done on what is still in registers.

    Linear → GELU   ─►  one product of packed weights with GELU at its end
    Linear          ─►  one product of packed weights

For inference on a processor that multiplies bf16; the values are those of the plain layers but for one rounding before the
GELU that no longer happens. torch lays weights out anew in every call, because training changes them between calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ROWS = 1_024
"""Rows that a product is expected to have, after which oneDNN chooses the layout; others are right too."""


class PackedLinear(nn.Module):
    """`linear` with its weights packed, followed by an exact GELU where `gelu` is set."""

    def __init__(self, linear: nn.Linear, gelu: bool = False) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.after: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")

    def forward(self, values: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, *self.after)
        return product


def pack(model: nn.Module) -> None:
    """Replace the linear layers of a bf16 model on the CPU, in place; it can no longer be trained or saved.

    Where this build of torch does not have oneDNN's bf16, the model stays as it is.
    """
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return
    for parent in list(model.modules()):
        fuse = isinstance(getattr(parent, "dense", None), nn.Linear) and _exact_gelu(parent)
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, PackedLinear(child, gelu=fuse and name == "dense"))
        if fuse:
            parent.intermediate_act_fn = nn.Identity()


def _exact_gelu(parent: Any) -> bool:
    """Whether `parent` is the first half of a feed-forward as BERT and its kin have it: dense, then an exact GELU."""
    from transformers.activations import GELUActivation

    found = getattr(parent, "intermediate_act_fn", None)
    return isinstance(found, GELUActivation) and found.act is nn.functional.gelu
