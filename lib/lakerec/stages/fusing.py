"""Text vectors, vectors that others made and the knowledge graph's → one vector an item; each kept only where it helps.

    fusion.others: a table of image, audio or other embeddings ─┐
    gold/graph_edges → entity vectors (models/graph.py) ────────┼─ weight chosen on validation, 0: left out ─► fused
    item vectors of the text ───────────────────────────────────┘

A weight is chosen by the NDCG@10 of the content model on the validation split, one kind after the other, and stays until the
config or the vectors of others change or --full asks for another look.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.errors import EmptyDataError, InputError
from lakerec.features.fusion import Kind, fuse
from lakerec.features.people import mean_vectors
from lakerec.language_config import FusionConfig, VectorTable
from lakerec.models.content import Content
from lakerec.models.data import TrainingData
from lakerec.models.graph import entity_vectors, indexed
from lakerec.models.ranking import mask_seen, mean_ndcg
from lakerec.stages import arrays
from lakerec.stages.base import Context, last_run
from lakerec.stages.outside import read_outside, state
from lakerec.vectors import unit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GRAPH = "graph"
WEIGHTS = "fusion"
"""Detail of an embed run: {"of": digest of what was chosen for, "weights": {kind: weight}, "ndcg": validation values}."""
K = 10


@dataclass(frozen=True)
class Fused:
    """Item vectors after fusion."""

    vectors: DataFrame
    details: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def fuses(config: FusionConfig) -> bool:
    """Whether there is anything to be joined with the text vectors."""
    return bool(config.others or config.graph_dimensions)


def others_state(context: Context) -> str:
    """Digest of the tables of vectors that others made, as they lie now; empty where the config names none."""
    return state(context.spark, {f"fusion.others.{name}": table for name, table in context.config.fusion.others.items()})


def fused(context: Context, vectors: DataFrame) -> Fused:
    """Rows (item_id, encoder, vector) with the kinds that the config names, where validation wants them."""
    config = context.config.fusion
    first = vectors.select(C.ENCODER).first() if fuses(config) else None
    if first is None:
        return Fused(vectors)
    kinds = [_others(context, name, table) for name, table in config.others.items()]
    kinds += [_graph(context)] if config.graph_dimensions else []
    chosen = _weights(context, vectors, kinds, first[C.ENCODER])
    used = [replace(kind, weight=chosen["weights"][kind.name]) for kind in kinds if chosen["weights"][kind.name] > 0]
    details = {WEIGHTS: json.dumps(chosen)}
    metrics = {f"fusion_weight_{name}": weight for name, weight in chosen["weights"].items()}
    metrics |= {f"fusion_ndcg_{name}": value for name, value in chosen["ndcg"].items()}
    if not used:
        return Fused(vectors, details, metrics)
    what = hashlib.sha256(json.dumps([chosen["of"], chosen["weights"]]).encode()).hexdigest()[:6]
    label = f"{first[C.ENCODER]}+{'+'.join(kind.name for kind in used)}-{what}"
    return Fused(fuse(vectors.withColumn(C.ENCODER, F.lit(label)), C.ITEM_ID, 1.0, used), details, metrics)


def _others(context: Context, name: str, table: VectorTable) -> Kind:
    """Somebody's vectors of items; what is no vector of the commonest length is left out.

    Raises:
        InputError: the table is not there, lacks a column, or has no vector.
    """
    where = f"fusion.others.{name}"
    found = read_outside(context.spark, table.path, table.format, table.options, (table.key, table.vector), where)
    vector = F.col(f"`{table.vector}`").cast("array<float>")
    rows = found.select(F.col(f"`{table.key}`").cast("string").alias(C.ITEM_ID), vector.alias(C.VECTOR))
    sound = ~F.exists(C.VECTOR, lambda each: each.isNull() | F.isnan(each) | (F.abs(each) == float("inf")))
    rows = rows.where(F.col(C.ITEM_ID).isNotNull() & F.col(C.VECTOR).isNotNull() & sound)
    sizes = rows.groupBy(F.size(C.VECTOR).alias("size")).count().orderBy(F.desc("count"), "size").first()
    if sizes is None or not sizes["size"]:
        raise InputError(f"{where}: {table.path} has no vector in `{table.vector}` without null, NaN or infinity")
    rows = rows.where(F.size(C.VECTOR) == sizes["size"]).groupBy(C.ITEM_ID).agg(F.max(C.VECTOR).alias(C.VECTOR))
    return Kind(name, rows.localCheckpoint(), sizes["size"], -1.0 if table.weight is None else table.weight)


def _graph(context: Context) -> Kind:
    """Vectors of the items' entities, the mean where an item has several; entities' own go to gold/entity_vectors.

    Raises:
        EmptyDataError: there is no graph.
    """
    lake, size = context.lake, context.config.fusion.graph_dimensions
    edges = lake.read(Tables.GRAPH_EDGES).select(C.HEAD, C.TAIL).distinct().orderBy(C.HEAD, C.TAIL).toArrow()
    if not len(edges):
        raise EmptyDataError("fusion.graph_dimensions needs a knowledge graph: describe source.graph and source.graph_links")
    names, (heads, tails) = indexed([edges[C.HEAD].to_pylist(), edges[C.TAIL].to_pylist()])
    found = entity_vectors(heads, tails, len(names), size, context.config.seed)
    label = f"fastrp{size}-{context.config.seed}"
    frame = context.spark.createDataFrame(
        zip(names, [label] * len(names), found.tolist(), strict=True), lake.read(Tables.ENTITY_VECTORS).schema
    )
    lake.overwrite(frame, Tables.ENTITY_VECTORS)
    links = lake.read(Tables.BRONZE_GRAPH_LINKS).select(C.ITEM_ID, C.ENTITY_ID).distinct()
    alike = links.withColumn(C.WEIGHT, F.lit(1.0))
    tied = mean_vectors(alike, lake.read(Tables.ENTITY_VECTORS), C.ENTITY_ID, C.ITEM_ID)
    return Kind(GRAPH, tied.localCheckpoint(), size, -1.0)


def _weights(context: Context, vectors: DataFrame, kinds: list[Kind], encoder: str) -> dict[str, dict[str, float]]:
    """Chosen weights, those of the last run where it chose for the same."""
    sizes = [(kind.name, kind.dimensions, kind.weight) for kind in kinds]
    settings = [encoder, sizes, context.config.digest("fusion", "split", "seed"), others_state(context)]
    of = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    last = last_run(context.lake, "embed")
    before = json.loads(last.details.get(WEIGHTS, "{}")) if last is not None and not context.full else {}
    if before.get("of") == of:
        return before
    weights = {kind.name: max(0.0, kind.weight) for kind in kinds}
    values: dict[str, float] = {}
    if any(kind.weight < 0 for kind in kinds):
        trial = Trial(context, vectors, kinds)
        values["text"] = best = trial.ndcg({})
        for kind in (kind for kind in kinds if kind.weight < 0):
            for weight in context.config.fusion.weights:
                value = trial.ndcg({**weights, kind.name: weight})
                if value > best:
                    best, weights[kind.name] = value, weight
            values[kind.name] = best
    return {"of": of, "weights": weights, "ndcg": values}  # type: ignore[dict-item]


class Trial:
    """The content model on validation, over text vectors with any weights of the kinds."""

    def __init__(self, context: Context, vectors: DataFrame, kinds: list[Kind]) -> None:
        num_items = len(arrays.item_ids(context, {}))
        self.half_life = context.config.train.half_life
        self.holdout = arrays.holdout(context, {}, Splits.VALID, context.config.train.validation_users)[1]
        self.known = arrays.known_until(context, {}, Splits.TRAIN).histories
        index = context.lake.read(Tables.ITEM_INDEX)

        def block(frame: DataFrame) -> np.ndarray:
            return unit(arrays.by_index(frame.join(index, on=C.ITEM_ID), num_items))

        self.text = block(vectors)
        self.others = {kind.name: block(kind.vectors) for kind in kinds}

    def ndcg(self, weights: dict[str, float]) -> float:
        """NDCG@10 on the validation targets."""
        parts = [self.text, *(self.others[name] * np.sqrt(weight) for name, weight in weights.items() if weight)]
        whole = unit(np.concatenate(parts, axis=1))
        model = Content(self.half_life)
        model.fit(TrainingData(self.known, len(whole), whole))
        scores = mask_seen(model.score(self.holdout.histories), self.holdout.histories)
        return mean_ndcg(scores, self.holdout.targets, K)
