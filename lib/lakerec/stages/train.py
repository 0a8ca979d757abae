"""Fit every recommender: on train with validation to choose, then on train + valid for the test.

    simple models   fit(train), each of train.choices → best validation NDCG@10 → fit(train + valid); als by Spark's MLlib
    sequence        fit(train), early stop on valid → best epoch → fit(train + valid) for so many epochs, each seed;
                    with train.start: last both go on from the last run's (see `lakerec.stages.starting`)
    distilled       where asked for: a smaller network, from scratch, which learns from the sequence model too; not blended
    blend           weights on the validation scores of the models fitted on train, and of slices of users where these gain;
                    members are the refitted ones (see `lakerec.stages.blending`)

The sequence model's fits leave checkpoints in the run's scratch folder. The run after one that was cut short takes them over
and goes on from those of the same task.

Nothing is learned from test rows. Models are saved under <folder>/<lake>/<run id>/<model>, those of further seeds under
sequence#<seed> and blend#<seed>; a blend points to its members. Folders of this lake's other runs are removed, but for the
last finished one's and those of runs that go on at the same time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lakerec.columns import Models, Splits, Tables
from lakerec.errors import ConfigError
from lakerec.lake.plain import plain_files
from lakerec.lake.scratch import held, holding
from lakerec.models import catalog
from lakerec.models.blend import standardise
from lakerec.models.catalog import AT_SCORING, CHOSEN, build, load, others, reweighed, seeded, shape_of, small_shape_of
from lakerec.models.data import Holdout, TrainingData
from lakerec.models.descent import watched
from lakerec.models.popular import as_scored, by_history
from lakerec.models.protocol import Recommender
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.stages import arrays, blending, starting
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run
from lakerec.stages.factorizing import fit_als
from lakerec.stages.log import event
from lakerec.stages.values import Values, rated_tables
from lakerec.training.fit import VALIDATION_K, Task, fit_rank, kept_under, save_inputs
from lakerec.training.launcher import in_this_process, launch
from lakerec.training.loop import recipe_of
from lakerec.training.state import EpochResult
from lakerec.training.supervisor import supervise
from lakerec.training_config import TrainConfig

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEEDS = "seeds"
"""Detail that lists the seeds, the first of which serves."""
NEEDS_MORE = (Models.SEQUENCE, Models.DISTILLED, Models.BLEND)
"""Models that are not fitted on histories alone."""
DENSE = (Models.EASE, Models.MULT_VAE)
"""Models whose memory and time do not bear any catalogue."""
SCRATCH = ".scratch"
CHECKPOINTS = f"{SCRATCH}/checkpoints"
VALIDATION_CELLS = 350_000_000
"""Users × items × models that validation scores hold, at most: 1.4 GB, since the blend needs all of them at once."""


def run(context: Context, inputs: Inputs) -> Result:
    with holding(models_folder(context).resolve() / context.run_id / SCRATCH):
        return _run(Job(context, inputs))


def _run(job: Job) -> Result:
    context = job.context
    for name in (name for name in context.config.train.models if name not in NEEDS_MORE):
        job.fit_simple(name)
    if Models.SEQUENCE in context.config.train.models:
        for seed in context.config.train.seeds:
            job.fit_sequence(seed)
    if Models.DISTILLED in context.config.train.models:
        job.fit_distilled()
    if Models.BLEND in context.config.train.models:
        job.fit_blend()
    shutil.rmtree(job.scratch, ignore_errors=True)
    starting.remember(job.folder, job.start)
    if not job.values:
        raise ConfigError(f"train.models: none of {', '.join(job.config.models)} could be fitted here; add one that can")
    values = {f"valid_ndcg_{name}": value for name, value in job.values.items()}
    details = {"folder": str(job.folder), "curves": json.dumps(job.curves), "ranks": str(job.ranks)}
    details |= {SEEDS: json.dumps(job.config.seeds)}
    details |= {"weights": json.dumps(job.blend.weights)} | {name: f"{value:.6f}" for name, value in values.items()}
    details["settings"] = json.dumps(job.settings)
    begun = starting.summary(job.start, job.fits)
    details |= {"start": json.dumps(begun), starting.DATA: job.data, starting.ENCODER: job.encoder}
    details |= {name: json.dumps(value) for name, value in job.blend.told().items()}
    told = {"curves": job.curves, "blend_weights": job.blend.weights, "validation": job.values, "settings": job.settings}
    context.tracker.log_dict(told | {"start": begun, **job.blend.told()}, "train.json")
    return Result(rows_in=job.events, rows_out=len(job.values), details=details, metrics=values)


def models_folder(context: Context) -> Path:
    """Where this lake's fitted models go; every rank of a cluster must see it.

    Raises:
        ConfigError: catalog mode, or a lake that is no local path, and no `train.folder`.
    """
    config = context.config
    root = context.lake.root
    if config.train.folder is not None:
        place = root or f"{config.lake.catalog}.{config.lake.schema_name}"
        return Path(config.train.folder) / f"{config.name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    if root is None or not root.startswith("/"):
        raise ConfigError("train.folder: name a folder that driver and workers share, such as /dbfs/... or /Volumes/...")
    return Path(root).parent / f"{Path(root).name}-models"


def left_out(config: TrainConfig, num_items: int) -> set[str]:
    """Models of `DENSE` that the catalogue is too large for."""
    return set(DENSE) & set(config.models) if num_items > config.dense_items else set()


def fit_alone(spark: SparkSession, name: str, data: TrainingData, config: TrainConfig, scratch: Path) -> Recommender:
    """A model, not of `NEEDS_MORE`, fitted on histories alone.

    Args:
        scratch: folder that driver and executors share.

    Raises:
        ConfigError: it reads item vectors, and there are none.
    """
    if name == Models.CONTENT and data.item_vectors is None:
        raise ConfigError("train.models: `content` needs item vectors: run `lakerec embed` first, or leave it out")
    if name == Models.ALS:
        return reweighed(fit_als(spark, data, config.als, scratch, config.half_life_days, config.seeds[0]), config)
    model = build(name, config)
    model.fit(data)
    return model


def validation_users(config: TrainConfig, num_items: int) -> int:
    """Users that validation looks at, at most, where the scores of all models that are blended are held at once."""
    held = set(config.models) - {Models.DISTILLED, Models.BLEND} - left_out(config, num_items)
    return max(1, min(config.validation_users, VALIDATION_CELLS // (num_items * max(1, len(held)))))


def _tidy(context: Context, new: Path) -> None:
    """Remove models of runs that nothing points to and that have ended. Their checkpoints move to this one's folder."""
    last = last_run(context.lake, "train")
    kept = {new, Path(last.details["folder"])} if last else {new}
    for folder in new.parent.glob("train-*"):
        if folder not in kept and not held(folder / SCRATCH):
            _take_over(folder / CHECKPOINTS, new / CHECKPOINTS)
            shutil.rmtree(folder, ignore_errors=True)


