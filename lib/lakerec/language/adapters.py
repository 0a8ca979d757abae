"""Which weights of a language model are trained: all, or a few that are added to it and merged back at the end.

full        every weight
lora        low-rank additions to all linear layers (Hu et al., ICLR 2022)
adalora     the same, with rank moved to where it helps (Zhang et al., ICLR 2023)
bottleneck  a narrow layer behind each block (Houlsby et al., ICML 2019, placed as by Pfeiffer et al., EACL 2021)

The first three end as plain weights of the model's own shape, so that any reader of the folder has the adapted model. A
bottleneck is not linear and stays a part of its own (`bottleneck.safetensors`), which `Encoder` puts back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lakerec.language.files import BOTTLENECKS

FULL, LORA, ADALORA, BOTTLENECK = "full", "lora", "adalora", "bottleneck"


def adapted(model: Any, method: str, rank: int, steps: int) -> Any:
    """The model with those weights trainable that `method` trains.

    Args:
        rank: of the low-rank additions, or width of a bottleneck.
        steps: of the whole training, which adalora plans by.
    """
    if method == FULL:
        return model
    if method == BOTTLENECK:
        model.requires_grad_(False)
        put_bottlenecks(model, rank)
        return model
    from peft import AdaLoraConfig, LoraConfig, get_peft_model

    shared: dict[str, Any] = {"lora_alpha": 2 * rank, "lora_dropout": 0.05, "target_modules": "all-linear"}
    if method == LORA:
        return get_peft_model(model, LoraConfig(r=rank, **shared))
    plan: dict[str, Any] = {
        "tinit": steps // 10,
        "tfinal": steps // 3,
        "deltaT": max(1, steps // 100),
        "total_step": max(steps, 10),
    }
    return get_peft_model(model, AdaLoraConfig(init_r=rank + rank // 2, target_r=rank, **plan, **shared))


def after_step(model: Any, method: str, step: int) -> None:
    """What a method does once a step is taken: adalora moves its rank."""
    if method == ADALORA:
        model.base_model.update_and_allocate(step)


def penalty(model: Any, method: str) -> Tensor | float:
    """What a method adds to the loss: adalora keeps its directions orthogonal."""
    if method != ADALORA:
        return 0.0
    sides = [weight for name, weight in model.named_parameters() if "lora_A" in name or "lora_B" in name]
    squares = (side @ side.T if side.shape[0] < side.shape[1] else side.T @ side for side in sides)
    return 0.5 * torch.stack([torch.linalg.norm(s - torch.eye(len(s), device=s.device)) for s in squares]).mean()


def save_adapted(model: Any, method: str, folder: Path) -> None:
    """The model as transformers loads it, weights as safetensors; added weights are merged into it."""
    if method in (LORA, ADALORA):
        model = model.merge_and_unload()
    if method == BOTTLENECK:
        save_file(model.bottlenecks.state_dict(), folder / BOTTLENECKS)
        take_bottlenecks(model)
    model.save_pretrained(folder)


class Bottleneck(nn.Module):
    """hidden + up(GELU(down(hidden))); `up` starts at zero, so that the model starts as it was."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(size, width), nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        found: Tensor = hidden + self.up(nn.functional.gelu(self.down(hidden)))
        return found


def put_bottlenecks(model: Any, width: int) -> None:
    """One behind each block, in place, trainable."""
    made = nn.ModuleList(Bottleneck(int(model.config.hidden_size), width) for _ in _blocks(model))
    model.bottlenecks = made.to(next(model.parameters()).device)
    model.bottleneck_hooks = [
        block.register_forward_hook(_behind(narrow)) for block, narrow in zip(_blocks(model), made, strict=True)
    ]


def take_bottlenecks(model: Any) -> None:
    """Undo `put_bottlenecks`."""
    for hook in model.bottleneck_hooks:
        hook.remove()
    del model.bottlenecks, model.bottleneck_hooks


def load_bottlenecks(model: Any, folder: Path) -> None:
    """Put those of a folder into the model that was loaded from it, where it has any."""
    path = folder / BOTTLENECKS
    if not path.is_file():
        return
    state = load_file(path)
    put_bottlenecks(model, state["0.down.weight"].shape[0])
    model.bottlenecks.load_state_dict(state)
    model.bottlenecks.to(next(model.parameters()).dtype)


def _behind(narrow: nn.Module) -> Any:
    """A forward hook: blocks give their hidden states alone, or first in a tuple."""

    def hook(_block: nn.Module, _inputs: Any, output: Any) -> Any:
        return (narrow(output[0]), *output[1:]) if isinstance(output, tuple) else narrow(output)

    return hook


def _blocks(model: Any) -> Iterator[nn.Module]:
    """The transformer blocks: the list of as many modules as the config says."""
    number = model.config.num_hidden_layers
    lists = (part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == number)
    yield from next(lists)
