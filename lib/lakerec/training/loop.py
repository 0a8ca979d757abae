"""Fits the sequence network: one loop for one process and for many.

    batch → hidden → logits over the whole catalogue → summed cross-entropy → gradients, summed over ranks
          → ÷ targets of all ranks → clip → AdamW → averaged weights

With `negatives`, logits of so many drawn items in place of the whole catalogue, and rows of the table in place of all of it
(`lakerec.training.rows`); all ranks draw the same.

Gradients are summed and divided by the targets of all ranks, so that two ranks take the step that one would take on both
their batches; for the same reason a batch may go through the network in parts. Not so with `adversarial`: each part of a
batch takes the worst step of its own loss, so ranks and parts are part of what is learned.

No Spark, no petastorm: batches come from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from lakerec.errors import TrainingError
from lakerec.models.network import SequenceNetwork
from lakerec.models.schedule import schedule
from lakerec.training.batches import Batches
from lakerec.training.ranks import from_first, is_first, summed
from lakerec.training.rows import Rows, drawn, sampled_logits
from lakerec.training.state import EpochResult, Fit, State, Watcher, parameters_of, put_back
from lakerec.training_config import Augmentation, TrainConfig

BF16 = "bf16"
BETAS = (0.9, 0.98)
"""Decay of AdamW's moments."""
FULL_SOFTMAX_ITEMS = 50_000
"""Size of the catalogue up to which the softmax goes over all of it, unless the config says otherwise."""
NEGATIVES = 1024
"""Items drawn a step beyond that."""


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    epochs: int = 12
    """The schedule's length; early stop may end sooner."""
    patience: int = 4
    """Epochs without a better validation value."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    """Share of all steps over which the learning rate rises."""
    final_rate: float = 0.1
    """Share of the learning rate that is left at the end."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    averaging: float = 0.99
    """Decay a step of the running average of the weights, which is what is validated and kept."""
    precision: str = "fp32"
    """Of the passes through the network, fp32 or bf16 (autocast); weights and optimizer stay fp32."""
    augment: Sequence[Augmentation] = ()
    """Ways in which windows are varied (see `lakerec.training.augment`)."""
    adversarial: float = 0.0
    """Length of a step of each item's vector that raises the loss most: the loss there counts as much as the loss itself.
    0: off. Source: He et al., Adversarial personalized ranking for recommendation, SIGIR 2018, equation 5."""
    negatives: int = 0
    """Items drawn anew each step that the targets are told from; 0: all of the catalogue."""
    teaching: float = 0.0
    """Share of the loss that is cross-entropy with what a teacher expects, where there is one. Source: Hinton, Vinyals and
    Dean, Distilling the knowledge in a neural network, 2015, at temperature 1."""


def recipe_of(config: TrainConfig, num_items: int) -> Recipe:
    """How the config wants the network of a catalogue of so many items trained."""
    negatives = config.negatives
    if negatives is None:
        negatives = NEGATIVES if num_items > FULL_SOFTMAX_ITEMS else 0
    return Recipe(
        epochs=config.epochs, patience=config.patience, learning_rate=config.learning_rate,
        weight_decay=config.weight_decay, precision=config.precision, augment=config.augment,
        adversarial=config.adversarial, negatives=negatives,
    )  # fmt: skip


Validate = Callable[[SequenceNetwork], float]


def fit_sequence(
    network: SequenceNetwork,
    batches: Batches,
    recipe: Recipe,
    validate: Validate | None = None,
    stop_after: int | None = None,
    keeper: Watcher | None = None,
    micro_batch: int = 0,
    seed: int = 0,
    fitted: bool = False,
    teacher: SequenceNetwork | None = None,
) -> Fit:
    """Train the network in place; it ends with the averaged weights of its best epoch (the last, without `validate`).

    Args:
        validate: gives the value to maximise; called on rank 0 only.
        stop_after: epochs to run of a schedule that is `recipe.epochs` long.
        keeper: writes checkpoints, and brings one back at the beginning; None: there are none.
        micro_batch: windows that go through the network at a time; 0: all of a step's. The step is the same, unless the
            recipe is adversarial.
        seed: of what is drawn each step, the same on all ranks.
        fitted: the network was fitted before, and its weights stay where no epoch validates better: they are epoch 0.
        teacher: a fitted network of the same catalogue and length, which stays as it is.

    Raises:
        TrainingError: the loss or the weights are not finite, and the network holds the last good averaged weights; or
            memory does not suffice for a single window.
    """
    trainer = Trainer(network, batches, recipe, validate, keeper, micro_batch, seed, teacher)
    if keeper is not None:
        keeper.restore(trainer.state)
    if fitted and trainer.state.step == 0:
        trainer.look()
    state, last = trainer.state, recipe.epochs if stop_after is None else stop_after
    last = last if batches.steps_per_epoch else 0
    while state.epoch <= last and state.epoch - 1 - state.fit.best_epoch < recipe.patience:
        trainer.epoch()
    put_back(network, state.best)
    return state.fit


