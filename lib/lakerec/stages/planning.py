"""`lakerec plan`: which stages would run and why, and how much there is to embed; nothing is written."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.language.files import resolve_model
from lakerec.stages import embed, pipeline
from lakerec.stages.base import Context

SAMPLE = 2_000
"""Texts whose tokens are counted; the rest is estimated from their mean."""


def plan(config: Config) -> dict[str, Any]:
    """One entry a stage: due, why, rows it would read; and the distinct texts and tokens to embed."""
    with pipeline.opened(config) as context:
        steps: list[dict[str, Any]] = []
        upstream: list[str] = []
        for stage, now in pipeline.plan(context):
            moved = [name for name in upstream if name in pipeline.feeders(stage)]
            why = f"after {', '.join(moved)}" if moved and not now.due else now.why
            due = now.due or bool(moved)
            upstream += [stage.name] if due else []
            rows = {table: context.lake.read(table, version).count() for table, version in now.inputs.items()} if due else {}
            steps.append({"stage": stage.name, "due": due, "why": why, "rows": rows})
        return {"name": config.name, "stages": steps, "embed": _texts(context)}


def _texts(context: Context) -> dict[str, int | None]:
    """Distinct texts without a vector, and their tokens; None before there are any texts."""
    if not context.lake.exists(Tables.ITEM_TEXT):
        return {"texts": None, "tokens": None}
    lake, config = context.lake, context.config.encoder
    waiting = embed.pending(lake.read(Tables.ITEM_TEXT), lake.read(Tables.TEXT_VECTORS), embed.fingerprint(context))
    texts = waiting.count()
    sample = [row[C.TEXT] for row in waiting.orderBy(C.TEXT_HASH).limit(SAMPLE).select(F.col(C.TEXT)).collect()]
    if not sample:
        return {"texts": 0, "tokens": 0}
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resolve_model(config.model) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(config.max_tokens)
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(sample))
    return {"texts": texts, "tokens": round(tokens / len(sample) * texts)}


def print_plan(result: dict[str, Any]) -> None:
    """Print it for people."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for name in ("stage", "", "why", "rows to read"):
        table.add_column(name)
    for step in result["stages"]:
        rows = ", ".join(f"{name} {count:,}" for name, count in step["rows"].items())
        table.add_row(step["stage"], "run" if step["due"] else "skip", step["why"], rows)
    console.print(table)
    waiting = result["embed"]
    if waiting["texts"] is None:
        console.print("to embed: not known before featurize has run")
    else:
        console.print(f"to embed: {waiting['texts']:,} distinct texts, about {waiting['tokens']:,} tokens")
