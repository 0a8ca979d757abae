"""What `lakerec rollback` refuses before it starts Spark; that it goes back is told in tests/faults/test_promotion.py."""

import pytest
from lakerec.errors import InputError
from lakerec.registry import gate
from lakerec.registry.tracking import Tracker
from lakerec.stages import rollback
from lakerec.stages.offering import model_name

from tests import shop


def test_mistakes_are_told_from_the_registry_alone(tmp_path, monkeypatch):
    def opened(*_):
        raise AssertionError("Spark was to start")

    monkeypatch.setattr("lakerec.stages.pipeline.opened", opened)
    config = shop.config(tmp_path)
    with pytest.raises(InputError, match="no champion of lakerec-shop is registered"):
        rollback.roll_back(config)
    assert not (tmp_path / "mlflow.db").exists()
    tracker, name = Tracker(config.tracking, config.name), model_name(config)
    tracker.client.create_registered_model(name)
    for _ in range(2):
        tracker.client.create_model_version(name, str(tmp_path))
    with pytest.raises(InputError, match="no champion of lakerec-shop is registered"):
        rollback.roll_back(config, "1")
    gate.set_alias(tracker, name, gate.CHAMPION, "2")
    with pytest.raises(InputError, match="--to: lakerec-shop has no version 9, but 1, 2"):
        rollback.roll_back(config, "9")
    with pytest.raises(AssertionError, match="Spark was to start"):
        rollback.roll_back(config, "1")