def _take_over(old: Path, new: Path) -> None:
    """Move the checkpoints of a run that was cut short; each fit's lie in a folder named by its task."""
    for fitted in old.glob("*"):
        new.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # without them, a fit begins at its beginning
            fitted.rename(new / fitted.name)


class Job:
    """One train run: its data, and what has been fitted so far."""

    def __init__(self, context: Context, inputs: Inputs) -> None:
        self.context, self.inputs, self.config = context, inputs, context.config.train
        self.folder = models_folder(context).resolve() / context.run_id
        self.scratch = self.folder / SCRATCH
        """What only this run needs: the holdout that ranks validate on, models fitted on train alone, checkpoints."""
        _tidy(context, self.folder)
        num_items = len(arrays.item_ids(context, inputs))
        vectors = arrays.item_vectors(context, inputs, num_items)
        train, both = (arrays.known_until(context, inputs, split) for split in (Splits.TRAIN, Splits.VALID))
        rated = Values.read(context, inputs, self.config.behaviour.rated) if rated_tables(context.config) else None
        self.train, self.both = (
            TrainingData(
                known.histories, num_items, vectors, None if rated is None else rated.of_events(known.ids, known.histories)
            )
            for known in (train, both)
        )
        self.start = starting.start(context, inputs)
        self.shared = self.scratch / "inputs.safetensors"
        """What all ranks of a fit read beside the sequences."""
        users, asked = validation_users(self.config, num_items), self.config.validation_users
        if users < asked:
            event("train", context.run_id, "fewer users validate than asked", most=users, asked=asked)
        self.holdout = self._holdout(users)
        version = inputs[Tables.SEQUENCES]
        self.files = plain_files(context.lake, Tables.SEQUENCES, version, self.scratch / "sequences")
        self.data, self.encoder = arrays.digest(version, both.histories), starting.encoder_of(context, inputs)
        self.fits: dict[str, dict[str, Any]] = {}
        """What each of the sequence model's fits gave."""
        self.events = len(both.histories.items)
        self.values: dict[str, float] = {}
        self.scores: dict[str, np.ndarray] = {}
        self.curves: dict[str, list[dict[str, Any]]] = {}
        self.blend = blending.Mixture({})
        self.settings: dict[str, float] = {}
        """What validation chose, by model and key."""
        self.ranks, self.epochs = 1, 1

    def _holdout(self, users: int) -> Holdout:
        """Of at most so many users, without those of whom the model that is gone on from may know what is to be found."""
        ids, found = arrays.holdout(self.context, self.inputs, Splits.VALID, users)
        rest = [place for place, user in enumerate(ids) if user not in self.start.known]
        if 2 * len(rest) < len(ids):
            known = f"{len(ids) - len(rest)} of {len(ids)} users of valid"
            self.start = starting.Start(f"{self.start.why}: it may know what is to be found of {known}")
            return found
        return found.take(np.array(rest))

    def fit_simple(self, name: str) -> None:
        """Validate on train, refit on train + valid, save."""
        if name in left_out(self.config, self.train.num_items):
            event("train", self.context.run_id, f"{name} left out", items=self.train.num_items, most=self.config.dense_items)
            return
        self.context.progress.update(name, len(self.values), len(self.config.models))
        with watched(lambda done, steps: self.context.progress.update(f"{name}, step", done, steps)):
            self._fit_simple(name)
        event("train", self.context.run_id, f"{name} fitted", valid_ndcg=f"{self.values[name]:.4f}")

    def _fit_simple(self, name: str) -> None:
        best = self._chosen(name)
        self.settings |= {catalog.setting(name, key): best.at(key) for key in CHOSEN.get(name, ())}
        self._fitted(name, self.both, best).save(self.folder / name)

    def _chosen(self, name: str) -> TrainConfig:
        """Coordinate ascent over a model's choices: each key in turn takes the value that validation likes best."""
        best = self.config
        model = self._fitted(name, self.train, best)
        self._judge(name, model)
        for key in CHOSEN.get(name, ()):
            for config in others(key, best):
                tried = reweighed(model, config) if key in AT_SCORING else self._fitted(name, self.train, config)
                if self._judge(name, tried):
                    best, model = config, tried
        return best

    def _fitted(self, name: str, data: TrainingData, config: TrainConfig) -> Recommender:
        return fit_alone(self.context.spark, name, data, config, self.scratch)

    def fit_sequence(self, seed: int) -> None:
        """Early stop on valid chooses the epochs, with the first seed; every seed's refit on train + valid runs as many."""
        name = seeded(Models.SEQUENCE, seed, self.config.seeds)
        if seed == self.config.seeds[0]:
            save_inputs(self.shared, self.train.item_vectors, self.holdout, seen=self.start.seen)
            event("train", self.context.run_id, f"sequence {self.start.told}")
            trial = self._task(Splits.TRAIN, seed, f"{starting.KEPT}/{Models.SEQUENCE}")
            chosen = self._launch(trial, f"sequence on train, fit 1 of {1 + len(self.config.seeds)}")
            self.curves[name], self.ranks, self.epochs = chosen["curve"], chosen["ranks"], chosen["best_epoch"]
            self._judge(name, load(Path(trial.output)))
        final = self._task(Splits.VALID, seed, name, stop_after=self.epochs)
        number = f"fit {2 + self.config.seeds.index(seed)} of {1 + len(self.config.seeds)}"
        self._launch(final, f"sequence on train + valid, {number}", f"refit_loss_seed_{seed}")

    def fit_distilled(self) -> None:
        """As the sequence model of the first seed, of which it learns: on train from the one fitted on train."""
        name, seed = Models.DISTILLED, self.config.seeds[0]
        trial = self._task(Splits.TRAIN, seed, f"{SCRATCH}/{name}", teacher=f"{starting.KEPT}/{Models.SEQUENCE}")
        chosen = self._launch(trial, f"{name} on train, fit 1 of 2", f"{name}_loss", f"{name}_valid_ndcg")
        self.curves[name] = chosen["curve"]
        self._judge(name, load(Path(trial.output)))
        final = self._task(Splits.VALID, seed, name, stop_after=chosen["best_epoch"], teacher=Models.SEQUENCE)
        self._launch(final, f"{name} on train + valid, fit 2 of 2", f"{name}_refit_loss")

    def fit_blend(self) -> None:
        """Weights from the first seed's validation scores serve every seed."""
        divisions = blending.divisions(self.context, self.inputs) if self.scores else []
        self.blend = blending.mixture(self.scores, self.values, self.holdout, self.train.histories, divisions, self.config)
        if self.blend.value is None:
            return
        blending.save_blends(self.blend, self.both.histories, self.both.num_items, self.folder, self.config.seeds)
        self.values[Models.BLEND] = self.blend.value

    def _judge(self, name: str, model: Recommender) -> bool:
        """Keep what validation says of the model, unless another one of the name did better; gives whether it is kept."""
        scores = by_history(model, self.holdout.histories)
        standardised = standardise(scores)
        value = mean_ndcg(mask_seen(as_scored(model, scores), self.holdout.histories), self.holdout.targets, VALIDATION_K)
        if value <= self.values.get(name, -1.0):
            return False
        self.values[name] = value
        if name != Models.DISTILLED:
            self.scores[name] = standardised
        return True

    def _task(self, until: str, seed: int, output: str, stop_after: int | None = None, teacher: str | None = None) -> Task:
        """Of the sequence model; with a teacher, of the distilled one."""
        config, recipe, shape, start = self.config, recipe_of(self.config, self.train.num_items), shape_of(self.config), None
        if teacher is not None:
            recipe, shape = replace(recipe, teaching=config.distilled.teaching), small_shape_of(config)
        else:
            start = self.start.of(until, seeded(Models.SEQUENCE, seed, config.seeds))
        if start is not None:
            recipe = replace(recipe, learning_rate=config.start_rate * config.learning_rate)
        task = Task(
            files=self.files, until=until, inputs=str(self.shared), output=str(self.folder / output),
            num_items=self.train.num_items, rows=config.batch_size, seed=seed, shape=asdict(shape),
            recipe=asdict(recipe), validate=stop_after is None, stop_after=stop_after, start=start, replay=config.replay,
            teacher=None if teacher is None else str(self.folder / teacher),
            gpu=config.gpus_per_rank > 0, micro_batch=config.micro_batch,
            checkpoint_minutes=config.checkpoint_minutes, relaunches=config.relaunches,
        )  # fmt: skip
        return kept_under(self.folder / CHECKPOINTS, task, self.data)

    def _launch(self, task: Task, what: str, loss: str = "loss", value: str = "valid_ndcg") -> dict[str, Any]:
        """Fit, and show each epoch here and in MLflow when it is done, under the names `loss` and `value`."""
        total = task.stop_after or self.config.epochs

        def show(point: EpochResult) -> None:
            self.context.progress.update(f"{what}, epoch", point.epoch, total)
            figures = {"loss": f"{point.loss:.4f}"} | ({} if point.value is None else {"valid_ndcg": f"{point.value:.4f}"})
            event("train", self.context.run_id, f"{what}, epoch {point.epoch} of {total}", **figures)
            values = {loss: point.loss} | ({} if point.value is None else {value: point.value})
            self.context.tracker.log_metrics(values, point.epoch)

        config, spark = self.config, self.context.spark
        found: dict[str, Any] = supervise(
            lambda again: launch(fit_rank, asdict(task), config.ranks, config.gpus_per_rank, spark, again=again),
            Path(str(task.checkpoints)),
            None if in_this_process(spark, config.ranks) else config.relaunches,
            show,
            lambda note: event("train", self.context.run_id, f"{what}: {note}"),
        )
        name = Path(task.output).name
        self.fits[name if task.until == Splits.VALID else f"{name} on train"] = found
        return found


STAGE = Stage(
    name="train",
    run=run,
    summary="fit on train, choose on valid, refit for the test",
    reads=(Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEM_VECTORS, Tables.ITEMS),
    needs=(Tables.SEQUENCES, Tables.ITEM_INDEX),
    asks_for=rated_tables,
    sections=("train",),
    makes="folder",
)
