"""What every rank does before and after its work, whatever it trains."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


@contextmanager
def joined(gpu: bool) -> Iterator[tuple[int, int]]:
    """Join the other ranks, if torchrun started any; gives (rank, ranks), and leaves them together with the block."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        yield 0, 1
        return
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield dist.get_rank(), ranks
        dist.barrier()  # no rank takes its store and connections away while another still uses them
    finally:
        dist.destroy_process_group()


def own_device(gpu: bool) -> str:
    """The rank's own device, made torch's current one, which collective operations use."""
    if not gpu:
        return "cpu"
    device = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    torch.cuda.set_device(device)
    return device


def summed(tensors: Iterable[Tensor]) -> None:
    """Add up each tensor over the ranks, in place; nothing where there is one rank."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.all_reduce(tensor)


def is_first() -> bool:
    """Whether this is rank 0."""
    return not dist.is_initialized() or dist.get_rank() == 0


def from_first(value: float, device: str | torch.device) -> float:
    """Rank 0's number, on all ranks."""
    if not dist.is_initialized():
        return float(value)
    told = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(told, 0)
    return float(told)


def gathered(tensor: Tensor, device: str | torch.device) -> list[Tensor]:
    """The tensors of all ranks, by rank; all have the same shape and type."""
    if not dist.is_initialized():
        return [tensor]
    own = tensor.to(device)
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    return [each.cpu() for each in found]


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `folder` in one step: a kill leaves that whole or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    yield staged
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)
