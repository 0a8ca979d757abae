"""gold/item_text, gold/interactions → an encoder tuned on this catalogue, used only where it finds cold items better.

    items met in train ─ seed ─► hidden to choose by │ hidden to report by │ the rest
    texts of the rest, pairs of them that the same users met in train → adapt (training/adapt.py), each seed
    base and adapted encoder → recall@10 of the hidden items → eval/cold_retrieval

The first hidden set chooses, by the mean over the seeds, and which seed's model is used; the second reports.

Nothing is learned from text of an item that was not met before the validation split. The adapted model is a folder under
the models' own; `embed` uses it where `kept` says so, else the encoder as it came.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F
from safetensors.numpy import save_file

from lakerec.columns import Columns as C
from lakerec.columns import Metrics, Splits, Tables
from lakerec.config import EncoderConfig
from lakerec.errors import EmptyDataError
from lakerec.features.pairs import item_pairs
from lakerec.language.adapters import FULL
from lakerec.language.encoder import encoder_fingerprint
from lakerec.language.files import resolve_model
from lakerec.language.objectives import PAIRS
from lakerec.language.tokens import load_tokenizer, prompted
from lakerec.language.vocabulary import vocabulary
from lakerec.stages import arrays, cold
from lakerec.stages.adopting import BASE, KEPT, LEARNED, MODEL
from lakerec.stages.base import Context, Inputs, Result, Stage, last_run, write_own
from lakerec.stages.encoding import encode, vectors_of
from lakerec.stages.log import event
from lakerec.stages.statistics import grouped
from lakerec.stages.train import models_folder
from lakerec.training.adapt import AdaptEpoch, Task, adapt, save_texts
from lakerec.training.launcher import launch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

K = 10
FULL_RATE, ADDED_RATE = 2e-5, 2e-4
"""Learning rates of all weights, and of weights that are added."""
BASE_MODEL, ADAPTED = "base", "adapted"


def run(context: Context, inputs: Inputs) -> Result:
    job = Job(context, inputs)
    for seed in job.config.seeds:
        job.adapt(seed)
    job.judge()
    values = {name: float(np.mean([row[-2] for row in job.rows if _is_choice(row, name)])) for name in (BASE_MODEL, ADAPTED)}
    kept, best = values[ADAPTED] > values[BASE_MODEL], best_seed(job.rows)
    write_own(context, job.rows, Tables.COLD_RETRIEVAL)
    job.forget(best if kept else None)
    details = {
        KEPT: str(kept).lower(), MODEL: str(job.output(best)), BASE: encoder_fingerprint(job.base),
        LEARNED: str(job.learned(best)), "folder": str(job.folder), "curves": json.dumps(job.curves),
        "trained": str(job.trained), "parameters": str(job.parameters),
    }  # fmt: skip
    metrics = {f"valid_recall_{name}": value for name, value in values.items()}
    details |= {name: f"{value:.6f}" for name, value in metrics.items()}
    event(
        "adapt", context.run_id, "kept" if kept else "not kept: the encoder finds hidden items as well as it came", **metrics
    )
    return Result(rows_in=job.texts, rows_out=len(job.config.seeds), details=details, metrics=metrics)


class Job:
    """One adapt run: its data, and what has been adapted so far."""

    def __init__(self, context: Context, inputs: Inputs) -> None:
        self.context, self.inputs, self.config = context, inputs, context.config.adapt
        self.base = context.config.encoder
        self.model = resolve_model(self.base.model)
        self.vocabulary = vocabulary(self.base.model, self.model, self.config.objectives)
        self.folder = models_folder(context).resolve() / context.run_id
        self.ids = arrays.item_ids(context, inputs)
        self.known = {s: arrays.known_until(context, inputs, s).histories for s in Splits.ALL}
        self.met = np.isin(np.arange(len(self.ids)), self.known[Splits.TRAIN].items)
        self.rows: list[tuple[Any, ...]] = []
        self.curves: dict[int, list[dict[str, float]]] = {}
        self.texts = self.trained = self.parameters = 0

    def output(self, seed: int) -> Path:
        """Folder of a seed's model; its name is part of the vectors' fingerprint."""
        return self.folder / f"seed-{seed}" / f"{Path(self.base.model).name}-adapted"

    def learned(self, seed: int) -> Path:
        """File that says what a seed's model learned from (see `note_learned`)."""
        return self.output(seed).parent / "learned.safetensors"

    def adapt(self, seed: int) -> None:
        """Train one model on what its seed does not hide."""
        hidden = cold.hide_items(self.met, self.config.hidden, seed)
        texts, rows = self._texts(self.met & ~hidden.either, hidden.either)
        pairs = self._pairs(rows, seed) if PAIRS in self.config.objectives else np.zeros((0, 2), np.int64)
        shared = self.folder / ".scratch" / f"texts-{seed}.safetensors"
        save_texts(shared, texts, pairs)
        note_learned(self.learned(seed), rows, pairs, hidden.either)
        self.texts = len(texts)
        config = self.config
        task = Task(
            folder=str(self.model), inputs=str(shared), output=str(self.output(seed)),
            encoder=self.base.model_dump(mode="json"), vocabulary=self.vocabulary,
            objectives={str(name): weight for name, weight in config.objectives.items()},
            method=config.method, rank=config.rank, epochs=config.epochs, batch=config.batch_size,
            learning_rate=config.learning_rate or (FULL_RATE if config.method == FULL else ADDED_RATE),
            temperature=config.temperature, consistency=config.consistency, seed=seed, gpu=config.gpus_per_rank > 0,
        )  # fmt: skip

        def show(point: AdaptEpoch) -> None:
            self.context.progress.update(f"seed {seed}, epoch", point.epoch, config.epochs)
            losses = {name: f"{loss:.4f}" for name, loss in point.losses.items()}
            event("adapt", self.context.run_id, f"seed {seed}, epoch {point.epoch} of {config.epochs}", **losses)

        self.context.progress.update(f"seed {seed}, epoch", 0, config.epochs)
        spark = self.context.spark
        done = launch(adapt, task.__dict__, config.ranks, config.gpus_per_rank, spark, "adapt", on_epoch=show)
        self.curves[seed], self.trained, self.parameters = done["curve"], done["trained"], done["parameters"]
        for point in done["curve"]:
            losses = {f"loss_{name}_seed_{seed}": loss for name, loss in point.items() if name != "epoch"}
            self.context.tracker.log_metrics(losses, point["epoch"])
        shutil.rmtree(shared.parent)

    def judge(self) -> None:
        """Recall of each seed's hidden items, by the base's vectors and the adapted ones."""
        base = self._vectors(self.base)
        for seed in self.config.seeds:
            own = self._vectors(self._adapted(seed))
            hidden = cold.hide_items(self.met, self.config.hidden, seed)
            self.rows += self._recalls(seed, Splits.VALID, hidden, hidden.choosing, base, own)
            self.rows += self._recalls(seed, Splits.TEST, hidden, hidden.reporting, base, own)

    def forget(self, kept: int | None) -> None:
        """Remove the vectors and models that nothing will use: all of other seeds than the one that is kept, if any."""
        used = "" if kept is None else encoder_fingerprint(self._adapted(kept))
        mine = F.col(C.ENCODER).startswith(f"{self.output(0).name}-")
        self.context.lake.delete(Tables.TEXT_VECTORS, mine & (F.col(C.ENCODER) != used))
        last = last_run(self.context.lake, "adapt")
        before = {Path(last.details["folder"])} if last else set()
        for folder in self.folder.parent.glob("adapt-*"):
            if folder not in {self.folder, *before}:
                shutil.rmtree(folder, ignore_errors=True)

    def _adapted(self, seed: int) -> EncoderConfig:
        return self.base.model_copy(update={"model": str(self.output(seed))})

    def _texts(self, wanted: np.ndarray, hidden: np.ndarray) -> tuple[list[list[int]], np.ndarray]:
        """Tokens of the distinct texts of wanted items, and the row of each item's text, -1 where it has none.

        A text that a hidden item has too is left out.
        """
        table = self._index(self.context.lake.read(Tables.ITEM_TEXT, self.inputs.get(Tables.ITEM_TEXT)))
        table = table.orderBy(C.ITEM).select(C.ITEM, C.TEXT, C.TEXT_HASH).toArrow()
        items, hashes = table[C.ITEM].to_numpy(), np.array(table[C.TEXT_HASH].to_pylist())
        allowed = wanted[items] & ~np.isin(hashes, hashes[hidden[items]])
        _, first, row = np.unique(hashes[allowed], return_index=True, return_inverse=True)
        if len(first) < 2:
            raise EmptyDataError("adapt: fewer than two texts of items that were met in train are left to learn from")
        rows = np.full(len(self.ids), -1)
        rows[items[allowed]] = row
        texts = [table[C.TEXT][int(place)].as_py() for place in np.flatnonzero(allowed)[first]]
        tokenizer = load_tokenizer(self.model, min(self.config.max_tokens, self.base.max_tokens))
        encodings = tokenizer.encode_batch_fast([prompted(text, self.base) for text in texts])  # type: ignore[misc]
        return [encoding.ids or [self.vocabulary["mask"]] for encoding in encodings], rows

    def _pairs(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Rows of texts whose items the same users, or sessions, met in train; int [m, 2]."""
        context, config = self.context, self.config
        allowed = np.flatnonzero(rows >= 0)
        items = context.spark.createDataFrame([(str(self.ids[item]),) for item in allowed], f"{C.ITEM_ID} string")
        train = context.lake.read(Tables.INTERACTIONS, self.inputs.get(Tables.INTERACTIONS))
        interactions, group = grouped(
            train.join(F.broadcast(items), on=C.ITEM_ID, how="left_semi"),
            context.lake.read(Tables.EVENTS),
            config.pairs_within,
        )
        last = context.config.features.pairs_last
        found = item_pairs(interactions, group, last, config.pairs_an_item).select(C.ITEM_ID, C.OTHER_ITEM_ID)
        table = found.orderBy(C.ITEM_ID, C.OTHER_ITEM_ID).toArrow()
        place = {name: rows[item] for item, name in enumerate(self.ids)}
        both = np.array([[place[name] for name in column.to_pylist()] for column in table.columns], dtype=np.int64).T
        both = both[both[:, 0] != both[:, 1]]
        if not len(both):
            raise EmptyDataError(f"adapt.objectives.pairs: no two items were met by the same {config.pairs_within} in train")
        if len(both) > config.pairs_at_most:
            both = both[np.random.default_rng((seed, 6)).choice(len(both), config.pairs_at_most, replace=False)]
        return both

    def _index(self, frame: DataFrame) -> DataFrame:
        """Rows of items with their dense index."""
        return frame.join(self.context.lake.read(Tables.ITEM_INDEX, self.inputs.get(Tables.ITEM_INDEX)), on=C.ITEM_ID)

    def _vectors(self, config: EncoderConfig) -> np.ndarray:
        """Of every item by an encoder, float32 [num_items, d]; zero where it has none."""
        texts = self.context.lake.read(Tables.ITEM_TEXT, self.inputs.get(Tables.ITEM_TEXT))
        done = encode(self.context, texts, config)
        vectors = vectors_of(self.context, done.encoder).where(F.col(C.VECTOR).isNotNull())
        return arrays.by_index(self._index(texts.join(vectors, on=C.TEXT_HASH)).dropDuplicates([C.ITEM]), len(self.ids))

    def _recalls(
        self, seed: int, split: str, hidden: cold.Hidden, wanted: np.ndarray, base: np.ndarray, own: np.ndarray
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of eval/cold_retrieval."""
        train = self.context.config.train
        holdout = cold.cold_holdout(self.known[split], hidden, wanted, train.validation_users)
        users = len(holdout.histories)
        if not users:
            raise EmptyDataError("adapt.hidden: nobody met a hidden item and another one: there is too little to choose by")
        found = list(cold.baselines(holdout, wanted, K))
        for name, vectors in ((BASE_MODEL, base), (ADAPTED, own)):
            for candidates in (cold.ALL_ITEMS, cold.COLD_ITEMS):
                found.append((name, candidates, cold.recall_of(vectors, train.half_life, holdout, wanted, candidates, K)))
        for name, candidates, value in found:
            yield (self.context.run_id, seed, split, name, candidates, Metrics.RECALL, K, value, users)


def note_learned(path: Path, rows: np.ndarray, pairs: np.ndarray, hidden: np.ndarray) -> None:
    """Leave, for the leakage audit, which items' texts are learned from, by text, and which pairs of texts.

    Args:
        rows: int [num_items], the text of each item, -1 where it is not learned from; pairs: int [m, 2], of texts.
        hidden: bool [num_items].
    """
    items = np.flatnonzero(rows >= 0)
    found = {"items": items, "texts": rows[items], "pairs": pairs, "hidden": np.flatnonzero(hidden)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value, dtype=np.int64) for name, value in found.items()}, path)


