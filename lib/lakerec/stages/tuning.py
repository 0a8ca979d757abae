"""`lakerec tune`: better settings of the recommenders, chosen by validation; the test split is not looked at.

    gold/sequences, gold/item_vectors → trials of each model (stages/studies.py) → MLflow, tuned.png, tuned.yaml

tuned.yaml extends the config that was tuned and holds the search's --set, so that `lakerec run --conf` takes it as it is.
Not in it are those of `PLACES`, whose keys are printed with the command, and variables of the environment: they hold for the
run too. A search goes on where one on the same data was cut short.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from lakerec.columns import Models, Splits, Tables
from lakerec.config import Config
from lakerec.errors import ConfigError, InputError, nearest
from lakerec.lake.plain import plain_files
from lakerec.lake.platform import is_local
from lakerec.models.catalog import OWN_SETTINGS
from lakerec.reporting.tuning_plot import draw
from lakerec.stages import arrays, pipeline
from lakerec.stages.base import Context, Inputs
from lakerec.stages.log import event
from lakerec.stages.studies import Tried, distributions, open_study, search
from lakerec.stages.train import models_folder
from lakerec.stages.values import Values
from lakerec.training.fit import save_inputs
from lakerec.training.trials import Trial, run_trial
from lakerec.training_config import Range, TrainConfig, nested

READS = (Tables.SEQUENCES, Tables.ITEM_INDEX, Tables.ITEM_VECTORS)
RATED = (Tables.INTERACTIONS, Tables.EVENTS)
"""For `behaviour` alone."""
FOLDER = "tune"
PLACES = ("spark", "tracking")
"""Sections that say where it runs, and may hold passwords: tuned.yaml goes to MLflow."""
Space = dict[str, Range | list[float]]
"""What each of a model's settings may be."""


def tune(config: Config, conf: str, overrides: Sequence[str] = (), watched: bool = False) -> dict[str, Any]:
    """Search; gives, a model, what was tried and what was best, and where tuned.yaml is.

    Args:
        conf: the config's file, which tuned.yaml extends.
        overrides: what was said besides, as `key.path=value`.

    Raises:
        ConfigError: nothing is to be tuned, the space does not fit, or `conf` is what the search writes.
        InputError: there is nothing to fit models on.
    """
    spaces = spaces_of(config)
    with pipeline.opened(config, watched) as context:
        if Path(conf).resolve() == _tuned(context):
            raise ConfigError(f"{conf}: the search writes this file, which cannot extend itself: copy it, and tune the copy")
        inputs = {table: version for table in (*READS, *RATED) if (version := context.lake.version(table)) is not None}
        if Tables.SEQUENCES not in inputs:
            raise InputError("gold/sequences is not there yet: run `lakerec run` first, at least up to embed")
        with context.tracker.pipeline(FOLDER), context.progress.stage(FOLDER):
            job = Job(context, inputs, spaces)
            try:
                found = {model: job.tune(model, space) for model, space in spaces.items()}
            finally:
                shutil.rmtree(job.scratch, ignore_errors=True)
            return _result(context, spaces, found, conf, overrides)


def spaces_of(config: Config) -> dict[str, Space]:
    """For each model that is tuned the settings it may have.

    Raises:
        ConfigError: a model or a setting is unknown, has nothing to be tuned, or none is left.
    """
    wanted = config.tune.models or [model for model in config.train.models if model in OWN_SETTINGS]
    for model in wanted:
        if model not in OWN_SETTINGS:
            allowed = ", ".join(OWN_SETTINGS)
            raise ConfigError(f"tune.models: `{model}` has no settings{nearest(model, OWN_SETTINGS)}; allowed: {allowed}")
    known = [key for keys in OWN_SETTINGS.values() for key in keys]
    for key in config.tune.space:
        if key not in known:
            raise ConfigError(f"tune.space: unknown setting `{key}`{nearest(key, known)}; allowed: {', '.join(known)}")
    space = {key: values for key, values in config.tune.space.items() if values}
    spaces = {model: {key: space[key] for key in OWN_SETTINGS[model] if key in space} for model in wanted}
    spaces = {model: own for model, own in spaces.items() if own}
    if not spaces:
        raise ConfigError("tune: no model of tune.models (or train.models) has a setting in tune.space")
    return spaces


