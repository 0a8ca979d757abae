"""Starts one training function on all ranks: in this process, in local processes, or over a cluster's executors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakerec.errors import TrainingError
from lakerec.lake.platform import is_local, slots
from lakerec.origin import archive

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def in_this_process(spark: SparkSession | None, ranks: int) -> bool:
    """Whether `launch` runs the function here: there are no other processes that could die."""
    return spark is None or (is_local(spark) and ranks == 1)


def launch(
    function: Callable[..., Any],
    argument: dict[str, Any],
    ranks: int,
    gpus_per_rank: int,
    spark: SparkSession | None,
    section: str = "train",
    again: bool = False,
    **watching: Any,
) -> Any:
    """Run `function(argument)` on every rank; gives what rank 0 returned, which should be small.

    Without a session, or with one rank on a laptop, it runs in this process.

    Args:
        function: importable on the workers; the argument travels with it, so it holds plain values only.
        section: of the config, whose `ranks` they are.
        again: after a rank died. Then workers may be missing that come back, and Spark waits for them, ten minutes by its
            own settings.
        watching: further arguments where it runs in this process, such as a callback that other processes cannot reach.

    Raises:
        TrainingError: the cluster has fewer task slots than ranks, and would wait forever.
    """
    if spark is None or in_this_process(spark, ranks):
        return function(argument, **watching)
    local = is_local(spark)
    gpus = float(spark.sparkContext.getConf().get("spark.task.resource.gpu.amount") or 1) if gpus_per_rank else 0
    at_once = slots(spark, gpus)
    if not local and not again and ranks > at_once:
        what = "tasks with a GPU" if gpus_per_rank else "tasks"
        raise TrainingError(
            f"{section}.ranks is {ranks} and the cluster runs {at_once} {what} at once: lower it, or add workers"
        )
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=ranks, local_mode=local, use_gpu=gpus_per_rank > 0)
    return distributor.run(*_carried(function, argument))


def _carried(function: Callable[..., Any], argument: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What to hand to TorchDistributor: the function, or, out of a wheel, one that brings the wheel along.

    A rank is a process of its own, to which spark-submit's --py-files do not reach.
    """
    packed = archive()
    if packed is None:
        return function, argument
    module, name, wheel = function.__module__, function.__qualname__, packed.read_bytes()

    def unpacked(argument: dict[str, Any]) -> Any:
        import importlib
        import sys
        import tempfile

        with tempfile.NamedTemporaryFile(suffix=".zip") as file:
            file.write(wheel)
            file.flush()
            sys.path.insert(0, file.name)
            return getattr(importlib.import_module(module), name)(argument)

    return unpacked, argument