def best_seed(rows: Sequence[tuple[Any, ...]]) -> int:
    """The seed whose model gains most on the encoder as it came, where the model is chosen; of equals the first.

    Each seed hides other items, so gains are compared and not the recalls themselves.

    Args:
        rows: of eval/cold_retrieval.
    """
    gains: dict[int, float] = {}
    for row in rows:
        for model, sign in ((ADAPTED, 1), (BASE_MODEL, -1)):
            if _is_choice(row, model):
                gains[row[1]] = gains.get(row[1], 0.0) + sign * row[-2]
    return max(gains, key=lambda seed: gains[seed])


def _is_choice(row: tuple[Any, ...], model: str) -> bool:
    """Whether a row of eval/cold_retrieval is what the model is chosen by."""
    return row[2:5] == (Splits.VALID, model, cold.ALL_ITEMS)


STAGE = Stage(
    name="adapt",
    run=run,
    summary="tune the encoder on this catalogue; kept only where it finds cold items better",
    reads=(Tables.ITEM_TEXT, Tables.ITEM_INDEX, Tables.INTERACTIONS, Tables.SEQUENCES),
    needs=(Tables.ITEM_TEXT, Tables.SEQUENCES),
    writes=(Tables.COLD_RETRIEVAL,),
    sections=("adapt", "encoder"),
    makes="folder",
    wanted=lambda config: bool(config.adapt.objectives),
)