class Trainer:
    """A rank's network, optimizer and batches."""

    def __init__(
        self,
        network: SequenceNetwork,
        batches: Batches,
        recipe: Recipe,
        validate: Validate | None,
        keeper: Watcher | None,
        micro_batch: int,
        seed: int = 0,
        teacher: SequenceNetwork | None = None,
    ) -> None:
        self.network, self.batches, self.recipe, self.teacher = network, batches, recipe, teacher
        self.validate, self.keeper, self.micro_batch, self.seed = validate, keeper, micro_batch, seed
        learned = [p for p in network.parameters() if not (recipe.negatives and p is network.delta)]
        """What the optimizer moves as a whole."""
        self.optimizer = torch.optim.AdamW(
            learned, recipe.learning_rate, weight_decay=recipe.weight_decay, betas=BETAS, fused=True
        )
        self.state = State(network, self.optimizer)
        if recipe.negatives:
            self.state.rows = Rows(network.delta, self.state.average.delta, recipe.weight_decay, BETAS)
        self.total = max(1, recipe.epochs * batches.steps_per_epoch)

    def look(self) -> None:
        """Validate the network as it is."""
        self.state.fit.best_value = self.state.fit.start_value = self._validated()

    def epoch(self) -> None:
        """The rest of the epoch under way, its point of the curve, and a checkpoint."""
        state, keeper = self.state, self.keeper
        self.network.train()
        for batch in self.batches.epoch(state.epoch, state.done):
            state.losses.append(self._step(batch))
            state.step, state.done = state.step + 1, state.done + 1
            self._average(min(self.recipe.averaging, state.step / (state.step + 9)))
            if keeper is not None and state.done < self.batches.steps_per_epoch and keeper.due(state):
                self._check()
                keeper.save(state)
        if state.rows is not None:
            state.rows.catch_up()
        loss = self._check()
        value = self._validated()
        state.fit.curve.append(EpochResult(state.epoch, loss, value))
        if value is None or state.fit.best_value is None or value > state.fit.best_value:
            state.fit.best_epoch, state.fit.best_value = state.epoch, value
            state.best = parameters_of(state.average)
        state.next_epoch()
        if keeper is not None:
            keeper.save(state)

    def _check(self) -> float:
        """The epoch's mean loss so far.

        Raises:
            TrainingError: it, or an averaged weight, is not finite.
        """
        state = self.state
        loss = float(torch.stack(state.losses).mean())
        if math.isfinite(loss) and all(weight.isfinite().all() for weight in state.average.parameters()):
            return loss
        put_back(self.network, state.best)
        what = f"loss is {loss} in epoch {state.epoch}"
        if math.isfinite(loss):
            what = f"epoch {state.epoch} ended with loss {loss} and weights that are not finite"
        raise TrainingError(f"{what}: lower train.learning_rate")

    def _step(self, batch: Tensor) -> Tensor:
        """One update; gives the mean loss over the targets of all ranks."""
        rate = self.recipe.learning_rate
        rate *= schedule(self.state.step, self.total, self.recipe.warm_up, self.recipe.final_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rows = self.state.rows
        batch = batch.to(self.network.delta.device, non_blocking=True).long()
        totals = self._gradients(batch if rows is None else self._on_rows(rows, batch))
        parameters = [*self.optimizer.param_groups[0]["params"], *([] if rows is None else [rows.taken])]
        gradients = [p.grad for p in parameters if p.grad is not None]
        summed((totals, *gradients))
        torch._foreach_div_(gradients, totals[1].clamp(min=1))
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        self.optimizer.step()
        if rows is not None:
            rows.step(self.state.step + 1, rate)
        return totals[0] / totals[1].clamp(min=1)

    def _on_rows(self, rows: Rows, batch: Tensor) -> Tensor:
        """Take the rows that the step needs on any rank; gives the batch by places among them."""
        num_items, device = self.network.num_items, batch.device
        negatives = drawn(self.seed, self.state.step, num_items, self.recipe.negatives).to(device)
        touched = torch.zeros(num_items, dtype=torch.int32, device=device)
        items, seconds = self._told(batch)
        touched[negatives] = touched[items[items < num_items]] = 1
        summed((touched,))
        rows.take(torch.nonzero(touched).ravel(), negatives)
        return torch.cat([torch.searchsorted(rows.items, items.contiguous()), seconds], dim=1)

    def _told(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Items, and the seconds at which they came; of these no columns where they are not told."""
        width = self.network.max_length + 1
        return batch[:, :width], batch[:, width:]

    def _gradients(self, batch: Tensor) -> Tensor:
        """Gradients of this rank's summed loss, which is given with the number of its targets.

        Where memory does not suffice, with half as many windows at a time from here on: the sums are the same, but for
        `adversarial`, where each part takes a worst step of its own.
        """
        rows = min(self.micro_batch or len(batch), len(batch))
        while True:
            try:
                self.optimizer.zero_grad(set_to_none=False)
                if self.state.rows is not None:
                    self.state.rows.zero_grad()
                return reduce(torch.add, [self._backward(part) for part in batch.split(rows)])
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise TrainingError("no memory for a single window: lower train.dims or train.max_length") from None
            # Out here the failed try holds no memory any more; it may have left a part of its gradients.
            torch.cuda.empty_cache()
            rows = self.micro_batch = rows // 2
            if self.keeper is not None:
                self.keeper.note(f"out of memory: {rows} windows at a time from step {self.state.step} on")

    def _backward(self, batch: Tensor) -> Tensor:
        """Add a part's gradients; gives its summed loss and its number of targets.

        Args:
            batch: rows of the table that the step works on, which is the whole one where nothing is drawn.
        """
        rows = self.state.rows
        with self._precision(batch):
            table = self.network.table() if rows is None else self.network.rows(rows.items, rows.taken)
        real = self._told(batch)[0][:, 1:] < len(table)
        expected = self._expected(batch, real)
        loss = trained = self._loss(batch, real, table, expected)
        if self.recipe.adversarial:
            (slope,) = torch.autograd.grad(loss, table, retain_graph=True)
            moved = table + self.recipe.adversarial * F.normalize(slope, dim=1)
            trained = (loss + self._loss(batch, real, moved, expected)) / 2
        trained.backward()
        return torch.stack([loss.detach(), real.sum().to(loss.dtype)])

    @torch.no_grad()
    def _expected(self, batch: Tensor, real: Tensor) -> Tensor | None:
        """The teacher's probabilities at the targets that are `real`, float32 [n, items]; None: it has no say."""
        teacher, rows = self.teacher, self.state.rows
        if teacher is None or not self.recipe.teaching:
            return None
        with self._precision(batch):
            table = teacher.table() if rows is None else teacher.rows(rows.items, teacher.delta[rows.items])
        return self._logits(teacher, batch, real, table)[0].softmax(dim=1)

    def _loss(self, batch: Tensor, real: Tensor, table: Tensor, expected: Tensor | None) -> Tensor:
        """Summed cross-entropy with the targets that are `real`, bool [rows, T], and with what is expected there."""
        logits, right = self._logits(self.network, batch, real, table)
        loss = F.cross_entropy(logits, right, reduction="sum")
        if expected is None:
            return loss
        return loss.lerp(F.cross_entropy(logits, expected, reduction="sum"), self.recipe.teaching)

    def _logits(self, network: SequenceNetwork, batch: Tensor, real: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """What a network says at the targets that are `real`, float32 [n, items], and which is the right one, int64 [n]."""
        items, seconds = self._told(batch)
        rows, targets = self.state.rows, items[:, 1:][real]
        with self._precision(batch):
            hidden = network(items[:, :-1], table, seconds[:, :-1] if network.times else None)[real]
            if rows is None:
                return (hidden @ table.T).float(), targets
            logits = sampled_logits(hidden, targets, rows.negatives, table, network.num_items)
            return logits, torch.zeros_like(targets)

    def _precision(self, batch: Tensor) -> torch.autocast:
        return torch.autocast(batch.device.type, torch.bfloat16, enabled=self.recipe.precision == BF16)

    def _validated(self) -> float | None:
        """The validation value, the same on every rank; rank 0 works it out."""
        if self.validate is None:
            return None
        return from_first(self.validate(self.state.average) if is_first() else 0.0, self.network.delta.device)

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        """Move the averaged weights towards what the weights are."""
        rows, pairs = self.state.rows, zip(self.state.average.parameters(), self.network.parameters(), strict=True)
        own = [pair for pair in pairs if rows is None or pair[1] is not self.network.delta]
        torch._foreach_lerp_([average for average, _ in own], [weight for _, weight in own], 1 - decay)
        if rows is not None:
            rows.averaged(decay)
