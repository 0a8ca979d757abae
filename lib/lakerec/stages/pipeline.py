"""The stages in order, and what it takes to run some of them."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lakerec.config import Config
from lakerec.errors import InputError
from lakerec.ingest.paths import lies_nothing, nothing_found
from lakerec.lake.platform import on_databricks
from lakerec.lake.session import runs_here
from lakerec.stages.base import Context, Outcome, Stage, Standing, run_stage, standing
from lakerec.stages.log import event
from lakerec.stages.progress import Progress

ORDER = ("ingest", "clean", "featurize", "adapt", "embed", "profile", "train", "evaluate", "promote", "recommend", "report")
ELSEWHERE = frozenset(("HADOOP_CONF_DIR", "SPARK_CONF_DIR"))
"""Variables that lead to settings by which a path without scheme may be none of this machine."""


def stage(name: str) -> Stage:
    """The stage of that name; its module is imported only now, with all that it needs."""
    found: Stage = importlib.import_module(f"lakerec.stages.{name}").STAGE
    return found


def check_sources(config: Config) -> None:
    """Something lies where ingest is to read, as far as a glance tells: before Spark is started, which takes seconds.

    Raises:
        InputError: nothing does.
    """
    if not reads_here(config):
        return
    for name, table in config.source:
        if table is not None and lies_nothing(table.path):
            raise nothing_found(table.path, f"source.{name}")


def check_named(config: Config) -> None:
    """What the config names beside its sources is there and fits: before stages run that take their time.

    Raises:
        EnvironmentProblem: the encoder or the model of descriptions is not found, or a secret key is not set.
        ConfigError: an objective of adapt is for another kind of model.
        InputError: a table of labels, spans or vectors is not there.
    """
    from lakerec.ingest.personal import check_key
    from lakerec.language.files import resolve_model

    folder = resolve_model(config.encoder.model)
    if config.profile.descriptions is not None:
        from lakerec.stages.describing import given_model

        given_model(config.profile.descriptions)
    if config.adapt.objectives:
        from lakerec.language.vocabulary import vocabulary

        vocabulary(config.encoder.model, folder, config.adapt.objectives)
    for name, table in config.source:
        if table is not None:
            check_key(table, f"source.{name}")
    if not reads_here(config):
        return
    profile = config.profile
    named = {f"profile.labels.{name}": task.path for name, task in profile.labels.items()}
    named |= {f"profile.spans.{name}": task.path for name, task in profile.spans.items()}
    named |= {f"fusion.others.{name}": table.path for name, table in config.fusion.others.items()}
    for where, path in named.items():
        if lies_nothing(path):
            raise nothing_found(path, where)


def reads_here(config: Config) -> bool:
    """Whether a path without scheme is one of this machine."""
    elsewhere = not ELSEWHERE.isdisjoint(os.environ) or any(key.endswith("fs.defaultFS") for key in config.spark.conf)
    return not elsewhere and not on_databricks() and runs_here(config.spark)


@contextmanager
def opened(config: Config, progress: bool = False) -> Iterator[Context]:
    """A Spark session, the lake and the tracker for `config`; the session ends with the block if it began here.

    Raises:
        LakeError: a table's log turned out to be damaged.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    from lakerec.lake import damage
    from lakerec.lake.lake import Lake
    from lakerec.lake.session import spark_session
    from lakerec.registry.tracking import Tracker

    found = SparkSession.getActiveSession()
    interrupt = signal.getsignal(signal.SIGINT)
    spark = found or spark_session(config.spark, f"lakerec {config.name}")
    if threading.current_thread() is threading.main_thread():
        # Spark's own handler calls the JVM in the midst of another call to it, and fails; ending the session stops its jobs.
        signal.signal(signal.SIGINT, interrupt)
    try:
        tracker = Tracker(config.tracking, config.name)
        yield Context(config, spark, Lake(spark, config.lake), tracker, Progress(progress, spark))
    except (Py4JJavaError, PySparkException) as error:
        raise damage.explained(error) or error from None
    finally:
        if found is None and not on_databricks():
            spark.stop()


def run(context: Context, names: Sequence[str], force: bool = False) -> list[Outcome]:
    """Run the named stages in pipeline order, under one parent run in MLflow.

    Raises:
        InputError: a stage has nothing to do, since one before it, which is not named, never ran.
    """
    ordered = [each for each in _wanted(context.config) if each.name in names]
    _check_needed(context, ordered)
    for name in set(names) - {each.name for each in ordered}:
        event(name, "-", "is off in the config")
    with context.tracker.pipeline("+".join(names) if len(names) < len(ORDER) else "pipeline"):
        return [run_stage(context, each, force) for each in ordered]


def _check_needed(context: Context, ordered: Sequence[Stage]) -> None:
    made: set[str] = set()
    for each in ordered:
        for table in each.needs:
            if table not in made and not context.lake.exists(table):
                maker = next(name for name in ORDER if table in stage(name).writes)
                raise InputError(f"{each.name}: {table} is not there yet: run `lakerec {maker}` first, and see lake.root")
        made |= set(each.writes)


def plan(context: Context) -> list[tuple[Stage, Standing]]:
    """Which stages would run, and why; writes nothing."""
    return [(each, standing(context, each)) for each in _wanted(context.config)]


def _wanted(config: Config) -> list[Stage]:
    """The stages that the config has on, in order."""
    return [each for each in map(stage, ORDER) if each.wanted is None or each.wanted(config)]


def feeders(target: Stage) -> set[str]:
    """Stages whose tables or runs the target reads."""
    before = {each.name for each in map(stage, ORDER) if set(each.writes) & set(target.reads)}
    return before | set(target.after)
