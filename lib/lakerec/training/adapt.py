"""One adaptation of a language model to a catalogue's texts, from files to a folder: what every rank runs.

    Task (plain values) → tokens and pairs of a file → batches → objectives, weighted → gradients, averaged over ranks
          → clip → AdamW → rank 0 merges and saves a folder that any reader of Hugging Face models takes

Ranks see different rows of each batch; the negatives of a contrastive objective are a rank's own.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from lakerec.config import EncoderConfig
from lakerec.errors import TrainingError
from lakerec.language.adapters import adapted, after_step, load_bottlenecks, penalty, save_adapted
from lakerec.language.batching import CPU_BUDGET, Ragged, token_budget_batches
from lakerec.language.encoder import resolve_precision
from lakerec.language.objectives import (
    IGNORED,
    PAIRS,
    VIEWS,
    Vocabulary,
    consistency,
    contrastive,
    drop,
    hide,
    told,
)
from lakerec.language.pooling import pooled
from lakerec.language.vocabulary import CAUSAL, MASKED
from lakerec.models.schedule import schedule
from lakerec.training.ranks import appearing, joined, own_device, summed

WARM_UP, FINAL_RATE, CLIP, WEIGHT_DECAY = 0.1, 0.0, 1.0, 0.01
GPU_BUDGET = 16_384
"""Padded tokens at a time on a GPU, which keeps some values of each for the gradients."""
CARRIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
"""Files of the base model's folder that go along with the adapted weights."""


@dataclass(frozen=True)
class Task:
    """All that a rank needs to know; travels as a dict of plain values."""

    folder: str
    """Of the base model."""
    inputs: str
    """File of `save_texts`."""
    output: str
    """Folder for the adapted model."""
    encoder: dict[str, Any]
    """Settings of the encoder that it is to be: pooling and precision count here."""
    objectives: dict[str, float]
    """Name → weight."""
    vocabulary: dict[str, Any]
    method: str = "lora"
    rank: int = 16
    epochs: int = 3
    batch: int = 64
    """Pairs, or texts, of a step, over all ranks together."""
    learning_rate: float = 2e-4
    temperature: float = 0.05
    hidden: float = 0.15
    """Share of tokens that masked_lm hides."""
    dropped: float = 0.1
    """Share of tokens that a view leaves out."""
    consistency: float = 0.1
    """Weight of the consistency between two views, beside their contrast."""
    seed: int = 1
    gpu: bool = False


@dataclass(frozen=True)
class AdaptEpoch:
    """One point of the curve."""

    epoch: int
    losses: dict[str, float] = field(default_factory=dict)
    """Mean loss by objective, unweighted."""


def save_texts(path: Path, ids: list[list[int]], pairs: np.ndarray) -> None:
    """Write what all ranks share.

    Args:
        ids: tokens of each text, marks included.
        pairs: int [m, 2], rows of texts that belong together.
    """
    flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in ids])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"flat": flat, "offsets": offsets, "pairs": np.ascontiguousarray(pairs, dtype=np.int64)}, path)


def adapt(task: dict[str, Any], on_epoch: Callable[[AdaptEpoch], None] | None = None) -> dict[str, Any]:
    """Adapt as the task says; every rank calls it with the same task.

    Returns:
        curve (losses of each epoch), ranks, steps an epoch, trained and all parameters.

    Raises:
        TrainingError: a loss is not finite.
    """
    spec = Task(**task)
    gpu = spec.gpu and torch.cuda.is_available()
    with joined(gpu) as (rank, ranks):
        torch.manual_seed(spec.seed * 1000)  # on all ranks the same: what is added to the model is drawn
        work = Adaptation(spec, own_device(gpu), rank, ranks)
        torch.manual_seed(spec.seed * 1000 + rank)  # each its own: what dropout draws
        curve = []
        for epoch in range(1, spec.epochs + 1):
            point = AdaptEpoch(epoch, work.epoch(epoch))
            curve.append({"epoch": epoch, **point.losses})
            if on_epoch is not None:
                on_epoch(point)
        trained, whole = work.parameters()
        if rank == 0:
            work.save()
        return {"curve": curve, "ranks": ranks, "steps": work.steps, "trained": trained, "parameters": whole}


