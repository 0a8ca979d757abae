"""`lakerec plan`: which stages would run and why, how much there is to embed and how long that takes; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import Config, EncoderConfig
from lakerec.lake.platform import is_local
from lakerec.language.files import resolve_model
from lakerec.language.tokens import chunks, load_tokenizer, prompted
from lakerec.stages import embed, pipeline, starting, train
from lakerec.stages.adopting import chosen_encoder
from lakerec.stages.base import Context
from lakerec.stages.encoding import TOKENS_PER_SECOND, pending

SAMPLE = 2_000
"""Texts whose tokens are counted; the rest is estimated from their mean."""
TRIED = 64
"""Texts that are encoded to see how fast this machine is, where no run has told it."""


def plan(config: Config) -> dict[str, Any]:
    """One entry a stage: due, why, rows it would read; and the distinct texts and tokens to embed.

    These are of the tables and the encoder as they are now; `before`: stages that are to run first and may change them.
    """
    with pipeline.opened(config) as context:
        steps: list[dict[str, Any]] = []
        upstream: list[str] = []
        for stage, now in pipeline.plan(context):
            moved = [name for name in upstream if name in pipeline.feeders(stage)]
            why = f"after {', '.join(moved)}" if moved and not now.due else now.why
            due = now.due or bool(moved)
            if due and stage.name == train.STAGE.name and (start := starting.told(context)):
                why = f"{why}; sequence {start}"
            upstream += [stage.name] if due else []
            rows = {table: context.lake.read(table, version).count() for table, version in now.inputs.items()} if due else {}
            steps.append({"stage": stage.name, "due": due, "why": why, "rows": rows})
        first = [name for name in upstream if pipeline.ORDER.index(name) < pipeline.ORDER.index(embed.STAGE.name)]
        return {"name": config.name, "stages": steps, "embed": {**_texts(context), "before": first}}


def _texts(context: Context) -> dict[str, float | None]:
    """Distinct texts without a vector, their tokens and the hours these take; None where it is not known.

    `tried`: so many texts were encoded now to tell the hours; 0: the last run told them.
    """
    if not context.lake.exists(Tables.ITEM_TEXT):
        return {"texts": None, "tokens": None, "hours": None, "tried": 0}
    lake, config = context.lake, chosen_encoder(context)
    encoder = embed.fingerprint(context)
    waiting = pending(lake.read(Tables.ITEM_TEXT), lake.read(Tables.TEXT_VECTORS), encoder)
    texts = waiting.count()
    sample = [row[C.TEXT] for row in waiting.orderBy(C.TEXT_HASH).limit(SAMPLE).select(F.col(C.TEXT)).collect()]
    if not sample:
        return {"texts": 0, "tokens": 0, "hours": 0.0, "tried": 0}
    tokenizer = load_tokenizer(resolve_model(config.model), config.max_tokens)
    encodings = tokenizer.encode_batch_fast([prompted(text, config) for text in sample])  # type: ignore[misc]
    mean = sum(len(chunk) for encoding in encodings for chunk in chunks(encoding, config)) / len(sample)
    speed, tried = _speed(context, encoder), 0
    if speed is None and is_local(context.spark):
        speed, tried = _measured(config, sample[:TRIED]), len(sample[:TRIED])
    hours = mean * texts / speed / 3600 if speed else None
    return {"texts": texts, "tokens": round(mean * texts), "hours": hours, "tried": tried}


def _measured(config: EncoderConfig, texts: Sequence[str]) -> float:
    """Tokens a second that this machine encodes, by some texts; on a cluster it would be another machine's."""
    from lakerec.language.encoder import Encoder, settled

    encoder = Encoder(settled(config), "cpu")
    encoder.encode(texts[:4])
    start = time.perf_counter()
    found = encoder.encode(texts)
    return float(found.tokens.sum()) / (time.perf_counter() - start)


def _speed(context: Context, encoder: str) -> float | None:
    """Tokens a second of the last run that encoded by this encoder; None where there was none."""
    runs = context.lake.read(Tables.RUNS).where(F.col("stage") == embed.STAGE.name)
    details = F.col("details")
    speed = details[TOKENS_PER_SECOND].cast("double")
    same = runs.where((details["encoder"] == encoder) & (speed > 0))
    found = same.agg(F.max_by(speed, "started_at")).first()
    return None if found is None else found[0]


def print_plan(result: dict[str, Any]) -> None:
    """Print it for people; fits 80 columns. `--json` tells the rows of each table."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for name in ("stage", "", "why"):
        table.add_column(name)
    table.add_column("rows to read", justify="right")
    for step in result["stages"]:
        rows = f"{sum(step['rows'].values()):,}" if step["rows"] else ""
        table.add_row(step["stage"], "run" if step["due"] else "skip", step["why"], rows)
    console.print(table)
    waiting = result["embed"]
    if waiting["texts"] is None:
        console.print("to embed: not known before featurize has run")
        return
    hours = waiting["hours"]
    speed = f"as fast as {waiting['tried']} of them just now" if waiting["tried"] else "at the last run's speed"
    how_long = "known after a first run" if hours is None else f"{_duration(hours)} {speed}"
    console.print(f"to embed: {waiting['texts']:,} distinct texts, about {waiting['tokens']:,} tokens; time: {how_long}")
    if waiting["before"]:
        console.print(f"  and what is new once {', '.join(waiting['before'])} ran")


def _duration(hours: float) -> str:
    """In words: hours from one on, else minutes."""
    if hours >= 1:
        return f"some {hours:.1f} hours"
    return f"some {hours * 60:.0f} minutes" if hours * 60 >= 1 else "less than a minute"
