"""What is put to the gate: a model of the last train run, judged on the present test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Models, Tables
from lakerec.errors import ConfigError, InputError, PromotionError
from lakerec.evaluation.lists import ALL
from lakerec.stages.base import Context, Inputs, last_run
from lakerec.stages.evaluate import TRAIN_RUN

if TYPE_CHECKING:
    from pyspark.sql import Row

    from lakerec.config import Config

VALID = "valid_ndcg_"


@dataclass(frozen=True)
class Offer:
    """What is put to the gate."""

    name: str
    """Registered."""
    trained: Row
    evaluated: Row
    values: Mapping[str, float]
    """The promoted metric of each model on the test users."""

    @classmethod
    def read(cls, context: Context, inputs: Inputs) -> Offer:
        """What the last train run fitted, by its evaluation on the present test."""
        trained, evaluated = judged(context, inputs)
        return cls(model_name(context.config), trained, evaluated, _test_values(context, evaluated.run_id))

    def model(self, context: Context, champion: str | None) -> tuple[str, list[str]]:
        """The model that is offered, and why it is not validation's best, if so."""
        asked, details = context.config.promote.model, dict(self.trained.details)
        chosen = offered(details, asked)
        model, why = candidate(chosen, self.values, champion, "asked for" if asked else "chosen on validation")
        if asked and model == chosen:
            why = [f"{model} was asked for, validation likes {best_by_validation(details)} best"]
        return model, why


def model_name(config: Config) -> str:
    """The registered model's name."""
    return config.promote.model_name or f"lakerec-{config.name}"


def best_by_validation(details: dict[str, str]) -> str:
    """The model with the highest validation NDCG@10; the test has no say in it."""
    values = {key.removeprefix(VALID): float(value) for key, value in details.items() if key.startswith(VALID)}
    return max(values, key=values.__getitem__)


def offered(details: dict[str, str], asked: str | None) -> str:
    """The model that the config asks for, or validation's best.

    Raises:
        ConfigError: what it asks for was not fitted.
    """
    if asked is not None and f"{VALID}{asked}" not in details:
        fitted = ", ".join(key.removeprefix(VALID) for key in details if key.startswith(VALID))
        raise ConfigError(f"promote.model: `{asked}` was not fitted by the last train run, which has {fitted}")
    return asked or best_by_validation(details)


def candidate(
    chosen: str, values: Mapping[str, float], champion: str | None, how: str = "chosen on validation"
) -> tuple[str, list[str]]:
    """The model to register, and why it is not the one that was chosen, if so.

    Where nothing serves yet and the chosen model does not beat plain popularity, popularity serves until one does.
    """
    baseline = values.get(Models.POPULAR)
    if champion is not None or baseline is None or values[chosen] > baseline or chosen == Models.POPULAR:
        return chosen, []
    return Models.POPULAR, [f"{chosen}, {how}, has {values[chosen]:.4f}: plain popularity serves until one beats it"]


def judged(context: Context, inputs: Inputs) -> tuple[Row, Row]:
    """The last train run and the evaluation of its models on the present test.

    Raises:
        InputError: there is none, or what was evaluated is not what was trained last or not on this test.
    """
    trained, evaluated = last_run(context.lake, "train"), last_run(context.lake, "evaluate")
    if trained is None or evaluated is None:
        raise InputError("no model was fitted and judged here: run `lakerec train` and `lakerec evaluate` first")
    if evaluated.details.get(TRAIN_RUN) != trained.run_id:
        raise InputError("eval/metrics is of an earlier train run than the last one: run `lakerec evaluate` first")
    if evaluated.inputs.get(Tables.SEQUENCES) != inputs[Tables.SEQUENCES]:
        raise InputError(
            "gold/sequences has changed since eval/metrics was written: run `lakerec train` and `lakerec evaluate` first"
        )
    return trained, evaluated


def _test_values(context: Context, run_id: str) -> dict[str, float]:
    """The promoted metric of each model on the test users."""
    config = context.config.promote
    rows = context.lake.read(Tables.METRICS).where(
        (F.col(C.RUN_ID) == run_id) & (F.col(C.SLICE) == ALL) & (F.col(C.METRIC) == config.metric) & (F.col(C.K) == config.k)
    )
    values = {row[C.MODEL]: float(row[C.VALUE]) for row in rows.collect()}
    if not values:
        raise PromotionError(f"promote.k: {config.metric}@{config.k} was not evaluated: add {config.k} to evaluate.k")
    return values