class Adaptation:
    """A rank's model, data and optimizer."""

    def __init__(self, task: Task, device: str, rank: int, ranks: int) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        arrays = load_file(task.inputs)
        bounds = zip(arrays["offsets"], arrays["offsets"][1:], strict=False)
        self.ids = [arrays["flat"][start:end].tolist() for start, end in bounds]
        self.pairs = arrays["pairs"]
        self.task, self.device, self.place, self.ranks = task, device, rank, ranks
        rows = len(self.pairs) if PAIRS in task.objectives else len(self.ids)
        self.steps = max(1, math.ceil(rows / task.batch))
        safely = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
        base: Any = AutoModel.from_pretrained(task.folder, dtype=torch.float32, **safely)
        load_bottlenecks(base, Path(task.folder))
        self.model = adapted(base.to(device), task.method, task.rank, self.steps * task.epochs)
        self.embeddings = base.get_input_embeddings()
        self.bias = nn.Parameter(torch.zeros(self.embeddings.num_embeddings, device=device))
        self.vocabulary = Vocabulary(**{**task.vocabulary, "special": frozenset(task.vocabulary["special"])})
        self.budget = CPU_BUDGET if device == "cpu" else GPU_BUDGET
        self.half = resolve_precision(EncoderConfig(**task.encoder), device) == "bf16"
        self.chance = torch.Generator().manual_seed(task.seed * 7919 + rank)
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.weights += [self.bias] if MASKED in task.objectives else []  # a decoder writes by its embeddings alone
        self.optimizer = torch.optim.AdamW(self.weights, task.learning_rate, weight_decay=WEIGHT_DECAY, fused=True)
        self.step = 0

    def parameters(self) -> tuple[int, int]:
        """Trained ones and all."""
        return sum(weight.numel() for weight in self.weights), sum(weight.numel() for weight in self.model.parameters())

    def epoch(self, number: int) -> dict[str, float]:
        """Mean loss by objective over an epoch's steps and all ranks."""
        self.model.train()
        sums: dict[str, Tensor] = {name: torch.zeros((), device=self.device) for name in self.task.objectives}
        for pairs, texts in self._batches(number):
            losses = self._losses(pairs, texts)
            self._update(sum(self.task.objectives[name] * loss for name, loss in losses.items()))
            for name, loss in losses.items():
                sums[name] += loss.detach()
        summed(sums.values())
        means = {name: float(total) / (self.steps * self.ranks) for name, total in sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise TrainingError(f"the losses are {means} in epoch {number}: lower adapt.learning_rate")
        return means

    def save(self) -> None:
        """The adapted model with the base's tokenizer, in a folder that appears whole."""
        with appearing(Path(self.task.output)) as folder:
            save_adapted(self.model, self.task.method, folder)
            for path in (Path(self.task.folder) / name for name in CARRIED):
                if path.is_file():
                    shutil.copy(path, folder)

    def _batches(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """This rank's rows of pairs and of texts for each step, in an order that the seed and the epoch give.

        All ranks take as many steps; where rows run out, those of the beginning come again.
        """
        order = np.random.default_rng((self.task.seed, number))
        pairs, texts = order.permutation(len(self.pairs)), order.permutation(len(self.ids))
        own = np.arange(self.task.batch)[self.place :: self.ranks]
        for step in range(self.steps):
            rows = step * self.task.batch + own
            yield pairs[rows % len(pairs)] if len(pairs) else pairs, texts[rows % len(texts)]

    def _losses(self, pairs: np.ndarray, texts: np.ndarray) -> dict[str, Tensor]:
        task, found = self.task, {}
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.half):
            if PAIRS in task.objectives:
                both = self.pairs[pairs]
                one, other = self._vectors([self.ids[row] for row in both.T.ravel()]).chunk(2)
                which = torch.from_numpy(both).to(self.device)
                found[PAIRS] = contrastive(one, other, which[:, 0], which[:, 1], task.temperature)
            if VIEWS in task.objectives:
                views = [drop(self.ids[row], self.vocabulary, task.dropped, self.chance) for row in (*texts, *texts)]
                one, other = self._vectors(views).chunk(2)
                which = torch.from_numpy(texts).to(self.device)
                found[VIEWS] = contrastive(one, other, which, which, task.temperature)
                found[VIEWS] = found[VIEWS] + task.consistency * consistency(one, other, task.temperature)
            if MASKED in task.objectives or CAUSAL in task.objectives:
                name = MASKED if MASKED in task.objectives else CAUSAL
                found[name] = self._told([self.ids[row] for row in texts], name)
        return found

    def _hidden(self, block: Tensor, real: Tensor) -> Any:
        return self.model(input_ids=block.to(self.device), attention_mask=real.to(self.device).long())

    def _vectors(self, ids: list[list[int]]) -> Tensor:
        """Unit vectors [n, d], as the encoder pools them; texts of like length go through the model together."""
        held, found = Ragged.of(ids), []
        batches = token_budget_batches(held.lengths, self.budget)
        for rows in batches:
            block, real = map(torch.from_numpy, held.block(rows))
            found.append(pooled(self._hidden(block, real), real.to(self.device), self.task.encoder["pooling"]))
        return torch.cat(found)[torch.from_numpy(np.argsort(np.concatenate(batches)))]

    def _told(self, ids: list[list[int]], objective: str) -> Tensor:
        block, real = map(torch.from_numpy, Ragged.of(ids).block())
        if objective == MASKED:
            inputs, labels = hide(block, real, self.vocabulary, self.task.hidden, self.chance)
        else:
            inputs, labels = block, torch.where(real, block, IGNORED).roll(-1, dims=1)
            labels[:, -1] = IGNORED
        hidden = self._hidden(inputs, real).last_hidden_state
        return told(hidden, labels.to(self.device), self.embeddings.weight, self.bias)

    def _update(self, loss: Any) -> None:
        rate = self.task.learning_rate * schedule(self.step, self.steps * self.task.epochs, WARM_UP, FINAL_RATE)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty(self.model, self.task.method)).backward()
        for weight in self.weights:  # so that all ranks add up the same ones
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        gradients = [weight.grad for weight in self.weights]
        summed(gradients)  # type: ignore[arg-type]
        torch._foreach_div_(gradients, self.ranks)  # type: ignore[arg-type]
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.step += 1
        after_step(self.model, self.task.method, self.step)
