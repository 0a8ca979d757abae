"""A registered version's recommender, once its files were found to be those that were registered. None of its code runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from lakerec.models.protocol import Recommender
from lakerec.registry.contents import FOLDER, read_model
from lakerec.registry.integrity import checked
from lakerec.registry.tracking import Tracker


def registered(tracker: Tracker, name: str, version: str) -> tuple[Recommender, np.ndarray]:
    """The recommender of a registered version, and the external ids of its items by its own dense index.

    Raises:
        IntegrityError: its files are not those that were registered.
    """
    with tempfile.TemporaryDirectory() as temporary:
        return read_model(checked(tracker, name, version, Path(temporary)) / FOLDER)
