"""What is measured of a challenger and of the champion, and whom they are compared on."""

from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Models
from lakerec.errors import IntegrityError
from lakerec.judging_config import PromoteConfig
from lakerec.models.data import Histories, Holdout
from lakerec.stages import promote
from lakerec.stages.comparing import Measured, Present
from lakerec.stages.offering import Offer

VALUES = {Models.POPULAR: 0.30, Models.SEQUENCE: 0.20, Models.EASE: 0.40}
USERS = np.array(["u1", "u2", "u3"], dtype=object)
TARGETS = Histories.from_lists([[5], [6, 7], [8]])
TODAY = Present(
    USERS,
    Holdout(Histories.from_lists([[1], [2], [3]]), TARGETS),
    np.arange(9),
    {"all": (np.arange(3), TARGETS), "tail": (np.array([1, 2]), Histories.from_lists([[7], [8]]))},
)
CHALLENGER, CHAMPION = "2", "1"


def test_a_test_without_some_users_has_the_targets_of_the_others_in_each_slice():
    rest = TODAY.without(frozenset({"u2"}))
    assert rest.users.tolist() == ["u1", "u3"] and rest.holdout.targets.items.tolist() == [5, 8]
    assert {name: (own.tolist(), each.items.tolist()) for name, (own, each) in rest.slices.items()} == {
        "all": ([0, 1], [5, 8]), "tail": ([1], [8]),
    }  # fmt: skip


@pytest.fixture
def judge(monkeypatch):
    """What the gate says of EASE as version 2, where version 1 serves and may know some users of the test by heart."""

    def judged(values, known=(), of_all=VALUES):
        """Values: version → what it reaches for each of the three users."""

        def measure(_context, _name, version, test):
            kept = np.isin(USERS, test.users)
            if values[version] is None:
                raise IntegrityError(f"shop/{version} was altered")
            return Measured({"all": np.array(values[version])[kept]}, 0.5, 1.0, 0)

        monkeypatch.setattr(promote.comparing, "measure", measure)
        monkeypatch.setattr(promote, "HeldOut", SimpleNamespace(read=lambda *_: None))
        monkeypatch.setattr(promote, "Present", SimpleNamespace(of=lambda _: TODAY))
        monkeypatch.setattr(promote.auditing, "refusals", lambda *_: [])
        monkeypatch.setattr(promote, "_drifted", lambda *_: [])
        monkeypatch.setattr(promote.gate, "tags_of", lambda *_: {promote.TRAIN_RUN: "train-1"})
        monkeypatch.setattr(promote.starting, "known_test_users", lambda *_: (frozenset(known), None))
        config = SimpleNamespace(promote=PromoteConfig(), evaluate=SimpleNamespace(bootstrap=200), seed=1)
        context, run = SimpleNamespace(tracker=None, config=config), SimpleNamespace(run_id="evaluate-1")
        offer = Offer("shop", run, run, of_all)
        evidence, notes = promote._evidence(context, {}, offer, Models.EASE, CHALLENGER, CHAMPION)
        decision = promote.gate.judge(evidence, config.promote)
        return decision.promoted, "; ".join([*decision.reasons, *notes]), evidence.champion

    return judged


EASE_HAS = [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("champion", "known", "promoted", "said", "before"),
    [
        ([0.5, 0.5, 0.5], (), False, "0.4000 is not above 0.5000", 0.5),
        (
            [0.9, 0.3, 0.3],
            ("u1",),
            True,
            "0.4000 beats the champion's 0.3000; the champion learned from events of 1 users",
            0.3,
        ),
        ([0.0, 0.5, 0.5], ("u1",), False, "0.4000 is not above 0.5000", 0.5),
        ([0.9, 0.9, 0.9], ("u1", "u2", "u3"), True, "nobody else is there to compare on", None),
    ],
    ids=["it knows nobody", "better on the others", "worse on the others", "it knows all"],
)
def test_a_champion_is_not_judged_on_what_it_learned_from(judge, champion, known, promoted, said, before):
    decided, reasons, value = judge({CHALLENGER: EASE_HAS, CHAMPION: champion}, known)
    assert decided == promoted and said in reasons and value == (None if before is None else pytest.approx(before))
    assert bool(known) == ("that are test now" in reasons)


def test_a_challenger_below_popularity_is_refused_whoever_the_champion_knows(judge):
    values = {CHALLENGER: [0.2, 0.2, 0.2], CHAMPION: [0.1, 0.1, 0.1]}
    promoted, reasons, _ = judge(values, ("u1",), {Models.POPULAR: 0.3, Models.EASE: 0.2})
    assert not promoted and "does not beat plain popularity" in reasons


def test_a_package_that_does_not_give_what_was_evaluated_is_refused(judge):
    promoted, reasons, _ = judge({CHALLENGER: [0.4, 0.4, 0.1], CHAMPION: [0.1, 0.1, 0.1]})
    assert not promoted and "its registered package gives 0.3000 where 0.4000 was evaluated" in reasons


def test_a_champion_that_was_altered_is_no_bar_to_a_model_that_beats_popularity(judge):
    promoted, reasons, before = judge({CHALLENGER: EASE_HAS, CHAMPION: None})
    assert promoted and before is None and "not compared with the champion: shop/1 was altered" in reasons
