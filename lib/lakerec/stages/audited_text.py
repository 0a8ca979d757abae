"""Checks of the leakage audit on texts: what the encoder was adapted on, and that what profile writes feeds no model.

adaptation_text  An adapt run leaves beside its model which items' texts it learned from, which pairs of texts it drew
                 together, and which items it hid. Where its model is used, every such item has an event in train, of
                 every pair some user met both in train, and no hidden item is among them. The text of an item that came
                 later is encoded like any other: nothing is learned from it, and no user's events are in it.
descriptions     Texts, labels, segments and portraits of profile are of all splits' events. No run that training rests on
                 read a table of theirs, or of an evaluation; the text of an item with a written description is made of
                 silver/items alone; and that description was written from its own row there, and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F
from safetensors.numpy import load_file
from scipy import sparse

from lakerec.columns import Columns as C
from lakerec.columns import Splits, Tables
from lakerec.evaluation import leakage
from lakerec.evaluation.leakage import Finding
from lakerec.features.text import item_text
from lakerec.models.data import Histories
from lakerec.stages import arrays, describing, featurize, profile
from lakerec.stages.adopting import ADAPT, LEARNED, MODEL
from lakerec.stages.evidence import FEATURIZE, SAMPLE, Evidence
from lakerec.stages.starting import ENCODER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RESTS_ON = (FEATURIZE, ADAPT, "embed")
"""Stages whose tables or models train reads, besides itself."""
AFTER = (*profile.STAGE.writes, Tables.PREDICTIONS, Tables.METRICS, Tables.LEAKAGE, Tables.RECOMMENDATIONS)
"""Tables that hold events of every split, or what was found on them."""


def adaptation_text(evidence: Evidence) -> Finding:
    """That an adapted encoder learned from text and pairs of the train split alone."""
    run = evidence.runs.get(ADAPT)
    if run is None:
        return Finding(leakage.ADAPTATION, 0, 0, "adapt is off")
    if Path(run.details[MODEL]).name not in evidence.trained.details.get(ENCODER, ""):
        return Finding(leakage.ADAPTATION, 0, 0, f"no vector that the models read is by what {run.run_id} adapted")
    place = Path(run.details.get(LEARNED, ""))
    if not place.is_file():
        return Finding(leakage.ADAPTATION, 0, 1, f"{run.run_id} left no account of its texts: run `lakerec adapt --force`")
    known = arrays.known_until(evidence.context, evidence.inputs, Splits.TRAIN).histories
    return judged(load_file(place), known, evidence.num_items)


def judged(learned: dict[str, np.ndarray], known: Histories, num_items: int) -> Finding:
    """What an adapt run learned from, by the histories of train.

    Args:
        learned: what it noted, as of `lakerec.stages.adapt.note_learned`.
    """
    items, texts, pairs = learned["items"], learned["texts"], learned["pairs"]
    met = np.bincount(known.items, minlength=num_items) > 0
    of_text = sparse.csr_matrix(
        (np.ones(len(items), np.float32), (items, texts)), shape=(num_items, int(texts.max(initial=0)) + 1)
    )
    chosen = pairs[np.sort(np.random.default_rng(0).permutation(len(pairs))[:SAMPLE])]
    apart = leakage.never_together(known.matrix(num_items) @ of_text, chosen)
    hidden = np.isin(items, learned["hidden"])
    parts = [
        (int((~met[items]).sum()), "items that train never met, whose text was learned from"),
        (int(hidden.sum()), "hidden items, whose text was learned from"),
        (int(apart.sum()), "pairs of texts whose items no user met in train"),
    ]
    clean = f"{len(items)} items of train, and of {len(pairs)} pairs {len(chosen)} that users met in train"
    return leakage.gathered(leakage.ADAPTATION, len(items) + len(chosen), parts, clean)


def descriptions(evidence: Evidence) -> Finding:
    """That what profile and earlier evaluations wrote feeds no model, and descriptions are of their item's row alone."""
    parts = []
    runs = {"train": evidence.trained} | {name: evidence.runs[name] for name in RESTS_ON if name in evidence.runs}
    for name, run in runs.items():
        read = sorted(set(run.inputs) & set(AFTER))
        parts.append((len(read), f"tables that {name} read and that hold later events: {', '.join(read)}"))
    checked, told = len(runs), "no run that training rests on read what profile wrote"
    if evidence.context.lake.exists(Tables.ITEM_DESCRIPTIONS):
        rows, changed, foreign = _described(evidence)
        checked += rows
        parts.append((changed, "texts of described items that are not made of silver/items alone"))
        parts.append((foreign, "descriptions that were not written from their item's row"))
        told = f"{told}; {rows} descriptions feed no text"
    return leakage.gathered(leakage.DESCRIPTIONS, checked, parts, told)


def _described(evidence: Evidence) -> tuple[int, int, int]:
    """Descriptions looked at; those whose item's text is another than its row makes; and those that another input made.

    What was made by another config than that of today cannot be made again, and does not count.
    """
    described = evidence.sampled(evidence.context.lake.read(Tables.ITEM_DESCRIPTIONS), C.ITEM_ID)
    rows = described.select(C.ITEM_ID, "input_hash").join(_inputs(evidence), on=C.ITEM_ID, how="left")
    rows = rows.join(evidence.read(Tables.ITEM_TEXT).select(C.ITEM_ID, C.TEXT_HASH), on=C.ITEM_ID, how="left")
    rows = rows.join(_texts(evidence), on=C.ITEM_ID, how="left")
    changed, foreign = F.col(C.TEXT_HASH) != F.col("own_text"), F.col("input_hash") != F.col("own_input")
    found = rows.agg(F.count("*"), F.count_if(changed), F.count_if(foreign)).first()
    assert found is not None, "an aggregate has one row"
    return int(found[0]), int(found[1]), int(found[2])


def _texts(evidence: Evidence) -> DataFrame:
    """item_id, own_text: the hash of the text that the item's row in silver/items makes."""
    rows, features = evidence.read(Tables.ITEMS), evidence.context.config.features
    made = item_text(rows, features.item_text, features.max_description)
    known = evidence.same_config(featurize.STAGE) is not None
    return made.where(F.lit(known)).select(C.ITEM_ID, F.col(C.TEXT_HASH).alias("own_text"))


def _inputs(evidence: Evidence) -> DataFrame:
    """item_id, own_input: the hash that a description of the item's row in silver/items has."""
    run, config = evidence.same_config(profile.STAGE), evidence.context.config.profile.descriptions
    if run is None or config is None:
        return evidence.context.spark.createDataFrame([], f"{C.ITEM_ID} string, own_input string")
    rows = describing.wanted(evidence.context.lake.read(Tables.ITEMS, run.inputs.get(Tables.ITEMS)), config, "")
    return rows.select(C.ITEM_ID, F.col("input_hash").alias("own_input"))
