"""The embed stage again after 1 % of the texts changed, and with two worker processes instead of one.

reencode         all texts, then the stage once more with a hundredth of them changed, its row in ops/runs and its MLflow run
                 included, session start left out; `ours` is the second time as a share of the first, `peer` what was asked
encode_workers   the same texts by one worker process and by two, a thread each; `ratio` is how much faster two are
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakerec.columns import Tables
from lakerec.config import Config
from lakerec.language.spark import encode_texts
from lakerec.stages import pipeline
from lakerec.stages.base import Context

from tests.benchmarks.common import seconds, write
from tests.benchmarks.texts import make_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TEXTS, CHANGED, SCALED = 100_000, 0.01, 3_000
ALLOWED = 0.03
PACKAGES = ["torch", "transformers", "pyspark", "delta-spark"]


def config(folder: str) -> Config:
    return Config.model_validate(
        {
            "name": "reencode", "lake": {"root": f"{folder}/lake"}, "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
            "source": {"events": {"path": f"{folder}/none"}}, "spark": {"master": "local[2]"},
        }
    )  # fmt: skip


def rows(context: Context, texts: Sequence[str]) -> DataFrame:
    """Texts of the items 0, 1, and so on."""
    frame = context.spark.createDataFrame([(str(n), text) for n, text in enumerate(texts)], "item_id string, text string")
    return frame.selectExpr("item_id", "text", "sha2(text, 256) AS text_hash")


def embedded(context: Context) -> tuple[float, int]:
    """Seconds of the stage and how many texts it encoded."""
    start = time.perf_counter()
    outcome = pipeline.run(context, ["embed"])[0]
    return time.perf_counter() - start, int(outcome.row["details"]["encoded"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=TEXTS)
    texts = make_texts(parser.parse_args().texts)
    few = round(len(texts) * CHANGED)
    with tempfile.TemporaryDirectory() as folder, pipeline.opened(config(folder)) as context:
        context.lake.overwrite(rows(context, texts[:500]), Tables.ITEM_TEXT)
        embedded(context)  # warms the session and the worker; these texts are in none of the runs that count
        context.lake.merge(rows(context, [f"warming {text}" for text in texts[:5]]), Tables.ITEM_TEXT)
        embedded(context)
        new = [f"again {text}" for text in texts]
        context.lake.overwrite(rows(context, new), Tables.ITEM_TEXT)
        whole, encoded = embedded(context)
        # as featurize writes the items whose rows changed
        context.lake.merge(rows(context, [f"changed {text}" for text in new[:few]]), Tables.ITEM_TEXT)
        again, encoded_again = embedded(context)
        assert (encoded, encoded_again) == (len(texts), few), (encoded, encoded_again)
        share = again / whole
        more = {"texts": len(texts), "changed": few, "seconds": {"whole": whole, "again": again}, "ratio": ALLOWED / share}
        write("reencode", share, ALLOWED, "share of the whole", PACKAGES, **more)
        frame = context.lake.read(Tables.ITEM_TEXT).limit(SCALED).localCheckpoint()

        def by(workers: int) -> float:
            spread = frame.repartition(workers).localCheckpoint()
            return seconds(
                lambda: encode_texts(spread, context.config.encoder, 1).write.format("noop").mode("overwrite").save()
            )

        one, two = by(1), by(2)
        write("encode_workers", SCALED / two, SCALED / one, "texts/s", PACKAGES, texts=SCALED)


if __name__ == "__main__":
    main()