def changed(train: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    """The config with other values of these keys; whether they go together is not looked at."""
    return reduce(lambda config, pair: config.changed(*pair), values.items(), train)


def settings_of(train: TrainConfig, keys: Iterable[str]) -> dict[str, Any]:
    """What the config has for these keys."""
    return {key: train.at(key) for key in keys}


class Job:
    """What all trials share."""

    def __init__(self, context: Context, inputs: Inputs, models: Iterable[str]) -> None:
        self.context, self.config, self.folder = context, context.config, models_folder(context).resolve() / FOLDER
        self.scratch = self.folder / ".scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)  # of a search that was killed
        self.scratch.mkdir(parents=True)
        self.num_items = len(arrays.item_ids(context, inputs))
        self.inputs = self.scratch / "inputs.safetensors"
        holdout = arrays.holdout(context, inputs, Splits.VALID, self.config.train.validation_users)[1]
        known, types = arrays.known_until(context, inputs, Splits.TRAIN), self.config.train.behaviour.rated
        rated = Values.read(context, inputs, types) if Models.BEHAVIOUR in models and types else None
        values = None if rated is None else rated.of_events(known.ids, known.histories)
        vectors = arrays.item_vectors(context, inputs, self.num_items)
        save_inputs(self.inputs, vectors, holdout, known.histories, values=values)
        version = inputs[Tables.SEQUENCES]
        self.files = plain_files(context.lake, Tables.SEQUENCES, version, self.scratch / "sequences")
        texts = np.zeros(0) if vectors is None else vectors
        seen = arrays.digest(version, known.histories, holdout.histories, holdout.targets, texts)
        self.data: dict[str, Any] = {table: inputs.get(table) for table in READS} | {"seen": seen}
        self.rated: dict[str, Any] = {}
        if values is not None:
            self.rated = {table: inputs.get(table) for table in RATED} | {"values": arrays.digest(version, values)}

    def tune(self, model: str, space: Space) -> list[Tried]:
        """All trials of a model's study."""
        config, chosen_from = self.config.tune, distributions(space, self.config.train)
        study = open_study(self.folder / "journal.log", self._name(model, chosen_from), self.config.seed, config.parallel)
        folder = self.scratch / model
        folder.mkdir()
        now = settings_of(self.config.train, space)
        trial = Trial(0, model, {}, str(self.inputs), self.files, Splits.TRAIN, str(folder), self.num_items)
        best: list[float] = []

        def run(number: int, values: dict[str, Any]) -> float | None:
            return self._execute(asdict(replace(trial, number=number, settings=self._settings(values))))

        def ended(tried: Tried) -> None:
            self._track(model, tried)
            best.extend([] if tried.value is None else [tried.value])
            self.context.progress.update(f"{model}, best {max(best, default=0):.4f}", tried.number + 1, config.trials)

        self.context.progress.update(model, 0, config.trials)
        return search(study, chosen_from, now, config.trials, config.minutes * 60, config.parallel, folder, run, ended)

    def _name(self, model: str, chosen_from: dict[str, Any]) -> str:
        """Of the study: the same for the same data, settings of the rest, and space.

        A lake that is made anew counts its versions from 0 again, and the journal outlives it: rows and vectors tell.
        """
        without = {key: type(self.config.train.at(key))() for key in chosen_from}
        rest = changed(self.config.train, without).model_dump(mode="json")
        data = self.data | (self.rated if model == Models.BEHAVIOUR else {})
        of = [data, self.config.seed, rest, {key: str(value) for key, value in chosen_from.items()}]
        return f"{model}-{hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]}"

    def _settings(self, values: dict[str, Any]) -> dict[str, Any]:
        """Of train, these among them.

        Raises:
            ConfigError: they do not go together.
        """
        whole = changed(self.config.train, values).model_dump(mode="json")
        try:
            return TrainConfig.model_validate(whole).model_dump(mode="json")
        except ValidationError as error:
            raise ConfigError(f"tune.space: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None

    def _execute(self, argument: dict[str, Any]) -> float | None:
        """Here, or as a task of the cluster."""
        spark = self.context.spark
        if self.config.tune.parallel == 1 and is_local(spark):
            return run_trial(argument)
        found: list[float | None] = spark.sparkContext.parallelize([argument], 1).map(run_trial).collect()
        return found[0]

    def _track(self, model: str, tried: Tried) -> None:
        """A child run in MLflow."""
        tracker = self.context.tracker
        with tracker.stage(f"{model} {tried.number}"):
            tracker.log_params({**tried.values, "model": model, "state": tried.state})
            for epoch, value in tried.curve:
                tracker.log_metrics({"valid_ndcg": value}, epoch)
            tracker.log_metrics(
                {"seconds": tried.seconds} | ({} if tried.value is None else {"best_valid_ndcg": tried.value})
            )
        shown = {} if tried.value is None else {"valid_ndcg": f"{tried.value:.4f}"}
        event(FOLDER, f"{model}-{tried.number}", tried.state, **tried.values, **shown)


def _tuned(context: Context) -> Path:
    """The config that a search of this lake writes."""
    return models_folder(context).resolve() / FOLDER / "tuned.yaml"


def _result(
    context: Context, spaces: dict[str, Space], found: dict[str, list[Tried]], conf: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """Write tuned.yaml and tuned.png, log both, and say what was found."""
    file = _tuned(context)
    plot = file.with_suffix(".png")
    models = {model: _best(trials, settings_of(context.config.train, spaces[model])) for model, trials in found.items()}
    settings = nested({key: value for each in models.values() for key, value in each["settings"].items()})
    besides = [each for each in overrides if each.partition("=")[0].split(".")[0].strip() in PLACES]
    words = [each for each in overrides if each not in besides]
    whole = {"extends": str(Path(conf).resolve())} | ({"set": words} if words else {}) | {"train": settings}
    text = yaml.safe_dump(whole, sort_keys=False)
    file.write_text(f"# By `lakerec tune`: chosen by validation NDCG@10.\n{text}", encoding="utf-8")
    draw(plot, {model: [asdict(each) for each in trials] for model, trials in found.items()})
    with context.tracker.stage("result"):
        context.tracker.log_metrics({f"valid_ndcg_{model}": each["best"] for model, each in models.items()})
        context.tracker.log_artifact(file)
        context.tracker.log_artifact(plot)
    keys = [each.partition("=")[0].strip() for each in besides]
    return {"name": context.config.name, "models": models, "config": str(file), "set": keys, "plot": str(plot)}


def _best(trials: list[Tried], now: dict[str, Any]) -> dict[str, Any]:
    """Of a study, beside the settings of now, which may have been stopped or not have been tried yet."""
    ended = [each for each in trials if each.value is not None]
    best = max(ended, key=lambda each: (each.value, -each.number))
    states, own = [each.state for each in trials], next((each.value for each in ended if each.values == now), None)
    return {
        "trials": len(trials), "stopped": states.count("pruned"), "failed": states.count("fail"),
        "now": own, "best": best.value, "settings": dict(best.values),
    }  # fmt: skip


def print_tuning(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for name in ("model", "trials", "stopped", "now", "best", "best settings"):
        table.add_column(name, justify="left" if name in ("model", "best settings") else "right")
    for model, row in result["models"].items():
        now = "-" if row["now"] is None else f"{row['now']:.4f}"
        settings = ", ".join(f"{key} {value:.4g}" for key, value in row["settings"].items())
        table.add_row(model, str(row["trials"]), str(row["stopped"]), now, f"{row['best']:.4f}", settings)
    console.print(table)
    console.print("NDCG@10 on validation; `now` has the settings of the config. What the test says: run with these.")
    besides = "".join(f" --set {key}=..." for key in result["set"])
    console.print(f"lakerec run --conf {result['config']}{besides}", soft_wrap=True)
    console.print(f"plot: {result['plot']}", soft_wrap=True)
