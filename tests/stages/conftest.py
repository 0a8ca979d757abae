"""A shop that several files begin with, made once a process: each works in a copy of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from lakerec.stages import pipeline

from tests import shop


@pytest.fixture(scope="session")
def _embedded(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    with pipeline.opened(shop.load(shop.talking(folder))) as context:
        pipeline.run(context, ("ingest", "clean", "featurize", "embed"))
    return folder


@pytest.fixture(scope="module")
def embedded_shop(_embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config of a talking shop after embed, the module's own."""
    return shop.copy(_embedded, tmp_path_factory.mktemp("copy"))
