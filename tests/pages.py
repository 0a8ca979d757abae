"""A report's data, small enough to be read: what tests of the page start from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from lakerec.columns import Metrics
from lakerec.evaluation.tallies import Tally
from lakerec.reporting.data_page import Bots, DataPage, Distributions, Drift
from lakerec.reporting.drift_table import Change
from lakerec.reporting.report import ReportData
from lakerec.stages.report_gate import Gate

NASTY = "<script>alert('x')</script> & Sons"
ARRIVED = datetime(2025, 7, 1, 6, 30, tzinfo=UTC)


def metric(model, name, value, part="all", interval=0.01, n=50):
    low, high = (None, None) if interval is None else (value - interval, value + interval)
    return {"model": model, "slice": part, "metric": name, "k": 10, "value": value, "ci_low": low, "ci_high": high, "n": n}


def hours(*busy: tuple[int, int, int]) -> np.ndarray:
    """Weekday, hour, events."""
    whole = np.zeros((7, 24), dtype=np.int64)
    for day, hour, events in busy:
        whole[day, hour] = events
    return whole


def distributions(**changed: Any) -> Distributions:
    """1,200 events of three users on four items, one of which nobody met."""
    whole = {
        "events": 1_200, "strangers": 300, "first": datetime(2025, 1, 1, tzinfo=UTC),
        "last": datetime(2025, 6, 30, tzinfo=UTC), "types": {"view": 1_000, NASTY: 200},
        "days": {date(2025, 1, 1): 600, date(2025, 6, 30): 600}, "hours": hours((2, 9, 700), (0, 17, 500)),
        "values": {-1.0: 6, 1.0: 594, 2.5: 600}, "users": Tally.of([(100, 1), (300, 1), (500, 1)]),
        "items": Tally.of([(0, 1), (200, 2), (800, 1)]), "sessions": Tally.of([(1, 100), (8, 100)]),
        "minutes": Tally.of([(0, 100), (3, 60), (12, 40)]), "untitled": 1, "pairs": 6,
    }  # fmt: skip
    return Distributions(**{**whole, **changed})


def nothing() -> Distributions:
    """One event, without user, value or time of day."""
    return distributions(
        events=1, strangers=1, last=datetime(2025, 1, 1, tzinfo=UTC), types={"view": 1}, days={date(2025, 1, 1): 1},
        hours=hours((2, 0, 1)), values={}, users=Tally.of([]), items=Tally.of([(1, 1)]), sessions=Tally.of([]),
        minutes=Tally.of([]), untitled=0, pairs=0,
    )  # fmt: skip


def data_page(**changed: Any) -> DataPage:
    figures = {
        "files": 3, "rows_in": 1_300, "rows_out": 1_250, "rows_quarantined": 7, "rows_duplicate": 43, "rows_dropped": 0,
        "arrived": ARRIVED,
    }  # fmt: skip
    listed = [{"user": "xxx@xxxxxxx.xxx", "events": 90, "items": 9, "days": 1, "reasons": ["rate", "user_agent"]}]
    reasons = [{"reason": "rate", "users": 1, "events": 90}, {"reason": "user_agent", "users": 1, "events": 90}]
    moved = [
        Change(
            "event types",
            "view 90.0 %",
            "view 80.0 %",
            "PSI 0.081 (chance: 0.010)",
            "stable",
            "PSI",
            0.081,
            0.01,
            (900, 300),
        ),
        Change("events of users not met before", "–", "40.0 %", "12 new users", "shifted", "share", 0.4, None, (0, 300)),
    ]
    whole = {
        "arrivals": [{"source": "events", "batches": 2, **figures}],
        "batches": [{"source": "events", "batch_id": f"{n}23456789abcdef0", **figures} for n in (1, 2)],
        "refused": [{"source": "events", "reason": "item_id_missing", "rows": 7, "share": 0.0054, "example": NASTY}],
        "tags": [{"tag": "cancellation", "rows": 12, "share": 0.01}], "bots": Bots(1, 90, reasons, listed),
        "kept": distributions(), "drift": Drift("The last batch against all before it", 1_000, 250, moved),
    }  # fmt: skip
    return DataPage(**{**whole, **changed})


def compared(part: str, before: float, now: float, worse: bool = False, n: int = 100) -> dict[str, Any]:
    """A row of eval/comparison."""
    gain = {"gain": now - before, "ci_low": now - before - 0.01, "ci_high": now - before + 0.01}
    values = {"champion_value": before, "challenger_value": now, "p": 0.2, "p_adjusted": 0.4}
    return {"slice": part, "metric": "ndcg", "k": 10, **values, **gain, "worse": worse, "n": n}


def gate(**changed: Any) -> Gate:
    """A challenger that breaks a slice, after a rollback; all that can be asked beside it was asked."""
    day = datetime(2026, 1, 3, 4, 5, tzinfo=UTC)
    decided = [
        ("promote", False, "2", f"slice category:{NASTY} (40 users) falls"), ("rollback", True, "3", "rolled back"),
        ("promote", True, None, "0.0841; no champion to compare with"),
    ]  # fmt: skip
    moved = {"kind": "catalogue", "name": "events of unknown items", "value": 0.081, "limit": 0.05, "drifted": True}
    whole = {
        "whole": compared("all", 0.1101, 0.1247, n=943),
        "slices": [compared(f"category:{NASTY}", 0.12, 0.05, True, 40), compared("sparse_users", 0.1, 0.09)],
        "leakage": [{"check": "adaptation_text", "ok": True, "checked": 1_000, "found": 0, "detail": NASTY}],
        "decisions": [
            {"decided_at": day, "action": action, "promoted": moved, "challenger": "3", "champion": before, "reasons": [why]}
            for action, moved, before, why in decided
        ],
        "drift": {
            "retrain": True, "compared": "12 events against 98", "reasons": ["8.1 % are of unknown items"], "notes": [],
            "looked_at": day, "rows": [{**moved, "detail": "1 of 12 events"}],
        },
        "backtest": {
            "metric": "ndcg", "k": 10, "cutoffs": ["2020-01-01 10:00", "2020-02-01 10:00"], "users": [200, 300],
            "models": {"als": [0.04, 0.08], "ease": [0.05, 0.06]}, "agreement": [-1.0],
        },
        "faithfulness": {"users": 200, "named": 0.8, "drawn": 0.3, "ci_low": 0.4, "ci_high": 0.6},
    }  # fmt: skip
    return Gate(**{**whole, **changed})


def made(**changed: Any) -> ReportData:
    values = {"ease": 0.07, "blend": 0.12}
    rows = [
        metric(model, name, value, interval=None if name == Metrics.COVERAGE else 0.01)
        for model, value in values.items()
        for name in Metrics.ALL
    ]
    rows += [metric("ease", name, 0.01, "cold_items") for name in Metrics.ALL if name != Metrics.COVERAGE]
    rows += [metric("blend", Metrics.NDCG, value, f"seed_{n}") for n, value in enumerate((0.11, 0.13), start=1)]
    rows += [metric("blend", Metrics.NDCG, 0.12, "seeds")]
    whole = {
        "name": "shop", "k": 10, "protocol": "leave last out", "made_at": "2026-01-01 00:00 UTC", "metrics": rows,
        "chosen": "blend",
        "promotion": {"promoted": False, "model": "blend", "version": "2", "reasons": ["0.1200 is not above 0.1300"]},
        "weights": {"ease": 0.5, "sequence": 1.0, "content": 0.0},
        "slices": [{"slices": NASTY, "name": NASTY, "users": 250, "common": 0.1, "own": 0.12, "error": 0.005, "kept": True}],
        "start": "goes on from train-1",
        "curves": {"sequence": [{"epoch": 1, "loss": 3.0, "value": 0.1}, {"epoch": 2, "loss": 2.0, "value": 0.12}]},
        "figures": {"users": "1,234"},
        "stages": [
            {"stage": "featurize", "rows_in": 1_200, "rows_out": 900, "rows_quarantined": 0, "rows_duplicate": 0,
             "seconds": 1.0, "outputs": {"gold/interactions": 3}},
        ],
        "examples": [
            {"user": NASTY, "history": [NASTY], "items": [{"rank": 1, "title": NASTY, "reason": f"because of {NASTY}"}]}
        ],
        "page": data_page(), "map_points": np.eye(4)[:, :2], "map_groups": [NASTY, "a", "a", ""],
    }  # fmt: skip
    return ReportData(**{**whole, **changed})
