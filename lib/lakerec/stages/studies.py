"""A search of one model's settings: Optuna proposes, this process or the cluster tries, Optuna hears.

    ask ─► trial (training/trials.py) ─ its lines ─► worth going on? ─ no ─► stop
                                     └ its value ─► tell

A study is a journal on disk, so that a search which was cut short goes on. The only importer of Optuna.

Sources: Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011 (TPE); Golovin et al., Google Vizier,
KDD 2017, section 3.5 (median rule).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakerec.errors import TrainingError
from lakerec.training import trials
from lakerec.training_config import Range, TrainConfig

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Asked

POLL_SECONDS = 0.5
FIRST = 5
"""Trials before the first one is stopped early, and before what was found guides what is tried."""
EPOCHS_AT_LEAST = 2


@dataclass(frozen=True)
class Tried:
    """One trial that has ended."""

    number: int
    values: dict[str, Any]
    """Its settings."""
    value: float | None
    """Validation NDCG@10; None where it was stopped early or failed."""
    state: str
    """complete, pruned or fail."""
    curve: list[tuple[int, float]]
    """Validation value by epoch."""
    seconds: float


def open_study(journal: Path, name: str, seed: int, parallel: int) -> Study:
    """The study of that name, new or as it was left; trials that nobody will finish count as failed."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal))))
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True,
        sampler=optuna.samplers.TPESampler(n_startup_trials=FIRST, seed=seed, constant_liar=parallel > 1),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST, n_warmup_steps=EPOCHS_AT_LEAST),
    )  # fmt: skip
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def distributions(space: dict[str, Range | list[float]], now: TrainConfig) -> dict[str, Any]:
    """What Optuna chooses from, with the settings of now always among it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for key, values in space.items():
        own = now.at(key)
        if isinstance(values, list):
            found[key] = CategoricalDistribution(sorted({*map(type(own), values), own}))
            continue
        kind = IntDistribution if isinstance(own, int) else FloatDistribution
        found[key] = kind(type(own)(min(values.low, own)), type(own)(max(values.high, own)), log=values.log and own > 0)
    return found


def search(
    study: Study,
    chosen_from: dict[str, Any],
    first: dict[str, Any],
    most: int,
    seconds: float,
    parallel: int,
    folder: Path,
    run: Callable[[int, dict[str, Any]], float | None],
    ended: Callable[[Tried], None],
) -> list[Tried]:
    """Try settings until the study has `most` trials that count, or the time is over; gives all of them.

    Args:
        first: settings that are tried before others, unless the study has them.
        seconds: no trial begins after them; 0: no end.
        folder: where the trials' lines are.
        run: gives a trial's value by its number and settings; called in `parallel` threads.
        ended: is told each trial of this search.

    Raises:
        TrainingError: no trial of the study gave a value.
    """
    if not any(_tries(trial, first) for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(first)
    left, over = most - sum(each.state != "fail" for each in tried(study)), time.monotonic() + seconds
    running: dict[Future[float | None], Asked] = {}
    failures: list[str] = []
    heard: dict[int, int] = {}
    with ThreadPoolExecutor(parallel) as pool:
        try:
            while True:
                while len(running) < parallel and left > 0 and (not seconds or time.monotonic() < over):
                    asked, left = study.ask(chosen_from), left - 1
                    running[pool.submit(run, asked.number, asked.params)] = asked
                if not running:
                    break
                done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                for asked in running.values():
                    heard[asked.number] = _follow(asked, folder, heard.get(asked.number, 0))
                for future in done:
                    asked = running.pop(future)
                    failures += _tell(study, asked, future)
                    ended(_tried(study.get_trials(deepcopy=False)[asked.number]))
        except BaseException:
            for asked in running.values():
                trials.stop(folder, asked.number)
            raise
    found = tried(study)
    if not any(each.value is not None for each in found):
        raise TrainingError(f"none of {len(found)} trials ended; the last one: {failures[-1] if failures else 'stopped'}")
    return found


def tried(study: Study) -> list[Tried]:
    """The study's trials that have ended."""
    return [_tried(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _tries(trial: FrozenTrial, settings: dict[str, Any]) -> bool:
    """Whether a trial has had these settings to some end, or will have; one that failed or was killed has not."""
    wanted = trial.system_attrs.get("fixed_params", trial.params)  # of one that waits, nothing else is known
    return trial.state.name != "FAIL" and wanted == settings


def _tried(trial: FrozenTrial) -> Tried:
    state = trial.state.name.lower()
    curve = sorted(trial.intermediate_values.items())
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return Tried(trial.number, trial.params, trial.value if state == "complete" else None, state, curve, seconds)


def _follow(asked: Asked, folder: Path, heard: int) -> int:
    """Tell Optuna what a trial has said since, and the trial to stop where it is not worth going on; gives its lines."""
    lines = trials.lines(folder, asked.number)
    for point in lines[heard:]:
        if point.value is not None:
            asked.report(point.value, point.epoch)
    if asked.should_prune():
        trials.stop(folder, asked.number)
    return len(lines)


def _tell(study: Study, asked: Asked, future: Future[float | None]) -> list[str]:
    """Tell Optuna how a trial ended; gives what went wrong."""
    from optuna.trial import TrialState

    try:
        value = future.result()
    except TrainingError as error:
        study.tell(asked, state=TrialState.FAIL)
        return [str(error)]
    if value is None:
        study.tell(asked, state=TrialState.PRUNED)
    else:
        study.tell(asked, value)
    return []
